"""``pgvow status`` and ``pgvow history``: the state of the backups, and the runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_status(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    status = commands.add_parser(
        "status",
        description="One line for each database: the newest backup, its level, age and size, what"
        " changed, the next run and the space left. Exit code 0: healthy; 11: warning; 12:"
        " critical.",
    )
    options.add(status, "age")
    status.add_argument(
        "--nagios",
        action="store_true",
        help="one line, and exit code 0, 1, 2 or 3, as monitoring plug-ins have it",
    )
    options.add(status, "env", "output_dir", "report")


def add_history(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    history = commands.add_parser("history", description="Runs, newest first.")
    history.add_argument(
        "--last", metavar="N", type=options.count, help="so many (default: 20; with --json all)"
    )
    history.add_argument("--operation", metavar="NAME", help="backup, verify, prove, prune …")
    options.add(history, "env", "output_dir", "report")
