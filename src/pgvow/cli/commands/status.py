"""``pgvow status``: the state of the backups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING, output
from pgvow.cli.report import plain
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import (
    counted,
    elapsed,
    moment,
    selected,
    size,
    sparkline,
    without_digests,
)
from pgvow.errors import PgvowError
from pgvow.operations.health.alarms import next_steps
from pgvow.operations.health.status import StatusOptions, current_status
from pgvow.operations.schedule.installed import installed
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.health.status import PartStatus, SeriesStatus, StatusReport
    from pgvow.runs import Alarm

_UNKNOWN = 3
"""The exit code of a monitoring plug-in that cannot tell."""
_NAGIOS = {0: 0, 11: 1, 12: 2}
_WORDS = {0: "OK", 11: "WARNING", 12: "CRITICAL"}


_COLUMNS = (
    Column(""),
    Column("Environment", drop=6),
    Column("Database", drop=7),
    Column("Newest", drop=3),
    Column("Age", is_right=True),
    Column("Level", drop=5),
    Column("Size", is_right=True),
    Column("Change", drop=4, is_right=True),
    Column("Next run", drop=2),
    Column("Free", drop=1),
)
_DRAWN = (Column("Sizes"), Column("Durations"))


def add_status(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    status = commands.add_parser(
        "status",
        description="One line for each database: the newest backup, its level, age and size, what"
        " changed, the next run and the space left. Exit code 0: healthy; 11: warning; 12:"
        " critical.",
    )
    options.add(status, "age")
    status.topic(Topic.OUTPUT).add_argument(
        "--nagios",
        action="store_true",
        help="one line, and exit code 0, 1, 2 or 3, as monitoring plug-ins have it",
    )
    options.add(status, "env", "database", "output_dir", "wide", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show how the backups stand; returns the exit code."""
    if arguments.nagios:
        return _monitor(arguments)
    status = _status(arguments)
    good = status.exit_code == 0
    report.print(lambda: _object(status), lambda: _text(status, wide=arguments.wide), good=good)
    return status.exit_code


def _monitor(arguments: argparse.Namespace) -> int:
    """Print the one line of a monitoring plug-in; returns its exit code."""
    try:
        status = _status(arguments)
    except PgvowError as error:
        cause = next(iter(error.cause.splitlines()), "")
        print(f"PGVOW UNKNOWN - {printable(cause).replace('|', '/')}")
        return _UNKNOWN
    print(_nagios_line(status))
    return _NAGIOS[status.exit_code]


def _status(arguments: argparse.Namespace) -> StatusReport:
    call = call_of(arguments)
    jobs = tuple(installed(call.context))
    options = StatusOptions(call.environment, arguments.database, arguments.max_age, installed=jobs)
    return current_status(call.output_dir, options, call.context)


def _object(report: StatusReport) -> dict[str, Any]:
    """Return the object of ``--json``: times in seconds, changes as shares."""
    return {
        "at": plain(report.at),
        "status": _WORDS[report.exit_code].lower(),
        "exit_code": report.exit_code,
        "databases": [_series_object(series) for series in report.series],
    }


def _series_object(series: SeriesStatus) -> dict[str, Any]:
    newest = series.newest
    return {
        "environment": series.environment,
        "database": series.database,
        "directory": str(series.directory),
        "status": _WORDS[series.exit_code].lower(),
        "newest": str(newest.path) if newest else None,
        "timestamp": plain(newest.timestamp) if newest else None,
        "age_seconds": round(series.age.total_seconds()) if series.age is not None else None,
        "level": newest.trusted if newest else None,
        "size_bytes": newest.size_bytes if newest else None,
        "size_change": series.size_change,
        "rows_change": series.rows_change,
        "proven_at": plain(series.proven_at),
        "last_success": plain(series.last_success.started) if series.last_success else None,
        "last_failure": plain(series.last_failure.started) if series.last_failure else None,
        "next_run": series.next_run.isoformat() if series.next_run else None,
        "free_bytes": series.free_bytes,
        "days_left": round(series.days_left, 1) if series.days_left is not None else None,
        "alarms": [_alarm_object(alarm) for alarm in series.alarms],
        "acknowledged": [
            {**_alarm_object(alarm), "acknowledged": alarm.known} for alarm in series.known
        ],
        "selection": list(newest.selection) if newest else [],
        "parts": [_part_object(part) for part in series.parts],
    }


def _part_object(part: PartStatus) -> dict[str, Any]:
    return {
        "selection": list(part.selection),
        "newest": str(part.newest.path),
        "timestamp": plain(part.newest.timestamp),
        "level": part.newest.trusted,
        "size_bytes": part.newest.size_bytes,
        "count": part.count,
    }


