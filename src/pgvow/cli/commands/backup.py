"""``pgvow backup``: make a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_backup(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    backup = commands.add_parser("backup", description="Make a backup.")
    options.add(backup, *options.OF_COMMAND["backup"])
