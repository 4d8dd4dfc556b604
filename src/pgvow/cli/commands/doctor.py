"""``pgvow doctor``: check everything a backup needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_doctor(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    doctor = commands.add_parser(
        "doctor",
        description="Check settings, tools, connection, rights, space and the backups there are.",
    )
    options.add(doctor, "env", "output_dir", "report")
