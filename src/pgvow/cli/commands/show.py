"""``pgvow show``: what is in a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse


def add_show(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    show = commands.add_parser(
        "show",
        help="show what is in a backup",
        description="Show what is in a backup, and how to restore it with PostgreSQL's own tools."
        " Needs no server. Rows and sizes come from the metadata, or, for a .dump without any,"
        " from reading it.",
    )
    show.add_argument("file", metavar="FILE", type=path, help="the .dump file")
    show.add_argument(
        "--code",
        action="store_true",
        help="list its functions, triggers, event triggers, rules, checks, generated columns and"
        " extensions by owner, instead: what a restore runs",
    )
    options.add(show, "report")


def show(arguments: argparse.Namespace) -> int:
    """Show what is in a backup, or the code in it."""
    if arguments.code:
        return _show_code(arguments)
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.cli.progress import TerminalProgress  # noqa: PLC0415 - --help loads no libraries
    from pgvow.cli.render.show import shown_object, shown_text  # noqa: PLC0415
    from pgvow.operations.show import show_backup  # noqa: PLC0415

    with TerminalProgress(quiet=arguments.quiet) as progress:
        result = show_backup(StoredBackup.at(arguments.file), progress=progress)
    print_result(arguments, lambda: shown_object(result), lambda: shown_text(result))
    return 0


def _show_code(arguments: argparse.Namespace) -> int:
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.cli.progress import TerminalProgress  # noqa: PLC0415
    from pgvow.cli.render.code import code_object, code_text  # noqa: PLC0415
    from pgvow.operations.show import code_in_backup  # noqa: PLC0415

    with TerminalProgress(quiet=arguments.quiet) as progress:
        code = code_in_backup(StoredBackup.at(arguments.file), progress=progress)
    print_result(arguments, lambda: code_object(arguments.file, code), lambda: code_text(code))
    return 0
