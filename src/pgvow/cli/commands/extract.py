"""``pgvow extract``: one table's rows out of a backup."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.picking import backup_path
from pgvow.cli.recording import recording_of
from pgvow.errors import PgvowError
from pgvow.operations.extract import ExtractOptions, RowFormat, extract_table
from pgvow.operations.recorded import recorded
from pgvow.runs import Operation
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.report import Report

_FORMATS = ("csv", "copy", "insert")


def add_extract(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    extract = commands.add_parser(
        "extract",
        description="Write one table's rows to standard output, all or some, in the archive's"
        " encoding. Needs no server. They are all there if, and only if, the exit code is 0.",
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
    options.add(extract, "env", "output_dir", "database")


def run(arguments: argparse.Namespace, _report: Report) -> int:
    """Write one table's rows to standard output; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.EXTRACT)) as current:
        path, table = backup_path(call, arguments.file), arguments.table
        how = ExtractOptions(
            table, RowFormat(arguments.format), sys.stdout.buffer, tuple(arguments.where_key)
        )
        current.note(file=path.name)
        # Rows on a terminal are progress enough, and a bar between them would be none.
        bar = nullcontext() if sys.stdout.isatty() else call.terminal.drawing()
        try:
            with bar:
                extract_table(StoredBackup.at(path), how, call.context)
        except PgvowError:
            _discard_output()
            raise
    return current.exit_code


def _discard_output() -> None:
    """Discard the buffer of a full disk, which would be written again when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
