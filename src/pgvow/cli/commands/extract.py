"""``pgvow extract``: one table's rows out of a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


_FORMATS = ("csv", "copy")


def add_extract(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    extract = commands.add_parser(
        "extract",
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
