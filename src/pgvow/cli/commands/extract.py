"""``pgvow extract``: one table's rows out of a backup."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, UsageProblem, add_backup, path
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD, styled
from pgvow.cli.picking import backup_path, named_object, named_rows
from pgvow.cli.recording import recording_of
from pgvow.cli.words import counted, size
from pgvow.errors import PgvowError
from pgvow.operations.extract import (
    Extracted,
    ExtractOptions,
    RowFormat,
    extract_table,
    new_file,
)
from pgvow.operations.recorded import recorded
from pgvow.quoted_texts import printable
from pgvow.runs import Operation
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.extract import Sink

_FORMATS = ("csv", "copy", "insert")


def add_extract(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    extract = commands.add_parser(
        "extract",
        description="Write one table's rows to standard output or a new file, all or some, in the"
        " archive's encoding. Needs no server. They are all there if, and only if, the exit code is"
        " 0.",
    )
    add_backup(extract)
    extract.topic(Topic.OUTPUT).add_argument(
        "--table",
        metavar="NAME",
        required=True,
        help="as pgvow show names it: messages, or schema.table, parts quoted as in SQL",
    )
    extract.topic(Topic.OUTPUT).add_argument(
        "--format",
        choices=_FORMATS,
        default=_FORMATS[0],
        help="csv, with a header (default); copy, the text that COPY FROM reads; or insert, INSERT"
        " statements for psql, in one transaction",
    )
    extract.topic(Topic.WHAT).add_argument(
        "--where-key",
        metavar="KEY",
        action="append",
        default=[],
        help="only the row with this primary key, given as often as there are rows: the value, or,"
        " of a key of several columns, COLUMN=VALUE,COLUMN=VALUE, quoted as in CSV; a key that no"
        " row has is exit code 2",
    )
    extract.topic(Topic.OUTPUT).add_argument(
        "--output",
        metavar="FILE",
        type=path,
        help="write them to this file, which must not exist, and print a report; --json needs it",
    )
    options.add(extract, "env", "output_dir", "database", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Write one table's rows to standard output or a file; returns the exit code."""
    if report.as_json and arguments.output is None:
        raise UsageProblem(
            "rows on standard output leave no room for --json",
            steps=["Write them to a file: --output FILE"],
        )
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.EXTRACT)) as current:
        backup = backup_path(call, arguments.file)
        current.note(file=backup.name)
        extract = _to_standard_output if arguments.output is None else _to_file
        extract(call, backup, report)
    return current.exit_code


def _options(
    typed: argparse.Namespace, sink: Sink, name: str = "standard output"
) -> ExtractOptions:
    keys = tuple(typed.where_key)
    return ExtractOptions(typed.table, RowFormat(typed.format), sink, keys, name)


def _to_standard_output(call: Call, backup: Path, _report: Report) -> None:
    typed = call.arguments
    how = _options(typed, sys.stdout.buffer)
    # Rows on a terminal are progress enough, and a bar between them would be none.
    bar = nullcontext() if sys.stdout.isatty() else call.terminal.drawing()
    try:
        with bar:
            extract_table(StoredBackup.at(backup), how, call.context)
    except PgvowError:
        _discard_output()
        raise


def _to_file(call: Call, backup: Path, report: Report) -> None:
    typed, output = call.arguments, call.arguments.output
    with new_file(output) as sink, call.terminal.drawing():
        how = _options(typed, sink, str(output))
        done = extract_table(StoredBackup.at(backup), how, call.context)
    written = {
        "ok": True,
        "path": str(output),
        "table": done.table,
        "rows": done.rows,
        "bytes": done.bytes,
        "format": typed.format,
        "backup": str(backup),
        **named_object(typed.file, backup),
    }
    rows = [("Backup", str(backup)), *named_rows(typed.file, backup), ("File", str(output))]
    rows += [("Size", size(done.bytes)), ("Format", typed.format)]
    report.print(lambda: written, lambda: _text(done, rows))


def _text(done: Extracted, rows: Sequence[tuple[str, str]]) -> Text:
    head = f" {counted(done.rows, 'row')} of {printable(done.table)} written\n"
    text = Text.assemble(styled("✓", GOOD), head)
    for name, value in rows:
        text.append(f"\n{name + ':':<8} {printable(value)}")
    return text


def _discard_output() -> None:
    """Discard the buffer of a full disk, which would be written again when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
