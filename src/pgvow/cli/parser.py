"""The command line of ``pgvow``: a command, then its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.cli import options
from pgvow.cli.arguments import Parser, path
from pgvow.cli.commands.config import add_config
from pgvow.cli.commands.diff import add_diff
from pgvow.cli.commands.extract import add_extract
from pgvow.cli.commands.notify import add_notify
from pgvow.cli.commands.prove import add_prove
from pgvow.cli.commands.prune import add_prune
from pgvow.cli.commands.restore import add_restore
from pgvow.cli.commands.schedule import add_schedule
from pgvow.cli.commands.show import add_show
from pgvow.cli.commands.status import add_history, add_status
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
    backup = commands.add_parser("backup", help="make a backup", description="Make a backup.")
    options.add(backup, *options.OF_COMMAND["backup"])
    verify = commands.add_parser(
        "verify",
        help="check one backup",
        description="Check one backup: size, SHA-256, metadata, and that pg_restore can read it.",
    )
    verify.add_argument(
        "file", metavar="FILE", type=path, nargs="?", help="the .dump file; or --all"
    )
    options.add(verify, *options.OF_COMMAND["verify"])
    listing = commands.add_parser(
        "list", help="list the backups there are", description="List backups, newest first."
    )
    options.add(listing, *options.OF_COMMAND["list"])
    for add_command in (
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
    ):
        add_command(commands)
    _add_doctor(commands)
    _add_demo(commands)
    return parser


def _add_doctor(commands: argparse._SubParsersAction[Parser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check everything a backup needs",
        description="Check settings, tools, connection, rights, space and the backups there are.",
    )
    options.add(doctor, "env", "output_dir", "report")


def _add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="show it all on a throw-away server",
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
