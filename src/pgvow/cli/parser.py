"""The command line of ``pgvow``: a command, then its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgvow import __version__
from pgvow.cli import options
from pgvow.cli.arguments import EXIT_CODES, Parser
from pgvow.cli.commands import COMMANDS, add_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  pgvow demo                     see it all on a throw-away server, in a minute
  pgvow doctor                   check settings, tools, rights and space
  pgvow backup --env prod        back up the production database
  pgvow list
  pgvow verify db/backups/NAME.dump
  pgvow prove --latest           restore the newest on a throw-away server, and compare
  pgvow prune --keep-daily 7 --keep-weekly 4 --dry-run
  pgvow schedule install --env prod --at "0 2 * * *"
  pgvow status                   whether all is well

"""


def parse_pgvow(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of ``pgvow``; raises ConfigurationError."""
    # The options before a command take no value: the first other word is the command.
    command = next((word for word in argv if not word.startswith("-")), "")
    parser = build_parser([command])
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


class Commands:
    """Adds commands, each with the line of the table of commands in the help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """Add a command, and return its parser."""
        return self._commands.add_parser(name, help=COMMANDS[name].help, **options)


def build_parser(chosen: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Build the parser of ``pgvow``, with the options of the chosen commands alone."""
    parser = Parser(
        prog="pgvow",
        description="PostgreSQL backups that prove they will come back.",
        epilog=_EXAMPLES + EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"pgvow {__version__}")
    commands = Commands(parser)
    for name in COMMANDS:
        if name in chosen:
            add_options(name, commands)
        else:
            commands.add_parser(name)
    return parser
