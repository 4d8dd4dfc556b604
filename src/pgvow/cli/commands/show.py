"""``pgvow show``: the contents of a backup, or the code in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


def add_show(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    show = commands.add_parser(
        "show",
        description="Show what is in a backup, and how to restore it with PostgreSQL's own tools."
        " Needs no server. Rows and sizes come from the metadata, or, for a .dump without any,"
        " from reading it.",
    )
    show.add_argument("file", metavar="FILE", type=path, help="the .dump file")
    show.add_argument(
        "--code",
        action="store_true",
        help="list its functions, triggers, event triggers, rules, checks, generated columns and"
        " extensions by owner, instead: what a restore runs",
    )
    options.add(show, "report")
