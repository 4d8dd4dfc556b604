"""``pgvow diff``: what changed between two backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse


def add_diff(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    diff = commands.add_parser(
        "diff",
        help="show what changed between two backups",
        description="Show what changed from backup A, the older, to backup B: tables, rows,"
        " contents, schema objects, sequences, large objects. Needs no server. The exit code is 0"
        ' whether anything differs or not; --json says so in "equal".',
    )
    diff.add_argument("older", metavar="A", type=path, help="the older .dump file")
    diff.add_argument("newer", metavar="B", type=path, help="the newer .dump file")
    options.add(diff, "report")


def diff(arguments: argparse.Namespace) -> int:
    """Show what changed between two backups."""
    from pgvow.cli.printing import print_result  # noqa: PLC0415 - --help loads no libraries
    from pgvow.cli.progress import TerminalProgress  # noqa: PLC0415
    from pgvow.cli.render.diff import diff_object, diff_text  # noqa: PLC0415
    from pgvow.operations.diff import diff_backups  # noqa: PLC0415

    with TerminalProgress(quiet=arguments.quiet) as progress:
        result = diff_backups(
            StoredBackup.at(arguments.older), StoredBackup.at(arguments.newer), progress=progress
        )
        for warning in result.warnings:
            progress.warn(warning)
    print_result(arguments, lambda: diff_object(result), lambda: diff_text(result))
    return 0
