"""``pgvow list``: list the backups of every directory, or of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.configured import directories_of, environment_of
from pgvow.cli.printing import print_result

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser
    from pgvow.model import Backup


def add_list(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    listing = commands.add_parser(
        "list", help="list the backups there are", description="List backups, newest first."
    )
    for add in (options.add_env, options.add_output_dir, options.add_report):
        add(listing)


def list_backups(arguments: argparse.Namespace) -> int:
    """List the backups of every directory, or of one."""
    from pgvow.cli.render.listing import listing_object, listing_text  # noqa: PLC0415
    from pgvow.store import LocalStore  # noqa: PLC0415

    chosen = environment_of(arguments)
    directories = directories_of(arguments)
    selection_of = arguments.configuration.selection_of
    found = [
        backup
        for directory in directories
        for backup in LocalStore(directory).list()
        if chosen is None or backup.environment == chosen
    ]
    backups = sorted(found, key=_made_at, reverse=True)
    print_result(
        arguments,
        lambda: listing_object(backups, selection_of),
        lambda: listing_text(backups, directories, selection_of),
    )
    return 0


def _made_at(backup: Backup) -> float:
    return backup.timestamp.timestamp() if backup.timestamp else float("-inf")
