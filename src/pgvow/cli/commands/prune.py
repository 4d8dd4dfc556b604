"""``pgvow prune``: remove the backups that no rule keeps."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    from pgvow.cli.arguments import Parser

_TEXT = """\
Remove the backups that no rule keeps. Rules count good backups alone, for each database apart, and
backups of a part (-t, -n …) among those of the same part alone. The newest proven and the newest
verified backup of each are never removed, nor is one that is damaged, that somebody is reading, or
that pgvow did not make. Without any rule nothing is removed.
"""
_COUNTED = {
    "last": "the newest N",
    "hourly": "the newest of each of the last N hours that have one",
    "daily": "the same for days",
    "weekly": "the same for ISO weeks",
    "monthly": "the same for months",
    "yearly": "the same for years",
}


def add_prune(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prune = commands.add_parser("prune", description=_TEXT)
    for name, what in _COUNTED.items():
        prune.add_argument(
            f"--keep-{name}",
            metavar="N",
            type=options.count,
            default=argparse.SUPPRESS,
            help=f"keep {what}",
        )
    prune.add_argument(
        "--keep-within",
        metavar="TIME",
        type=_duration,
        default=argparse.SUPPRESS,
        help="keep all that are at most so much older than the newest: 12h, 30d, 8w",
    )
    prune.add_argument("--database", metavar="NAME", help="only the backups of this database")
    prune.add_argument(
        "--dry-run", action="store_true", help="say what would happen, and remove nothing"
    )
    for add in (options.add_env, options.add_output_dir, options.add_report, options.add_record):
        add(prune)


def _duration(text: str) -> object:
    from pgvow.settings.durations import parse_duration  # noqa: PLC0415 - for --help

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
