"""When a cron expression is due, in a time zone: pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

from pgvow.settings import Job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pgvow.settings import Configuration


def times(at: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield when ``at`` is due, after a moment, in order; aware, in the zone.

    ``at`` is a valid expression of five fields. As in Debian's cron, a job at a fixed time runs
    once on a day whose clock is changed: what falls into the gap runs when it ends, what falls
    into the doubled hour runs in its first half.
    """
    yield from CronSim(at, after.astimezone(ZoneInfo(timezone)))


def next_times(at: str, timezone: str, now: datetime, count: int) -> list[datetime]:
    """List the next ``count`` of them; fewer where there are no more within 50 years."""
    return list(islice(times(at, timezone, now), count))


def next_backup(
    configuration: Configuration, environment: str | None, now: datetime
) -> datetime | None:
    """Say when pgvow.toml's schedule makes the next backup of an environment; None: it does not."""
    schedule = configuration.schedule
    due = [
        moment
        for job in schedule.jobs
        if job.job is Job.BACKUP and job.env in (None, environment)
        for moment in next_times(job.at, schedule.timezone, now, 1)
    ]
    return min(due, default=None)
