"""``pgvow status``: how the backups stand."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING
from pgvow.cli.report import plain
from pgvow.cli.words import moment, selected, size
from pgvow.errors import PgvowError
from pgvow.operations.health.alarms import rounded
from pgvow.operations.health.status import current_status
from pgvow.operations.schedule.installed import installed
from pgvow.outside import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import RenderableType

    from pgvow.cli.report import Report
    from pgvow.operations.health.status import PartStatus, SeriesStatus, StatusReport
    from pgvow.runs import Alarm

_UNKNOWN = 3
"""The exit code of a monitoring plug-in that cannot tell."""
_NAGIOS = {0: 0, 11: 1, 12: 2}
_WORDS = {0: "OK", 11: "WARNING", 12: "CRITICAL"}
_HINTS = {
    "no backup": "pgvow backup",
    "too old": "pgvow history",
    "last run failed": "pgvow history",
    "damaged": "pgvow verify FILE --deep",
    "shrunk": "pgvow diff",
    "table shrunk": "pgvow diff",
    "table gone": "pgvow diff",
    "no proof": "pgvow prove --latest",
    "disk filling": "pgvow prune --dry-run",
    "stuck": "pgvow history",
    "no history": "pgvow history",
}


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show how the backups stand; returns the exit code."""
    if arguments.nagios:
        return _monitor(arguments)
    status = _status(arguments)
    good = status.exit_code == 0
    report.print(lambda: _object(status), lambda: _text(status), good=good)
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
    return current_status(
        call.context,
        call.output_dir,
        environment=call.environment,
        max_age=arguments.max_age,
        installed=tuple(installed(call.context.environ)),
    )


def _object(report: StatusReport) -> dict[str, Any]:
    """Everything that was found, times in seconds, changes as shares."""
    return {
        "at": plain(report.at),
        "status": _WORDS[report.exit_code].lower(),
        "exit_code": report.exit_code,
        "databases": [_series_object(one) for one in report.series],
    }


def _series_object(one: SeriesStatus) -> dict[str, Any]:
    newest = one.newest
    return {
        "environment": one.environment,
        "database": one.database,
        "directory": str(one.directory),
        "status": _WORDS[one.exit_code].lower(),
        "newest": str(newest.path) if newest else None,
        "timestamp": plain(newest.timestamp) if newest else None,
        "age_seconds": round(one.age.total_seconds()) if one.age is not None else None,
        "level": newest.trusted if newest else None,
        "size_bytes": newest.size_bytes if newest else None,
        "size_change": one.size_change,
        "rows_change": one.rows_change,
        "proven_at": plain(one.proven_at),
        "last_success": plain(one.last_success.started) if one.last_success else None,
        "last_failure": plain(one.last_failure.started) if one.last_failure else None,
        "next_run": one.next_run.isoformat() if one.next_run else None,
        "free_bytes": one.free_bytes,
        "days_left": round(one.days_left, 1) if one.days_left is not None else None,
        "alarms": [_alarm_object(alarm) for alarm in one.alarms],
        "selection": list(newest.selection) if newest else [],
        "parts": [_part_object(part) for part in one.parts],
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


def _text(report: StatusReport) -> RenderableType:
    """Render one line for each database, and under them what is wrong and what to type."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("Environment", "Database", "Newest", "Level"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Size", "Change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Next run", no_wrap=True)
    table.add_column("Free", overflow="fold")
    for one in report.series:
        table.add_row(*_cells(one))
    lines = [line for one in report.series for line in (*_alarm_lines(one), *_part_lines(one))]
    return Group(table, *lines)


def _cells(one: SeriesStatus) -> Iterator[Text]:
    mark, style = {0: ("✓", GOOD), 11: ("!", WARNING), 12: ("✗", BAD)}[one.exit_code]
    yield Text(mark, style=style)
    yield Text(one.environment or "-")
    yield Text(printable(one.database or "-"))
    newest = one.newest
    if newest is None:
        yield from (Text("-") for _ in range(4))
    else:
        yield Text(f"{rounded(one.age)} ago" if one.age is not None else "?")
        yield Text(newest.trusted or "listed")
        yield Text(size(newest.size_bytes or 0))
        yield Text(f"{one.size_change:+.1%}" if one.size_change is not None else "first")
    yield Text(moment(one.next_run.astimezone(UTC)) if one.next_run else "-")
    yield Text(_space(one))


def _space(one: SeriesStatus) -> str:
    if one.free_bytes is None:
        return "-"
    days = f", full in {one.days_left:,.0f} days" if one.days_left is not None else ""
    return size(one.free_bytes) + days


def _alarm_lines(one: SeriesStatus) -> Iterator[Text]:
    for alarm in one.alarms:
        mark, style = ("✗", BAD) if alarm.is_critical else ("!", WARNING)
        where = " ".join(part for part in (one.environment, one.database) if part)
        hint = f"  → {_HINTS[alarm.kind]}"
        message = f"{where}: {alarm.message}" if where else alarm.message
        yield Text.assemble((mark, style), f" {printable(message)}", (hint, "dim"))


def _part_lines(one: SeriesStatus) -> Iterator[Text]:
    """Name the backups of parts, which count for nothing above."""
    where = " ".join(part for part in (one.environment, one.database) if part)
    for part in one.parts:
        newest = part.newest.timestamp
        when = f", the newest of {moment(newest)}" if newest else ""
        count = f"{part.count} backup{'' if part.count == 1 else 's'}"
        text = f"{where}: {count} of only a part, {selected(part.selection)}{when}"
        yield Text(f"- {printable(text)}", "dim")


def _nagios_line(report: StatusReport) -> str:
    """One line as monitoring plug-ins print it, with performance data behind the bar."""
    alarms = [alarm.message for alarm in sorted(report.alarms, key=lambda one: not one.is_critical)]
    fine = [f"{_label(one)} {rounded(one.age)} old" for one in report.series if one.age is not None]
    text = printable("; ".join(alarms or fine)).replace("|", "/").replace("\n", " ")
    data = " ".join(item for one in report.series for item in _performance(one))
    return f"PGVOW {_WORDS[report.exit_code]} - {text} | {data}".rstrip(" |")


def _label(one: SeriesStatus) -> str:
    return "/".join(part for part in (one.environment, one.database) if part) or "backup"


def _performance(one: SeriesStatus) -> Iterator[str]:
    label = re.sub(r"[='|\s]", "_", printable(_label(one)))
    if one.age is not None and one.newest is not None:
        yield f"'{label} age'={round(one.age.total_seconds())}s"
        yield f"'{label} size'={one.newest.size_bytes or 0}B"
    if one.free_bytes is not None:
        yield f"'{label} free'={one.free_bytes}B"
