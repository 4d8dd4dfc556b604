"""``pgvow prune``: remove the backups that no rule keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser

_TEXT = """\
Remove the backups that no rule keeps. Rules count good backups alone, for each database apart, and
backups of a part (-t, -n …) among those of the same part alone. The newest proven and the newest
verified backup of each are never removed, nor is one that is damaged, that somebody is reading, or
that pgvow did not make. Without any rule nothing is removed.
"""


def add_prune(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prune = commands.add_parser("prune", description=_TEXT)
    options.add(prune, "keep")
    prune.add_argument("--database", metavar="NAME", help="only the backups of this database")
    prune.add_argument(
        "--dry-run", action="store_true", help="say what would happen, and remove nothing"
    )
    options.add(prune, "env", "output_dir", "report", "record")
