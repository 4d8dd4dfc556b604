"""The command line of ``pgvow``: a command, then its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.cli import options
from pgvow.cli.arguments import Parser
from pgvow.cli.commands.backup import add_backup
from pgvow.cli.commands.config import add_config
from pgvow.cli.commands.demo import add_demo
from pgvow.cli.commands.diff import add_diff
from pgvow.cli.commands.doctor import add_doctor
from pgvow.cli.commands.extract import add_extract
from pgvow.cli.commands.list import add_list
from pgvow.cli.commands.notify import add_notify
from pgvow.cli.commands.prove import add_prove
from pgvow.cli.commands.prune import add_prune
from pgvow.cli.commands.restore import add_restore
from pgvow.cli.commands.schedule import add_schedule
from pgvow.cli.commands.show import add_show
from pgvow.cli.commands.status import add_history, add_status
from pgvow.cli.commands.verify import add_verify
from pgvow.cli.help import EXIT_CODES, PGVOW_EXAMPLES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def parse_pgvow(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of ``pgvow``; raises ConfigurationError."""
    parser = build_parser()
    typed = parser.parse_args(argv)
    if typed.command == "verify":
        _check_verify(parser, typed)
    return options.filled(typed)


def _check_verify(parser: argparse.ArgumentParser, typed: argparse.Namespace) -> None:
    if (typed.file is None) == ("all" not in typed):
        parser.error("verify takes a FILE, or --all")
    if typed.file is not None and "output_dir" in typed:
        parser.error("--output-dir goes with --all: a FILE is named by its path")
    if typed.file is not None and "env" in typed:
        parser.error("--env goes with --all: a FILE is named by its path")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of ``pgvow``."""
    parser = Parser(
        prog="pgvow",
        description="PostgreSQL backups that prove they will come back.",
        epilog=PGVOW_EXAMPLES + EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"pgvow {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add_command in (
        add_backup,
        add_verify,
        add_list,
        add_restore,
        add_prove,
        add_prune,
        add_status,
        add_history,
        add_notify,
        add_config,
        add_schedule,
        add_show,
        add_extract,
        add_diff,
        add_doctor,
        add_demo,
    ):
        add_command(commands)
    return parser
