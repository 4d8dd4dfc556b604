"""``pgvow diff``: the changes between two backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


def add_diff(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    diff = commands.add_parser(
        "diff",
        description="Show what changed from backup A, the older, to backup B: tables, rows,"
        " contents, schema objects, sequences, large objects. Needs no server. The exit code is 0"
        ' whether anything differs or not; --json says so in "equal".',
    )
    diff.add_argument("older", metavar="A", type=path, help="the older .dump file")
    diff.add_argument("newer", metavar="B", type=path, help="the newer .dump file")
    options.add(diff, "report")
