"""``pgvow config``: the settings in force with their origins, and whether they are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_config(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    config = commands.add_parser(
        "config",
        description="show: every setting that is in force and where it comes from, those of .env"
        " files too, secrets masked. check: whether pgvow.toml can be used, exit code 0 or 2.",
    )
    config.add_argument("what", choices=("show", "check"))
    options.add(config, "report")