def _alarm_object(alarm: Alarm) -> dict[str, Any]:
    return {
        "kind": str(alarm.kind),
        "critical": alarm.is_critical,
        "name": alarm.name,
        "message": alarm.message,
    }


def _text(report: StatusReport, *, wide: bool) -> RenderableType:
    """Return one line for each database, and under them the alarms with the commands to type.

    ``wide`` draws the sizes and durations of the last backups as well.
    """
    columns = _COLUMNS + _DRAWN * wide
    rows = [[*_cells(series), *(_drawn(series) if wide else ())] for series in report.series]
    lines = [
        line
        for series in report.series
        for line in (*_alarm_lines(series), *_known_lines(series), *_part_lines(series))
    ]
    return Group(FittedTable(columns, rows, is_wide=wide), *lines)


def _cells(series: SeriesStatus) -> Iterator[str | Text]:
    mark, style = {0: ("✓", GOOD), 11: ("!", WARNING), 12: ("✗", BAD)}[series.exit_code]
    yield Text(mark, style=style)
    yield series.environment or "-"
    yield printable(series.database or "-")
    newest = series.newest
    if newest is None:
        yield from "-" * 5
    else:
        yield moment(newest.timestamp) if newest.timestamp else "?"
        yield _age(series)
        yield newest.trusted or "listed"
        yield size(newest.size_bytes or 0)
        yield f"{series.size_change:+.1%}" if series.size_change is not None else "first"
    yield moment(series.next_run) if series.next_run else "-"
    yield _space(series)


def _drawn(series: SeriesStatus) -> Iterator[str]:
    encoding = output().encoding
    yield sparkline(series.sizes, encoding) or "-"
    yield sparkline(series.durations, encoding) or "-"


def _age(series: SeriesStatus) -> str:
    return elapsed(series.age.total_seconds()) if series.age is not None else "?"


def _space(series: SeriesStatus) -> str:
    if series.free_bytes is None:
        return "-"
    days = (
        f", full in {counted(round(series.days_left), 'day')}"
        if series.days_left is not None
        else ""
    )
    return size(series.free_bytes) + days


def _alarm_lines(series: SeriesStatus) -> Iterator[Text]:
    for alarm in series.alarms:
        mark, style = ("✗", BAD) if alarm.is_critical else ("!", WARNING)
        where = " ".join(part for part in (series.environment, series.database) if part)
        first, *others = next_steps(alarm)
        message = f"{where}: {alarm.message}" if where else alarm.message
        yield Text.assemble(
            (mark, style), f" {printable(without_digests(message))}", (f"  → {first}", "dim")
        )
        yield from (Text(f"  → {step}", "dim") for step in others)


def _known_lines(series: SeriesStatus) -> Iterator[Text]:
    """Name the faults that a person has acknowledged: they are there, and no alarm."""
    where = " ".join(part for part in (series.environment, series.database) if part)
    for alarm in series.known:
        text = f"{where}: {without_digests(alarm.message)}; {alarm.known}"
        yield Text(f"- {printable(text)}", "dim")


def _part_lines(series: SeriesStatus) -> Iterator[Text]:
    """Name the backups of parts, which count for nothing above."""
    where = " ".join(part for part in (series.environment, series.database) if part)
    for part in series.parts:
        newest = part.newest.timestamp
        when = f", the newest of {moment(newest)}" if newest else ""
        count = counted(part.count, "backup")
        text = f"{where}: {count} of only a part, {selected(part.selection)}{when}"
        yield Text(f"- {printable(text)}", "dim")


def _nagios_line(report: StatusReport) -> str:
    """Return one line as monitoring plug-ins print it, with performance data behind the bar."""
    alarms = [
        alarm.message for alarm in sorted(report.alarms, key=lambda alarm: not alarm.is_critical)
    ]
    fine = [
        f"{_label(series)} {_age(series)} old" for series in report.series if series.age is not None
    ]
    text = printable("; ".join(alarms or fine)).replace("|", "/").replace("\n", " ")
    data = " ".join(item for series in report.series for item in _performance(series))
    return f"PGVOW {_WORDS[report.exit_code]} - {text} | {data}".rstrip(" |")


def _label(series: SeriesStatus) -> str:
    return "/".join(part for part in (series.environment, series.database) if part) or "backup"


def _performance(series: SeriesStatus) -> Iterator[str]:
    label = re.sub(r"[='|\s]", "_", printable(_label(series)))
    if series.age is not None and series.newest is not None:
        yield f"'{label} age'={round(series.age.total_seconds())}s"
        yield f"'{label} size'={series.newest.size_bytes or 0}B"
    if series.free_bytes is not None:
        yield f"'{label} free'={series.free_bytes}B"
