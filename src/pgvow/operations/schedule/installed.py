"""The jobs in a crontab, among systemd's timers and in pgvow.toml, with the next backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.operations.schedule import crontab, systemd_units
from pgvow.operations.schedule.scheduled import Scheduled, ScheduleEntry
from pgvow.settings import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.settings import Configuration


def installed(context: Context) -> Iterator[ScheduleEntry]:
    """Yield the jobs that ``schedule install`` has put into the crontab and systemd's units."""
    try:
        table = crontab.read_crontab(context.environ)
    except PgvowError:
        table = b""  # no cron here
    yield from crontab.installed_in(table)
    for system in (False, True):
        directory = systemd_units.unit_directory(context.environ, system=system)
        yield from systemd_units.installed_units(directory)


def configured(configuration: Configuration) -> Iterator[ScheduleEntry]:
    """Yield the jobs of pgvow.toml, which ``schedule run`` runs."""
    schedule = configuration.schedule
    for job in schedule.jobs:
        name = f"{job.job} {job.env or ''}".strip()
        where = f"pgvow.toml ({schedule.timezone})"
        command = "pgvow schedule run"
        yield ScheduleEntry(where, name, job.at, command, timezone=schedule.timezone)


def next_installed_backup(
    entries: Iterable[ScheduleEntry],
    environment: str | None,
    now: datetime,
    *,
    here: Path,
    output_dir: Path | None,
) -> datetime | None:
    """Return when cron or systemd makes the next backup of an environment.

    ``here`` is the working directory, which is a part of an entry's identity. ``output_dir`` is the
    directory that was typed, None for that of the settings.
    """
    meant = {
        Scheduled(
            Job.BACKUP, "", here, here, env=env, output_dir=output_dir and here / output_dir
        ).identity
        for env in {None, environment}
    }
    due = [
        moment
        for entry in entries
        if entry.identity in meant
        for moment in entry.next_times(now, 1)
    ]
    return min(due, default=None)
