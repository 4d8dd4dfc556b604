"""``pgvow compare``: the rows of a backup beside those of a database in use."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, UsageProblem, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD, WARNING, discard, styled
from pgvow.cli.picking import backup_path
from pgvow.cli.recording import patience_of
from pgvow.cli.report import plain
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import counted, moment
from pgvow.errors import PgvowError
from pgvow.operations.compare import CompareOptions, compare_backup
from pgvow.operations.compare.output import OutputFormat
from pgvow.operations.recorded import patient
from pgvow.quoted_texts import printable
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.compare import BackupComparison, ComparedTable

_COUNTS = "counts"
_LINES_SHOWN = 40
"""Of more tables only those that differ are shown."""


def add_compare(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    compare = commands.add_parser(
        "compare",
        description="Set the rows of a backup beside those of a database in use, by the primary"
        " key: rows that only the backup has, rows that only the database has, and rows that"
        " differ. The database is only read, in one read-only transaction; with --format sql the"
        " statements that bring the backup's rows back are printed, and none is run. The exit code"
        ' is 0 whether anything differs or not; --json says so in "equal".',
    )
    add_backup(compare)
    where, output = compare.topic(Topic.WHERE), compare.topic(Topic.OUTPUT)
    where.add_argument(
        "--with",
        dest="live",
        metavar="LIVE",
        required=True,
        help="the database: an environment such as prod, the name of a database on the server of"
        " --env, or a URL; keep the password in ~/.pgpass, others see a command line",
    )
    compare.topic(Topic.WHAT).add_argument(
        "--table",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="compare only these tables, as pgvow show names them",
    )
    output.add_argument(
        "--format",
        choices=(_COUNTS, *OutputFormat),
        default=_COUNTS,
        help="counts of each table (default); csv, the rows of one table that differ, with the"
        " values of both sides; or sql, the INSERTs and UPDATEs that bring the backup's rows back,"
        " for psql, in one transaction",
    )
    output.add_argument(
        "--deletes",
        action="store_true",
        help="with --format sql: also a DELETE for each row that only the database has",
    )
    options.add(compare, "env", "output_dir", "database", "patience", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Compare a backup with a database; returns the exit code."""
    _check(arguments, report)
    call = call_of(arguments)
    path, chosen = backup_path(call, arguments.file), _options(arguments)
    # Rows on a terminal are progress enough, and a bar between them would be none.
    on_terminal = chosen.output is not None and sys.stdout.isatty()
    with nullcontext() if on_terminal else call.terminal.drawing():
        result = _compared(call, StoredBackup.at(path), chosen)
    if chosen.output is None:
        report.print(lambda: _object(result), lambda: _text(result), good=result.equal)
    return 0


def _check(arguments: argparse.Namespace, report: Report) -> None:
    if arguments.deletes and arguments.format != OutputFormat.SQL:
        raise UsageProblem("--deletes is for statements: add --format sql")
    if report.as_json and arguments.format != _COUNTS:
        raise UsageProblem(
            f"--json has the counts, and --format {arguments.format} the rows: keep one"
        )


def _options(arguments: argparse.Namespace) -> CompareOptions:
    output = None if arguments.format == _COUNTS else OutputFormat(arguments.format)
    return CompareOptions(
        live=arguments.live,
        env=arguments.env,
        tables=tuple(arguments.table),
        output=output,
        deletes=arguments.deletes,
        sink=None if output is None else sys.stdout.buffer,
    )


def _compared(call: Call, backup: StoredBackup, chosen: CompareOptions) -> BackupComparison:
    try:
        with patient(call.context, patience_of(call), PgvowError):
            return compare_backup(backup, chosen, call.context)
    except PgvowError:
        if chosen.sink is not None:
            discard(sys.stdout)  # else a full disk's buffer would be written again at the end
        raise


def _text(result: BackupComparison) -> RenderableType:
    """Return the two sides, and a line for each table."""
    known = result.metadata
    when = f", {moment(known.backup_timestamp)}" if known else ""
    server = f"PostgreSQL {result.server.version} at {result.address}"
    head = Text(
        f"Backup    {printable(str(result.path))} of {printable(result.database_name)}{when}\n"
        f"Database  {printable(result.server.database)}, {printable(server)}\n"
    )
    columns = (
        Column("Table"),
        Column("Only in backup", is_right=True),
        Column("Only in database", is_right=True),
        Column("Different", is_right=True),
        Column("Equal", drop=1, is_right=True),
        Column("", drop=2, is_below=True),
    )
    tables = result.tables
    if len(tables) > _LINES_SHOWN:
        tables = tuple(table for table in tables if not table.equal)
    rows = [_row(table) for table in tables]
    if not rows:
        return Group(head, *_end(result))
    return Group(head, FittedTable(columns, rows), *_end(result))


def _row(table: ComparedTable) -> list[str | Text]:
    name, counts = printable(table.title), table.counts
    if counts is None:
        return [name, "", "", "", "", Text(f"not compared: {table.not_compared}", WARNING)]
    equal = counts.in_backup - counts.only_in_backup - counts.different
    differing = (counts.only_in_backup, counts.only_in_database, counts.different)
    numbers = [Text(f"{count:,}", WARNING if count else "") for count in differing]
    return [name, *numbers, f"{equal:,}", _remark(table)]


def _remark(table: ComparedTable) -> Text:
    remarks = [] if table.key else ["by whole rows, for it has no key"]
    for side, columns in (
        ("backup", table.only_in_backup),
        ("database", table.only_in_database),
    ):
        if columns:
            remarks.append(f"only in the {side}: column {printable(', '.join(columns))}")
    return Text("; ".join(remarks))


def _end(result: BackupComparison) -> list[Text]:
    tables = counted(sum(table.equal for table in result.tables), "table")
    if result.equal:
        return [Text.assemble("\n", styled("✓", GOOD), f" Nothing differs in {tables}")]
    if all(table.counts is None or table.counts.equal for table in result.tables):
        return []
    return [Text("\nSee the rows: --format csv; bring them back: --format sql")]


def _object(result: BackupComparison) -> dict[str, Any]:
    """Return the object of ``--json``."""
    known = result.metadata
    return {
        "equal": result.equal,
        "backup": {
            "path": str(result.path),
            "database_name": result.database_name,
            "backup_timestamp": plain(known.backup_timestamp) if known else None,
            "postgresql_version": result.server_version,
        },
        "database": {
            "name": result.server.database,
            "host": result.address.host,
            "port": result.address.port,
            "environment": result.environment,
            "postgresql_version": result.server.version,
        },
        "tables": [_table_object(table) for table in result.tables],
        "seconds": round(result.seconds, 3),
        "warnings": list(result.warnings),
    }


def _table_object(table: ComparedTable) -> dict[str, Any]:
    counts = table.counts
    return {
        "table": table.title,
        "schema": table.schema,
        "name": table.name,
        "equal": table.equal,
        "not_compared": table.not_compared,
        "key": list(table.key),
        "rows_in_backup": counts and counts.in_backup,
        "rows_in_database": counts and counts.in_database,
        "only_in_backup": counts and counts.only_in_backup,
        "only_in_database": counts and counts.only_in_database,
        "different": counts and counts.different,
        "columns_only_in_backup": list(table.only_in_backup),
        "columns_only_in_database": list(table.only_in_database),
    }
