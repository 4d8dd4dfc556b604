"""``pgvow demo``: back up, list, verify and damage a database on a throw-away server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser(
        "demo",
        description="Back up, list, verify and damage a believable database on a server of its own"
        " that is gone afterwards.",
    )
    demo.add_argument(
        "--messages",
        metavar="N",
        type=options.count,
        default=100_000,
        help="how many chat messages to make up (default: 100000)",
    )
    options.add(demo, "output_dir")
