"""``pgvow salvage``: everything of a damaged dump that still decodes, in a new one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING
from pgvow.cli.picking import backup_path
from pgvow.cli.report import plain
from pgvow.cli.words import counted, size
from pgvow.errors import VerificationFailed
from pgvow.model import table_key
from pgvow.operations.salvage import SalvageOptions, Vouched, salvage_backup
from pgvow.quoted_texts import printable
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.report import Report
    from pgvow.operations.salvage import LargeObjectsReport, SalvageResult, TableReport

_VOUCHED = {
    Vouched.FINGERPRINT: "all rows, by the recorded fingerprint",
    Vouched.CHECKSUM: "whole by its own checksum",
    Vouched.DAMAGE_SEEN: "rows up to a seen edge of the damage",
    Vouched.NOTHING: "cannot be vouched for",
}
_OIDS_SHOWN = 20


def add_salvage(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    salvage = commands.add_parser(
        "salvage",
        description="Write everything of a damaged dump that still decodes, row by row, into a new"
        " one that pg_restore reads, and report the rows that are missing, by table. The damaged"
        " file is only read. Needs no server. The exit code is 8 if something is missing or in"
        " doubt.",
    )
    add_backup(salvage)
    salvage.topic(Topic.OUTPUT).add_argument(
        "--output",
        metavar="NEW",
        type=Path,
        required=True,
        help="the file of the new dump, which must not exist yet",
    )
    options.add(salvage, "env", "output_dir", "database", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Salvage a dump; returns the exit code."""
    call = call_of(arguments)
    path = backup_path(call, arguments.file)
    with call.terminal.drawing():
        wanted = SalvageOptions(call.context.directory / arguments.output)
        result = salvage_backup(StoredBackup.at(path), wanted, call.context)
    report.print(lambda: _object(result), lambda: _text(result), good=result.complete)
    return 0 if result.complete else VerificationFailed.exit_code


def _object(result: SalvageResult) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {"complete": result.complete, **plain(result)}


def _text(result: SalvageResult) -> Text:
    """Return a line for each table that is not whole, and those of its surroundings."""
    text = Text(f"{printable(str(result.output))}, {size(result.size_bytes)}\n")
    if result.complaint:
        text.append(f"No rows to compare with: {printable(result.complaint)}\n", WARNING)
    if result.unreadable_bytes:
        text.append(f"{size(result.unreadable_bytes)} of the file cannot be read\n", BAD)
    if result.definitions_vouched is False:
        text.append("The table of contents is not the recorded one: definitions may differ\n", BAD)
    for table in result.tables:
        if not table.is_whole:
            text.append_text(_table(table))
    _large_objects(text, result.large_objects)
    whole = [table for table in result.tables if table.is_whole]
    for vouched in Vouched:
        if several := [table for table in whole if table.vouched is vouched]:
            text.append("✓ ", GOOD)
            text.append(f"{counted(len(several), 'whole table')}: {_VOUCHED[vouched]}\n")
    text.append(_verdict(result))
    return text


def _table(table: TableReport) -> Text:
    name = printable(table_key(table.schema, table.name))
    saved = "none saved" if not table.saved else f"{counted(table.saved, 'row')} saved"
    missing = "the number missing is not known"
    if table.missing is not None:
        missing = f"{table.missing:,} of {counted(table.rows or 0, 'row')} missing"
    line = Text.assemble(("✗ ", BAD), f"{name}: {saved}, {missing}")
    if table.saved:
        line.append(f"; {_VOUCHED[table.vouched]}")
    if table.dropped:
        line.append(f"; {counted(table.dropped, 'row')} dropped, not as COPY writes them")
    return line.append("\n")


def _large_objects(text: Text, objects: LargeObjectsReport) -> None:
    if not objects.is_whole:
        text.append("✗ ", BAD).append(f"large objects: {objects.saved:,} saved")
        text.append(f", {len(objects.missing):,} missing{_oids(objects.missing)}\n")
    if objects.doubtful:
        text.append("? ", WARNING).append(f"large objects with zeros{_oids(objects.doubtful)}:")
        text.append(" they may be damaged there\n")


def _oids(oids: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, oids[:_OIDS_SHOWN]))
    return f" ({shown}{', …' if len(oids) > _OIDS_SHOWN else ''})" if oids else ""


def _verdict(result: SalvageResult) -> str:
    if result.complete:
        return "Nothing is missing"
    new = shlex.quote(printable(str(result.output)))
    return f"Something is missing. Restore the rest: pg_restore --dbname DATABASE {new}"
