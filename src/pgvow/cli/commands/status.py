"""``pgvow status`` and ``pgvow history``: how the backups stand, and what was done."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser
    from pgvow.errors import PgvowError
    from pgvow.operations.health.status import StatusReport

_UNKNOWN = 3
"""What a monitoring plug-in ends with when it cannot tell."""
_NAGIOS = {0: 0, 11: 1, 12: 2}


def add_status(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    status = commands.add_parser(
        "status",
        help="how the backups stand: age, level, change, space",
        description="One line for each database: the newest backup, its level, age and size, what"
        " changed, the next run and the space left. Exit code 0: healthy; 11: warning; 12:"
        " critical.",
    )
    options.add(status, "age")
    status.add_argument(
        "--nagios",
        action="store_true",
        help="one line, and exit code 0, 1, 2 or 3, as monitoring plug-ins have it",
    )
    options.add(status, "env", "output_dir", "report")


def add_history(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    history = commands.add_parser(
        "history", help="what was run, when, and how it ended", description="Runs, newest first."
    )
    history.add_argument(
        "--last", metavar="N", type=options.count, help="so many (default: 20; with --json all)"
    )
    history.add_argument("--operation", metavar="NAME", help="backup, verify, prove, prune …")
    options.add(history, "env", "output_dir", "report")


def status(arguments: argparse.Namespace) -> int:
    """Show how the backups stand."""
    from pgvow.errors import PgvowError  # noqa: PLC0415 - --help loads no libraries

    if not arguments.nagios:
        return _status(arguments)
    try:
        report = _report(arguments)
    except PgvowError as error:
        return unknown(error)
    from pgvow.cli.render.status import nagios_line  # noqa: PLC0415

    print(nagios_line(report))
    return _NAGIOS[report.exit_code]


def unknown(error: PgvowError) -> int:
    """Say in a monitor's words that nothing is known."""
    from pgvow.outside import printable  # noqa: PLC0415

    cause = next(iter(error.cause.splitlines()), "")
    print(f"PGVOW UNKNOWN - {printable(cause).replace('|', '/')}")
    return _UNKNOWN


def _status(arguments: argparse.Namespace) -> int:
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.cli.render.status import status_object, status_text  # noqa: PLC0415

    report = _report(arguments)
    print_result(
        arguments,
        lambda: status_object(report),
        lambda: status_text(report),
        good=not report.exit_code,
    )
    return report.exit_code


def _report(arguments: argparse.Namespace) -> StatusReport:
    from pgvow.cli.configured import environment_of  # noqa: PLC0415
    from pgvow.operations.health.status import current_status  # noqa: PLC0415
    from pgvow.operations.schedule.installed import installed  # noqa: PLC0415

    return current_status(
        arguments.configuration,
        arguments.output_dir,
        datetime.now(UTC),
        environment=environment_of(arguments),
        max_age=arguments.max_age,
        installed=tuple(installed(os.environ)),
    )


def history(arguments: argparse.Namespace) -> int:
    """Show what was run."""
    from pgvow.cli.configured import environment_of  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.cli.render.history import (  # noqa: PLC0415
        SHOWN,
        history_object,
        history_text,
        warn_of_passed_over,
    )
    from pgvow.errors import ConfigurationError  # noqa: PLC0415
    from pgvow.runs import Operation  # noqa: PLC0415
    from pgvow.store.history import History  # noqa: PLC0415

    wanted = arguments.operation
    if wanted is not None and wanted not in list(Operation):
        known = ", ".join(Operation)
        raise ConfigurationError(f"{wanted!r} is no operation", steps=[f"One of: {known}"])
    chosen = environment_of(arguments)
    found = History(arguments.output_dir).read()
    runs = [
        run
        for run in reversed(found.runs)
        if chosen in (None, run.environment) and wanted in (None, run.operation)
    ]
    count = arguments.last or (len(runs) if arguments.json else SHOWN)
    print_result(
        arguments,
        lambda: history_object(runs[:count]),
        lambda: history_text(runs[:count], len(runs), found.broken, arguments.output_dir),
    )
    if found.broken and arguments.json:  # a list of runs has no place for it
        warn_of_passed_over(found.broken)
    return 0
