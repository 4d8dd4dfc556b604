"""``pgvow restore``: a backup becomes a database again."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, UsageProblem, add_backup, path
from pgvow.cli.beside import beside_object, beside_options, beside_text, shown_and_confirmed
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD, WARNING, errors, mark, styled
from pgvow.cli.picking import backup_path, named_object, named_rows
from pgvow.cli.recording import patience_of, recording_of
from pgvow.cli.report import plain
from pgvow.cli.words import (
    counted,
    duration,
    loosened_lines,
    moment,
    number,
    part_rows,
    retried_line,
)
from pgvow.operations.core.fill import default_jobs
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.operations import restore_file, restore_file_beside
from pgvow.operations.restore import RestoreOptions
from pgvow.operations.restore.checks import is_asked_for
from pgvow.operations.restore.selection import read_owner_map
from pgvow.postgres.databases import dropdb, psql
from pgvow.quoted_texts import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.recorded import RecordedRun
    from pgvow.operations.restore import RestoreResult
    from pgvow.operations.restore.beside_plan import BesideOptions
    from pgvow.settings import Settings

_TEXT = """\
Verify a backup, restore it into a database that does not exist yet, and compare every row of it
with what was backed up. The restore happens under a temporary name: what stands under the name you
give is whole, or not there.

With --table and --into DATABASE the tables are put into a living database, beside those that it
has, under names that are free: with their rows, indexes, constraints and comments, readable by
their owner alone. Nothing that exists is changed. What is to be made is shown first.

Checks, generated columns and functions in the backup are code of the source's roles, and a restore
runs it. A superuser's restore is done by a role made for it, which is no superuser, may run no
programs, and is dropped at the end; if it cannot log in as you do, a warning says so, and the code
runs with your rights. Extensions, functions in C and the like are restored by you in any case. Look
first: pgvow show FILE --code.
"""


def add_restore(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    restore = commands.add_parser("restore", description=_TEXT)
    add_backup(restore)
    goals = restore.topic(Topic.WHERE).add_mutually_exclusive_group(required=True)
    goals.add_argument("--to", metavar="DATABASE", help="the database to make; it must not exist")
    goals.add_argument(
        "--into",
        metavar="DATABASE",
        help="a living database, in which the tables of --table are put beside those that it has",
    )
    options.add(restore, "env", "output_dir", "database", "patience")
    _add_beside(restore)
    _add_what(restore)
    _add_owners(restore)
    _add_swap(restore)
    _add_rescue(restore)
    options.add(restore, "report", "record")


def _add_beside(restore: Parser) -> None:
    names = restore.topic(Topic.WHERE).add_mutually_exclusive_group()
    names.add_argument(
        "--as",
        metavar="NAME",
        dest="as_name",
        help="the copy's name with --into, or SCHEMA.NAME (default: the table's own if that is"
        " free, else NAME_before)",
    )
    names.add_argument(
        "--as-schema",
        metavar="SCHEMA",
        help="put the copies of --into into this schema, under their own names; made if need be",
    )


def _add_what(restore: Parser) -> None:
    restore.topic(Topic.SPEED).add_argument(
        "--jobs",
        metavar="N",
        type=options.count,
        help="connections that restore at the same time (default: the cores, at least 2 and at"
        " most 8; 1 restores by one connection)",
    )
    restore.topic(Topic.WHAT).add_argument(
        "--table",
        metavar="NAME",
        nargs="+",
        action="append",
        default=[],
        help="restore only this table, with all that it needs and all that hangs on it; may be"
        " repeated",
    )
    restore.topic(Topic.WHAT).add_argument(
        "--schema-only", action="store_true", help="restore the definitions and no rows"
    )


def _add_owners(restore: Parser) -> None:
    owners = restore.topic(Topic.WHAT).add_mutually_exclusive_group()
    owners.add_argument(
        "--owner-map",
        metavar="FILE",
        type=path,
        help="give what one role owns or was granted to another: a line old=new each",
    )
    owners.add_argument(
        "--no-owner",
        action="store_true",
        help="let everything belong to the role that restores; its functions and checks run with"
        " that role's rights from then on",
    )
    restore.topic(Topic.WHAT).add_argument(
        "--globals",
        action="store_true",
        help="first create the roles and tablespaces kept beside the dump; those that exist stay"
        " as they are",
    )
    restore.topic(Topic.WHERE).add_argument(
        "--no-tablespaces",
        action="store_true",
        help="put everything into the server's default tablespace",
    )


def _add_swap(restore: Parser) -> None:
    restore.topic(Topic.WHERE).add_argument(
        "--swap",
        action="store_true",
        help="put it in the place of the database of that name, which is kept as"
        " NAME_before_TIMESTAMP",
    )
    restore.topic(Topic.WHERE).add_argument(
        "--terminate",
        action="store_true",
        help="end the sessions connected to the old database at the moment of the swap",
    )
    restore.topic(Topic.WHERE).add_argument(
        "--yes",
        action="store_true",
        help="do not ask for the database's name before a swap, or a copy by --into (development"
        " never asks)",
    )


def _add_rescue(restore: Parser) -> None:
    restore.topic(Topic.WHAT).add_argument(
        "--rescue",
        action="store_true",
        help="bring back every row, and loosen or leave out objects that the server refuses; a"
        " script with the statements that make it whole is written here",
    )
    restore.topic(Topic.WHERE).add_argument(
        "--accept-loosened",
        action="store_true",
        help="let --rescue with --swap put a database with something loosened in the old one's"
        " place",
    )
    restore.topic(Topic.WHERE).add_argument(
        "--keep",
        action="store_true",
        help="keep the database of a restore that fails, as NAME_differs_TIMESTAMP",
    )


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Restore a backup; returns the exit code."""
    arguments = with_tables(arguments)
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.RESTORE)) as current:
        settings, beside = call.load_settings(), beside_options(arguments)
        options = _options(arguments)
        path = backup_path(call, arguments.file)
        if beside is not None:
            _restore_beside(call, current, settings, path, beside, report)
            return current.exit_code
        if not options.confirmed:
            options = replace(options, confirmed=_is_typed(settings, options))
        patience = patience_of(call)
        with call.terminal.drawing():
            result = restore_file(call.context, current, settings, path, options, patience)
        typed = arguments.file
        report.print(
            lambda: {**_object(result), **named_object(typed, path)},
            lambda: restored_text(result, named_rows(typed, path)),
        )
    return current.exit_code


