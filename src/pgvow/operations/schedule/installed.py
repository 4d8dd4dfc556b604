"""What is scheduled, in a crontab, as a systemd timer or in pgvow.toml, and when it is due."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

from pgvow.errors import PgvowError
from pgvow.operations.schedule import crontab, systemd_units
from pgvow.operations.schedule.scheduled import Scheduled
from pgvow.operations.schedule.times import next_times
from pgvow.settings import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from pgvow.settings import Configuration


@dataclass(frozen=True, slots=True)
class Entry:
    """One job that is scheduled: ``at`` is a cron expression, or what somebody made of it.

    ``timezone`` is None for that of the machine; ``where`` is for people.
    """

    where: str
    identity: str
    at: str
    timezone: str | None
    command: str

    def next_times(self, now: datetime, count: int) -> list[datetime]:
        """List when it is due next; nothing where its expression cannot be read."""
        try:
            if self.timezone is not None:
                return next_times(self.at, self.timezone, now, count)
            local = now.astimezone().replace(tzinfo=None)  # by this machine's clock, as cron has it
            return [moment.astimezone() for moment in islice(CronSim(self.at, local), count)]
        except (CronSimError, ValueError, KeyError, OSError):
            return []  # somebody has edited it


def installed(environ: Mapping[str, str]) -> Iterator[Entry]:
    """Yield what ``schedule install`` has put into the crontab and among systemd's units."""
    try:
        table = crontab.read_crontab()
    except PgvowError:
        table = b""  # no cron here
    for one in crontab.installed_in(table):
        yield Entry("crontab", one.identity, one.at, None, one.command)
    for system in (False, True):
        directory = systemd_units.unit_directory(environ, system=system)
        for one in systemd_units.installed_units(directory):
            yield Entry(str(directory), one.identity, one.at, one.timezone, one.command)


def configured(configuration: Configuration) -> Iterator[Entry]:
    """Yield what ``schedule run`` does by pgvow.toml."""
    schedule = configuration.schedule
    for job in schedule.jobs:
        name = f"{job.job} {job.env or ''}".strip()
        where = f"pgvow.toml ({schedule.timezone})"
        yield Entry(where, name, job.at, schedule.timezone, "pgvow schedule run")


def next_installed_backup(
    entries: Iterable[Entry],
    environment: str | None,
    now: datetime,
    *,
    here: Path,
    output_dir: Path | None,
) -> datetime | None:
    """Say when cron or systemd makes the next backup of an environment.

    ``here`` is the working directory, by which, among others, an entry is told from the rest.
    ``output_dir`` is None for what the settings say, and else what was typed.
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
