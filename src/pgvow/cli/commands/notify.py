"""``pgvow notify test``: see whether messages arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_notify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    notify = commands.add_parser(
        "notify",
        description="Send a test message to every URL under [notifications] in pgvow.toml.",
    )
    notify.add_argument("what", choices=("test",), help="send a message to every URL")
    options.add(notify, "report")
