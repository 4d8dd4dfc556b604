"""``pgvow verify``: check a backup, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path

if TYPE_CHECKING:
    import argparse


def add_verify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    verify = commands.add_parser(
        "verify",
        description="Check one backup: size, SHA-256, metadata, and that pg_restore can read it.",
    )
    verify.add_argument(
        "file", metavar="FILE", type=path, nargs="?", help="the .dump file; or --all"
    )
    options.add(verify, *options.OF_COMMAND["verify"])
