"""When a cron expression is due, in a time zone, with or without the gaps of the clock.

In spring a clock leaves out an hour: cron makes up the jobs in it, systemd does not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

from pgvow.settings import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.settings import Configuration


YEARS = 10
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_LOCALTIME = Path("/etc/localtime")


def times(at: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield when ``at`` is due, after a timestamp, in order; aware, in the zone.

    ``at`` is a valid expression of five fields. As in Debian's cron, a job at a fixed time runs
    once on a day whose clock is changed: one in the gap runs when the gap ends, one in the doubled
    hour runs in its first half.
    """
    yield from CronSim(at, after.astimezone(ZoneInfo(timezone)))


def next_times(at: str, timezone: str, now: datetime, count: int) -> list[datetime]:
    """List the next ``count`` of them; fewer if there are no more within 50 years."""
    return list(islice(times(at, timezone, now), count))


def next_backup(
    configuration: Configuration, environment: str | None, now: datetime
) -> datetime | None:
    """Return when pgvow.toml's schedule makes the next backup of an environment, or None."""
    schedule = configuration.schedule
    due = [
        moment
        for job in schedule.jobs
        if job.job is Job.BACKUP and job.env in (None, environment)
        for moment in next_times(job.at, schedule.timezone, now, 1)
    ]
    return min(due, default=None)


def made_up(at: str, timezone: str | None, year: int) -> list[datetime]:
    """List when cron makes up runs that a gap left out: at its end, in ``YEARS`` from ``year``.

    Times are naive, of the clock in the zone; ``timezone`` None is that of this machine.
    """
    zone = _zone(timezone)
    return [
        moment.astimezone(zone).replace(tzinfo=None)
        for moment in _changes(zone, year)
        if _is_left_out(at, moment, zone)
    ]


def _zone(timezone: str | None) -> ZoneInfo:
    if timezone is not None:
        return ZoneInfo(timezone)
    if not _LOCALTIME.exists():
        return ZoneInfo("UTC")
    with _LOCALTIME.open("rb") as file:
        return ZoneInfo.from_file(file)


def _changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """Return the times at which the clock is put forward."""
    day, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + YEARS, 1, 1, tzinfo=UTC)
    changes = []
    while day < end:
        if _offset(day + _DAY, zone) > _offset(day, zone):
            changes.append(_change_within(day, zone))
        day += _DAY
    return changes


def _change_within(day: datetime, zone: ZoneInfo) -> datetime:
    before, after = 0, _DAY // _MINUTE
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(day + middle * _MINUTE, zone) > _offset(day, zone):
            after = middle
        else:
            before = middle
    return day + after * _MINUTE


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _is_left_out(at: str, change: datetime, zone: ZoneInfo) -> bool:
    """Return whether cron is due when the gap ends, though its expression names another time."""
    wall = change.astimezone(zone)
    due = next(CronSim(at, (change - _MINUTE).astimezone(zone)), None)
    named = next(CronSim(at, wall.replace(tzinfo=None) - _MINUTE), None)
    return due == wall and named != wall.replace(tzinfo=None)
