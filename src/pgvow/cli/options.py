"""The options of each command, declared once for both faces.

Every option's default is SUPPRESS, so that a parsed namespace holds just what was typed: that is
how an option of another mode is recognised. ``DEFAULTS`` fills in the rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import DEFAULT_DIRECTORY, defaults
from pgvow.cli.arguments import path
from pgvow.cli.cores import usable_cores

if TYPE_CHECKING:
    from datetime import timedelta

    from pgvow.model import Compress

DEFAULTS: dict[str, Any] = {
    "env": "auto",
    "output_dir": Path(DEFAULT_DIRECTORY),
    "space_factor": defaults.SPACE_FACTOR,
    "lock_wait_timeout": defaults.LOCK_WAIT_SECONDS,
    "stall_timeout": defaults.STALL_TIMEOUT,
    "run_timeout": None,
    "no_globals": False,
    "no_inspect": False,
    "statistics": False,
    "jobs": defaults.JOBS,
    "engine": None,
    "compress": None,
    "schema": (),
    "exclude_schema": (),
    "table": (),
    "exclude_table": (),
    "exclude_table_data": (),
    "deep": False,
    "all": False,
    "file": None,
    "config": None,
    "metrics_file": None,
    "log_file": None,
    "log_format": "text",
    "json": False,
    "quiet": False,
}


def add_env(group: argparse.ArgumentParser) -> None:
    """Add ``--env``."""
    group.add_argument(
        "--env",
        metavar="{dev,prod,auto}",
        default=argparse.SUPPRESS,
        help="which database; development and production are accepted too, and the environments"
        " of pgvow.toml (default: auto)",
    )


def add_output_dir(group: argparse.ArgumentParser) -> None:
    """Add ``--output-dir``."""
    group.add_argument(
        "--output-dir",
        metavar="DIR",
        type=path,
        default=argparse.SUPPRESS,
        help=f"where backups are (default: {DEFAULT_DIRECTORY}/)",
    )


def add_backup(group: argparse.ArgumentParser) -> None:
    """Add what only making a backup knows."""
    group.add_argument(
        "--space-factor",
        metavar="N",
        type=_not_negative,
        default=argparse.SUPPRESS,
        help="free space required, as a multiple of the database's size"
        f" (default: {defaults.SPACE_FACTOR:g})",
    )
    group.add_argument(
        "--lock-wait-timeout",
        metavar="SECONDS",
        type=_not_negative,
        default=argparse.SUPPRESS,
        help="how long to try for the locks on all tables"
        f" (default: {defaults.LOCK_WAIT_SECONDS:g})",
    )
    group.add_argument(
        "--statistics",
        action="store_true",
        default=argparse.SUPPRESS,
        help="keep the planner's statistics too, so that a restore need not analyze (pg_dump 18)",
    )
    group.add_argument(
        "--no-inspect",
        action="store_true",
        default=argparse.SUPPRESS,
        help="do not read the dump back to its last byte and compare it with the server's counts",
    )
    group.add_argument(
        "--inspect",
        dest="no_inspect",
        action="store_false",
        default=argparse.SUPPRESS,
        help="read it back, whatever pgvow.toml says (default)",
    )
    group.add_argument(
        "--no-globals",
        action="store_true",
        default=argparse.SUPPRESS,
        help="do not keep roles and tablespaces beside the dump",
    )
    group.add_argument(
        "--globals",
        dest="no_globals",
        action="store_false",
        default=argparse.SUPPRESS,
        help="keep them, whatever pgvow.toml says (default)",
    )


def add_patience(group: argparse.ArgumentParser) -> None:
    """Add how long a run waits for a server or a tool, and how long it may take."""
    group.add_argument(
        "--stall-timeout",
        metavar="TIME",
        type=_duration,
        default=argparse.SUPPRESS,
        help="end the run after so long without a sign of progress from server or tool: 90s, 15m,"
        " 2h (default: 15m)",
    )
    group.add_argument(
        "--run-timeout",
        metavar="TIME",
        type=_duration,
        default=argparse.SUPPRESS,
        help="end the run if it takes longer than this (default: no limit)",
    )


def add_engine(group: argparse.ArgumentParser) -> None:
    """Add how to dump, and what."""
    group.add_argument(
        "--jobs",
        metavar="N|auto",
        type=_jobs,
        default=argparse.SUPPRESS,
        help="copy with so many workers into the one file; auto: the cores of this machine, at most"
        f" 8 (default: {defaults.JOBS}, pg_dump alone)",
    )
    group.add_argument(
        "--engine",
        choices=("parallel", "pg_dump"),
        default=argparse.SUPPRESS,
        help="who copies the rows (default: pg_dump, or parallel where --jobs is 2 or more)",
    )
    group.add_argument(
        "--compress",
        metavar="HOW",
        type=_compress,
        default=argparse.SUPPRESS,
        help="gzip, gzip:1-9, zstd, zstd:1-22 (from PostgreSQL 16 on) or none (default: gzip)",
    )
    for short, name, what in (
        ("-n", "--schema", "only schemas that match"),
        ("-N", "--exclude-schema", "leave out schemas that match"),
        ("-t", "--table", "only tables that match"),
        ("-T", "--exclude-table", "leave out tables that match"),
        (None, "--exclude-table-data", "leave out the rows of tables that match"),
    ):
        group.add_argument(
            *([short] if short else []),
            name,
            metavar="PATTERN",
            action="append",
            default=argparse.SUPPRESS,
            help=f"{what}, as pg_dump has it; may be repeated",
        )


def is_parallel(arguments: argparse.Namespace) -> bool:
    """Say whether the parallel engine is to be used."""
    if arguments.engine is None:
        return bool(arguments.jobs > 1)
    return bool(arguments.engine == "parallel")


def selection(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Collect pg_dump's own options of what to dump."""
    from pgvow.model import SELECTING, selecting_options  # noqa: PLC0415 - --help must not load it

    return selecting_options({name: getattr(arguments, name) for name in SELECTING})


