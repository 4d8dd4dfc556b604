"""``pgvow adopt``: make a backup of a dump that pgvow did not make."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow import settings
from pgvow.adoption import UNCHECKED
from pgvow.cli import options
from pgvow.cli.arguments import Topic, path
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD, styled
from pgvow.cli.recording import recording_of
from pgvow.cli.report import plain
from pgvow.cli.words import counted, moment, selected, short_digest, size
from pgvow.operations.adopt import AdoptOptions, adopt_dump
from pgvow.operations.recorded import recorded
from pgvow.quoted_texts import printable
from pgvow.runs import Operation
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.adopt import AdoptResult

_TEXT = """\
Make a backup of a dump that pgvow did not make: any file in the custom format of pg_dump 12 to 18.
It is decoded to its last byte and copied into the directory of the backups, with metadata made of
it: it is listed, verified, proven and pruned like the others. Its source is never seen: counts and
checksum are of the file as it is now, and its level is "listed" until a check shows another.
"""


def add_adopt(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    adopt = commands.add_parser("adopt", description=_TEXT)
    adopt.add_argument("dump", metavar="FILE", type=path, help="the dump, by its path")
    subject = adopt.topic(Topic.WHAT)
    subject.add_argument(
        "--database",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="the database that it is of (default: as its header has it)",
    )
    subject.add_argument(
        "--move", action="store_true", help="remove FILE once its copy is a backup"
    )
    options.add(adopt, "env", "output_dir", "report", "record")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Adopt a dump; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.ADOPT)) as current:
        wanted = AdoptOptions(
            call.output_dir,
            environment=call.environment,
            fallback=_detected(call),
            database=call.arguments.database,
            move=arguments.move,
        )
        with call.terminal.drawing():
            result = adopt_dump(StoredBackup.at(arguments.dump), wanted, call.context)
        current.note_backup(result.backup.path, result.metadata, result.backup.level)
        report.print(lambda: _object(result), lambda: adopt_text(result))
    return 0


def _detected(call: Call) -> str | None:
    """Return the only environment that the settings name, if there is one alone."""
    variables = settings.Variables.read(environ=os.environ, directory=Path())
    known = call.context.configuration.environments
    return settings.detected_environment(call.arguments.env, variables, known)


def adopt_text(result: AdoptResult) -> Text:
    """Return the facts of the new backup, and what cannot be known of it."""
    text = Text.assemble(styled("✓", GOOD), " Adopted as a backup\n\n")
    for label, value in _facts(result):
        text.append(f"{label + ':':<13}{printable(value)}\n")
    text.append("\nNo check can show\n")
    for fact in UNCHECKED:
        text.append(f"  {fact}\n")
    name = result.backup.path.name
    return text.append(f"\nProve that it comes back: pgvow prove {printable(name)}")


def _facts(result: AdoptResult) -> Iterator[tuple[str, str]]:
    known, adopted = result.metadata, result.metadata.adopted
    yield "Backup", str(result.backup.path)
    yield "Adopted", f"{result.given}, which {'was removed' if result.moved else 'stays'}"
    yield "Environment", known.environment
    yield "Database", known.database_name
    origin = adopted.facts.get("backup_timestamp", "") if adopted else ""
    yield "Timestamp", f"{moment(known.backup_timestamp)}, {_ORIGINS.get(origin, origin)}"
    yield "Server", f"PostgreSQL {known.postgresql_version}, pg_dump {known.pg_dump_version}"
    tables, rows = len(known.table_counts), sum(known.table_counts.values())
    yield "Rows", f"{counted(rows, 'row')} in {counted(tables, 'table')}"
    if known.selection:
        yield "Only a part", selected(known.selection)
    yield "Size", size(known.backup_size_bytes)
    yield "Checksum", short_digest(known.checksum_sha256)
    yield "Level", result.backup.level or "listed"


_ORIGINS = {
    "header": "as the header has it, in this machine's time zone",
    "name": "as its name has it",
    "file": "of the file's last change",
}


def _object(result: AdoptResult) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {
        "backup_path": str(result.backup.path),
        "adopted_path": str(result.given),
        "moved": result.moved,
        "environment": result.metadata.environment,
        "database": result.metadata.database_name,
        "level": plain(result.backup.level),
        "unchecked": list(UNCHECKED),
        "selection": list(result.metadata.selection),
        "warnings": list(result.warnings),
        "metadata": plain(result.metadata),
    }
