"""The command line of ``backup_db.py``: options alone, and the mode they choose."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pgvow.cli import options
from pgvow.cli.arguments import EXIT_CODES, Parser, path

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
_EVERYWHERE = {"json", "quiet", "config", "metrics_file", "log_file", "log_format"}
_OF_MODE = {
    "backup": {
        "env",
        "output_dir",
        "space_factor",
        "lock_wait_timeout",
        "stall_timeout",
        "run_timeout",
        "no_globals",
        "no_inspect",
        "statistics",
        "jobs",
        "engine",
        "compress",
        "schema",
        "exclude_schema",
        "table",
        "exclude_table",
        "exclude_table_data",
    },
    "verify": {"file", "deep", "stall_timeout", "run_timeout"},
    "verify_all": {"all", "deep", "env", "output_dir", "stall_timeout", "run_timeout"},
    "list": {"env", "output_dir", "list"},
}
_MODE_OPTION = {"verify": "--verify", "verify_all": "--all", "list": "--list"}


def parse_contract(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of ``backup_db.py``; raises ConfigurationError."""
    parser = build_parser()
    typed = parser.parse_args(argv)
    mode = _mode(typed)
    strange = vars(typed).keys() - _OF_MODE[mode] - _EVERYWHERE
    if strange:
        names = ", ".join(sorted("--" + name.replace("_", "-") for name in strange))
        with_what = _MODE_OPTION.get(mode)
        parser.error(f"not allowed {f'with {with_what}' if with_what else 'here'}: {names}")
    command = mode.removesuffix("_all")
    return options.filled(argparse.Namespace(command=command, **vars(typed)))


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
    options.add_env(parser)
    options.add_output_dir(parser)
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
    options.add_deep(parser)
    options.add_backup(parser)
    options.add_engine(parser)
    options.add_patience(parser)
    options.add_report(parser)
    options.add_record(parser)
    return parser