def with_tables(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments with the tables as one list, and the backup that was typed behind one.

    ``--table a b`` takes every word up to the next option. If no other word names the backup, the
    last of them does, as in ``--table a --table b latest``. Raises UsageProblem if it may be one of
    several.
    """
    tables: list[list[str]] = [list(words) for words in arguments.table]
    file = arguments.file
    long = [words for words in tables if len(words) > 1]
    if file is None and len(long) > 1:
        raise UsageProblem(
            "which word behind --table names the backup?",
            steps=["Name it first: pgvow restore NAME --table TABLE --table TABLE"],
        )
    if file is None and long:
        file = long[0].pop()
    flat = [table for words in tables for table in words]
    return argparse.Namespace(**{**vars(arguments), "table": flat, "file": file})


def _restore_beside(
    call: Call,
    current: RecordedRun,
    settings: Settings,
    path: Path,
    options: BesideOptions,
    report: Report,
) -> None:
    """Show what is to be made in a living database, ask, make it, and report."""
    options = shown_and_confirmed(call, settings, path, options)
    with call.terminal.drawing():
        done = restore_file_beside(
            call.context, current, settings, path, options, patience_of(call)
        )
    report.print(
        lambda: {**_object(done.result), "beside": beside_object(done)}, lambda: beside_text(done)
    )


def _options(arguments: argparse.Namespace) -> RestoreOptions:
    return RestoreOptions(
        database=arguments.to,
        jobs=arguments.jobs or default_jobs(),
        tables=tuple(arguments.table),
        schema_only=arguments.schema_only,
        no_owner=arguments.no_owner,
        owner_map=read_owner_map(arguments.owner_map) if arguments.owner_map else {},
        with_globals=arguments.globals,
        no_tablespaces=arguments.no_tablespaces,
        swap=arguments.swap,
        terminate=arguments.terminate,
        confirmed=arguments.yes,
        rescue=arguments.rescue,
        accept_loosened=arguments.accept_loosened,
        keep=arguments.keep,
        again=shlex.join(["pgvow", *sys.argv[1:]]),
    )


def _is_typed(settings: Settings, options: RestoreOptions) -> bool:
    """Ask for the database's name before one is replaced that is not for development."""
    if not is_asked_for(settings, options) or not sys.stdin.isatty():
        return False
    server = f"{settings.connection.host}:{settings.connection.ports}"
    where = printable(f"{server} ({settings.environment})")
    errors().print(
        f"This replaces the database {printable(options.database)} on {where}.\n"
        "Type its name to go on: ",
        end="",
    )
    return bool(sys.stdin.readline().rstrip("\n") == options.database)


def restored_text(result: RestoreResult, named: Sequence[tuple[str, str]] = ()) -> Text:
    """Return the report: the backup, the new database, durations, and the comparison.

    ``named`` has the row with the word that the backup was chosen by, if it was one.
    """
    loosened = result.rescue.loosened
    if result.not_compared is not None:
        text = Text.assemble(styled("!", WARNING), " Backup restored, but not compared\n\n")
    elif loosened:
        objects = counted(len(loosened), "object")
        text = Text.assemble(styled("!", WARNING), f" Backup restored, with {objects} loosened\n\n")
    else:
        text = Text.assemble(styled("✓", GOOD), " Backup restored\n\n")
    for name, value in _rows(result, named):
        text.append(f"{name + ':':<12} {printable(value)}\n")
    good = result.not_compared is None
    text.append(f"{'Compared:':<12} ").append(mark(good=good)).append(f" {_compared(result)}")
    for line in _of_rescue(result):
        text.append(f"\n{line}")
    if result.kept_as is not None:
        command = printable(dropdb(result.kept_as))
        text.append(f"\n\nWhen the old database is no longer needed: {command}")
    return text


def _of_rescue(result: RestoreResult) -> Iterator[str]:
    """Yield the lines of entries that were restored later or in a looser form."""
    if result.retried:
        yield f"{'Retried:':<12} {retried_line(each.manner for each in result.retried)}"
    rescue = result.rescue
    if rescue.loosened:
        yield ""
        yield from loosened_lines([each.shown for each in rescue.loosened])
    if rescue.rejected is not None:
        yield f"\nRows that no table takes: {printable(str(rescue.rejected))}"
    if rescue.finish is not None:
        command = f"{psql(result.database)} -f {shlex.quote(str(rescue.finish))}"
        yield f"\nWhen the rows are mended, this makes it whole: {printable(command)}"


def _rows(result: RestoreResult, named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    metadata = result.metadata
    made = f"{metadata.database_name} ({metadata.environment}), {moment(metadata.backup_timestamp)}"
    server = f"PostgreSQL {result.server.version} at {result.address}"
    server += f", pg_restore {result.pg_restore}"
    rows = [
        ("Backup", f"{result.file} of {made}"),
        *named,
        *part_rows(metadata),
        ("Database", result.database),
        ("Environment", result.environment),
        ("Server", server),
        ("Objects", number(result.entries)),
        ("Took", f"{duration(result.seconds)} (restoring {duration(result.restore_seconds)})"),
    ]
    if result.kept_as is not None:
        ended = f", {number(result.ended)} sessions ended" if result.ended else ""
        rows.append(("Replaced", f"the old one is kept as {result.kept_as}{ended}"))
    return rows


def _compared(result: RestoreResult) -> str:
    comparison = result.comparison
    if comparison is None:
        return printable(f"Not possible here: {result.not_compared}")
    text = f"{number(comparison.tables)} tables, {number(comparison.rows)} rows: nothing differs"
    if not comparison.reordered:
        return text
    return f"{text} (in another order: {printable(', '.join(comparison.reordered))})"


def _object(result: RestoreResult) -> dict[str, Any]:
    """Return the object of ``--json``."""
    comparison = result.comparison
    return {
        "ok": result.not_compared is None,
        "file": str(result.file),
        "database": result.database,
        "host": result.address.host,
        "port": result.address.port,
        "environment": result.environment,
        "metadata": plain(result.metadata),
        "selection": list(result.metadata.selection),
        "postgresql_version": result.server.version,
        "pg_restore_version": result.pg_restore,
        "entries": result.entries,
        "comparison": None
        if comparison is None
        else {**plain(comparison), "equal": comparison.equal},
        "not_compared": result.not_compared,
        "kept_as": result.kept_as,
        "beside": None,
        "sessions": plain(result.sessions),
        "sessions_ended": result.ended,
        "retried": [{"name": each.entry.shown, "manner": each.manner} for each in result.retried],
        "loosened": [
            {
                **plain(each.shown),
                "finish": list(each.finish),
                "rejected": each.rejected.name if each.rejected else None,
            }
            for each in result.rescue.loosened
        ],
        "finish": str(result.rescue.finish) if result.rescue.finish else None,
        "rejected": str(result.rescue.rejected) if result.rescue.rejected else None,
        "restore_seconds": round(result.restore_seconds, 3),
        "seconds": round(result.seconds, 3),
        "warnings": list(result.warnings),
    }
