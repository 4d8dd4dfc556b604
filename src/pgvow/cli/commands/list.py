"""``pgvow list``: list the backups of every directory, or of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_list(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    listing = commands.add_parser("list", description="List backups, newest first.")
    options.add(listing, *options.OF_COMMAND["list"])
