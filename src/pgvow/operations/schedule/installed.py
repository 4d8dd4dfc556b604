"""The jobs in a crontab, among systemd's timers and in pgvow.toml, with the next backup."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError, ToolUnsuitable
from pgvow.operations.schedule import crontab, systemd_units
from pgvow.operations.schedule.jobs import JobToInstall, ScheduleEntry
from pgvow.settings import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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


def remove_everywhere(is_meant: Callable[[ScheduleEntry], bool], context: Context) -> list[str]:
    """Remove jobs from the crontab and from systemd's units; returns their identities.

    The whole machine's units are named in a warning if this user may not write there. Raises
    PgvowError.
    """
    removed = []
    with suppress(ToolUnsuitable):  # no cron here
        removed += crontab.remove(is_meant, context)
    for system in (False, True):
        directory = systemd_units.unit_directory(context.environ, system=system)
        meant = [entry for entry in systemd_units.installed_units(directory) if is_meant(entry)]
        if meant and not os.access(directory, os.W_OK):
            names = ", ".join(entry.identity for entry in meant)
            context.reporter.insist(f"left in {directory}, where only root may remove it: {names}")
        elif meant:
            removed += systemd_units.remove(is_meant, context, system=system)
    return list(dict.fromkeys(removed))


@dataclass(frozen=True, slots=True)
class JobTwice:
    """A job that is installed in several places at once: it runs several times, or meets itself."""

    job: str
    environment: str | None
    identity: str
    places: tuple[str, ...]

    @property
    def complaint(self) -> str:
        """The complaint, without the remedy."""
        of = f" of {self.environment}" if self.environment else ""
        return f"{self.job}{of} is scheduled twice: in {' and in '.join(self.places)}"

    @property
    def remedy(self) -> str:
        """The command that takes all of them away."""
        env = f" --env {self.environment}" if self.environment else ""
        return f"pgvow schedule remove --job {self.job}{env}"


def jobs_twice(entries: Iterable[ScheduleEntry], here: Path | None = None) -> list[JobTwice]:
    """List the jobs of a working directory (None: of any) that are installed more than once."""
    groups: dict[str, list[ScheduleEntry]] = {}
    for entry in entries:
        if here is None or entry.directory == str(here):
            groups.setdefault(entry.identity, []).append(entry)
    return [
        JobTwice(group[0].job, group[0].environment, identity, tuple(map(_place, group)))
        for identity, group in groups.items()
        if len(group) > 1
    ]


def _place(entry: ScheduleEntry) -> str:
    return "the crontab" if entry.where == "crontab" else entry.where


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
        JobToInstall(
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