def add_deep(group: argparse.ArgumentParser) -> None:
    """Add how thoroughly to verify, and what."""
    group.add_argument(
        "--deep",
        action="store_true",
        default=argparse.SUPPRESS,
        help="decode every byte and compare every table with the metadata",
    )
    group.add_argument(
        "--all",
        action="store_true",
        default=argparse.SUPPRESS,
        help="verify every backup there is; the worst result decides the exit code",
    )


def add_report(group: argparse.ArgumentParser) -> None:
    """Add how the result is told."""
    group.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print the result as JSON, and nothing else on standard output",
    )
    group.add_argument(
        "--quiet",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print nothing on success",
    )
    group.add_argument(
        "--config",
        metavar="FILE",
        type=path,
        default=argparse.SUPPRESS,
        help="the settings file (default: PGVOW_CONFIG, else pgvow.toml here where there is one)",
    )


def add_record(group: argparse.ArgumentParser) -> None:
    """Add where a run leaves word of itself, besides the history."""
    group.add_argument(
        "--metrics-file",
        metavar="FILE",
        type=path,
        default=argparse.SUPPRESS,
        help="write metrics there afterwards, for the textfile collector of Prometheus",
    )
    group.add_argument(
        "--log-file",
        metavar="FILE",
        type=path,
        default=argparse.SUPPRESS,
        help="append how it went to this file: for cron",
    )
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        default=argparse.SUPPRESS,
        help="lines for people or for programs (default: text)",
    )


def filled(namespace: argparse.Namespace) -> argparse.Namespace:
    """Fill in the default of everything that was not typed."""
    typed = frozenset(vars(namespace)) & DEFAULTS.keys() - {"all", "file"}
    return argparse.Namespace(**{**DEFAULTS, **vars(namespace), "typed": typed})


def count(text: str) -> int:
    """Read a whole number of 1 or more."""
    # Not int() alone, which takes "1_000" and digits of any script.
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _jobs(text: str) -> int:
    from pgvow.model import MOST_JOBS  # noqa: PLC0415 - --help must not load it

    jobs = usable_cores() if text == "auto" else count(text)
    if jobs > MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text} are more than {MOST_JOBS} workers")
    return jobs


def _compress(text: str) -> Compress:
    from pgvow.model import Compress  # noqa: PLC0415 - --help must not load it

    try:
        return Compress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _duration(text: str) -> timedelta:
    from pgvow.settings.durations import parse_duration  # noqa: PLC0415 - not for --help

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    # NaN compares false with everything, and infinity is no number of bytes or seconds.
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value
