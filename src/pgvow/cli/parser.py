"""The command lines: that of ``pgvow``, and that of ``backup_db.py``, options alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pgvow import __version__
from pgvow.cli import options
from pgvow.cli.arguments import EXIT_CODES, Parser, UsageProblem, backup_name, like
from pgvow.cli.commands import COMMANDS, HERE, add_options
from pgvow.settings.declared_option import flag_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  pgvow init                     begin: five questions, and the first backup
  pgvow demo                     see it all on a throw-away server, in a minute
  pgvow doctor                   check settings, tools, rights and space
  pgvow backup --env prod        back up the production database
  pgvow list
  pgvow verify latest            or a name, or a time: yesterday
  pgvow prove latest             restore the newest on a throw-away server, and compare
  pgvow prune --keep-daily 7 --keep-weekly 4 --dry-run
  pgvow schedule install --env prod --at "0 2 * * *"
  pgvow status                   whether all is well

"""


def parse_pgvow(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of ``pgvow``; raises ConfigurationError."""
    if argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    if not argv:
        return options.filled(argparse.Namespace(command=HERE, nagios=False))
    # The options before a command take no value: the first other word is the command.
    command = next((word for word in argv if not word.startswith("-")), "")
    if command and command not in COMMANDS:
        near = like(command, COMMANDS)
        meant = f"; did you mean {near}?" if near else ""
        raise UsageProblem(
            f"no command {command}{meant}", steps=["See what there is: pgvow --help"]
        )
    parser = build_parser([command])
    typed = parser.parse_args(argv)
    if typed.command == "verify":
        _check_verify(parser, typed)
    return options.filled(typed)


def _check_verify(parser: argparse.ArgumentParser, typed: argparse.Namespace) -> None:
    if typed.file is not None and "all" in typed:
        parser.error("a backup, or --all")
    if "all" in typed and "database" in typed:
        parser.error("--database names one backup: with --all it has none to choose")


class Commands:
    """Adds commands, each with the line of the table of commands in the help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """Add a command, and return its parser."""
        command = COMMANDS[name]
        examples = "\n".join(f"  {example}" for example in command.examples)
        return self._commands.add_parser(
            name, help=command.help, epilog=f"examples:\n{examples}\n", **options
        )


def build_parser(chosen: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Build the parser of ``pgvow``, with the options of the chosen commands alone."""
    parser = Parser(
        prog="pgvow",
        description="PostgreSQL backups that prove they will come back.",
        epilog=_EXAMPLES + EXIT_CODES,
    )
    parser.add_argument("-V", "--version", action="version", version=f"pgvow {__version__}")
    commands = Commands(parser)
    for name in COMMANDS:
        if name in chosen:
            add_options(name, commands)
        else:
            commands.add_parser(name)
    return parser


_CONTRACT_EXAMPLES = """\
examples:
  python3 backup_db.py                            back up what .env.local and .env describe
  python3 backup_db.py --env prod                 back up the production database
  python3 backup_db.py --output-dir /mnt/backups  put it elsewhere
  python3 backup_db.py --list                     list what there is
  python3 backup_db.py --verify db/backups/NAME.dump

"""
_EVERYWHERE = ("report", "record")
_MODE_OPTION = {"verify": "--verify", "verify_all": "--all", "list": "--list"}


def parse_contract(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of ``backup_db.py``; raises ConfigurationError."""
    parser = build_contract_parser()
    typed = parser.parse_args(argv)
    mode = _mode(typed)
    strange = vars(typed).keys() - _allowed(mode)
    if strange:
        names = ", ".join(sorted(map(flag_of, strange)))
        place = f"with {_MODE_OPTION[mode]}" if mode in _MODE_OPTION else "here"
        parser.error(f"not allowed {place}: {names}")
    command = mode.removesuffix("_all")
    return options.filled(argparse.Namespace(command=command, contract=True, **vars(typed)))


def _allowed(mode: str) -> set[str]:
    """Return the names of the options that go with a mode: those of the same command of pgvow."""
    groups = options.OF_COMMAND[mode.removesuffix("_all")]
    names = {option.typed_name for option in options.of_groups(*groups, *_EVERYWHERE)}
    if mode == "verify":
        return names - {"all", "env", "output_dir", "database"} | {"file"}
    return names | {"list"} if mode == "list" else names


def _mode(typed: argparse.Namespace) -> str:
    if "file" in typed:
        return "verify"
    if "all" in typed:
        return "verify_all"
    return "list" if "list" in typed else "backup"


def build_contract_parser() -> argparse.ArgumentParser:
    """Build the parser of ``backup_db.py``."""
    parser = Parser(
        prog="backup_db.py",
        description="Back up the development or production database that .env files describe;\n"
        "verify a backup, or list them. With no option: detect the environment, make a backup.",
        epilog=_CONTRACT_EXAMPLES + EXIT_CODES,
    )
    options.add(parser, "env", "output_dir", first=True)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--verify",
        dest="file",
        metavar="FILE",
        type=backup_name,
        default=argparse.SUPPRESS,
        help="check one backup instead of making one: a path, a name, or latest",
    )
    mode.add_argument(
        "--list",
        action="store_true",
        default=argparse.SUPPRESS,
        help="list the backups instead of making one",
    )
    options.add(parser, "deep", "database", "newest", "level", "wide")
    options.add(parser, *options.OF_COMMAND["backup"][2:])
    return parser
