"""The command line of ``backup_db.py``: options alone, and the mode they choose."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import EXIT_CODES, Parser, path
from pgvow.settings.options import flag_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
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
    parser = build_parser()
    typed = parser.parse_args(argv)
    mode = _mode(typed)
    strange = vars(typed).keys() - _allowed(mode)
    if strange:
        names = ", ".join(sorted(map(flag_of, strange)))
        place = f"with {_MODE_OPTION[mode]}" if mode in _MODE_OPTION else "here"
        parser.error(f"not allowed {place}: {names}")
    command = mode.removesuffix("_all")
    return options.filled(argparse.Namespace(command=command, **vars(typed)))


def _allowed(mode: str) -> set[str]:
    """Return the names of the options that go with a mode: those of the same command of pgvow."""
    groups = options.OF_COMMAND[mode.removesuffix("_all")]
    names = {option.typed_name for option in options.of_groups(*groups, *_EVERYWHERE)}
    if mode == "verify":
        return names - {"all", "env", "output_dir"} | {"file"}  # a file is named by its path
    return names | {"list"} if mode == "list" else names


def _mode(typed: argparse.Namespace) -> str:
    if "file" in typed:
        return "verify"
    if "all" in typed:
        return "verify_all"
    return "list" if "list" in typed else "backup"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of ``backup_db.py``."""
    parser = Parser(
        prog="backup_db.py",
        description="Back up the development or production database that .env files describe;\n"
        "verify a backup, or list them. With no option: detect the environment, make a backup.",
        epilog=_EXAMPLES + EXIT_CODES,
    )
    options.add(parser, "env", "output_dir")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--verify",
        dest="file",
        metavar="FILE",
        type=path,
        default=argparse.SUPPRESS,
        help="check one backup instead of making one",
    )
    mode.add_argument(
        "--list",
        action="store_true",
        default=argparse.SUPPRESS,
        help="list the backups instead of making one",
    )
    options.add(parser, "deep", *options.OF_COMMAND["backup"][2:])
    return parser
