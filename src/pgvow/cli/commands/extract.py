"""``pgvow extract``: one table's rows out of a backup."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pgvow.cli.arguments import Parser, path
from pgvow.errors import PgvowError
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse


_FORMATS = ("csv", "copy")


def add_extract(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    extract = commands.add_parser(
        "extract",
        help="write one table's rows to standard output",
        description="Write one table's rows to standard output, in the archive's encoding. Needs no"
        " server. They are all there if, and only if, the exit code is 0.",
    )
    extract.add_argument("file", metavar="FILE", type=path, help="the .dump file")
    extract.add_argument(
        "--table",
        metavar="NAME",
        required=True,
        help="as pgvow show names it: messages, or schema.table, parts quoted as in SQL",
    )
    extract.add_argument(
        "--format",
        choices=_FORMATS,
        default=_FORMATS[0],
        help="csv, with a header (default), or copy, the text that COPY FROM reads",
    )


def extract(arguments: argparse.Namespace) -> int:
    """Write one table's rows to standard output."""
    from pgvow.cli.progress import TerminalProgress  # noqa: PLC0415 - for --help
    from pgvow.operations.extract import RowFormat, extract_table  # noqa: PLC0415

    row_format = RowFormat(arguments.format)
    sink = sys.stdout.buffer
    arguments.watch.found(file=arguments.file.name)
    try:
        # Rows on a terminal are progress enough, and a bar between them would be none.
        with TerminalProgress(quiet=sys.stdout.isatty()) as progress:
            timed = arguments.watch.timed(progress)
            extract_table(StoredBackup.at(arguments.file), arguments.table, row_format, sink, timed)
    except PgvowError:
        _let_go_of_output()
        raise
    return 0


def _let_go_of_output() -> None:
    """What is left in the buffer of a full disk would be tried again when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
