"""Jobs in a crontab, among systemd's timers or in pgvow.toml: install, list, remove, next times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.operations.schedule import crontab, systemd_units
from pgvow.operations.schedule.scheduled import Scheduled, ScheduleEntry
from pgvow.settings.configuration import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.settings import Configuration


def installed(context: Context) -> Iterator[ScheduleEntry]:
    """Yield the jobs that ``schedule install`` has put into the crontab and systemd's units."""
    try:
        table = crontab.read_crontab()
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


@dataclass(frozen=True, slots=True)
class InstallResult:
    """The place of a job, whether anything changed there, and a note if it does not run yet."""

    where: str
    changed: bool
    note: str | None = None


def install_in_crontab(scheduled: Scheduled) -> InstallResult:
    """Put a job into this user's crontab; raises ToolUnsuitable, PgvowError."""
    before = crontab.read_crontab()
    after = crontab.with_entry(before, scheduled)
    if after != before:
        crontab.write_crontab(after)
    return InstallResult("the crontab", after != before)


def install_units(scheduled: Scheduled, context: Context, *, system: bool) -> InstallResult:
    """Write a service and a timer of systemd's, and enable the timer; raises PgvowError."""
    directory = systemd_units.unit_directory(context.environ, system=system)
    changed = systemd_units.write_units(directory, systemd_units.units_for(scheduled))
    timer = f"pgvow-{scheduled.identity}.timer"
    complaint = systemd_units.systemctl(["daemon-reload"], system=system)
    complaint = complaint or systemd_units.systemctl(["enable", "--now", timer], system=system)
    scope = "--system" if system else "--user"
    again = f"systemctl {scope} daemon-reload && systemctl {scope} enable --now {timer}"
    reason = " ".join((complaint or "").split())
    note = f"{reason}; where systemd runs, type: {again}" if reason else None
    if not system and not systemd_units.lingers():
        linger = "it runs only while you are logged in, until you type: loginctl enable-linger"
        note = f"{note}; {linger}" if note else linger
    return InstallResult(str(directory / timer), changed, note)


def remove_from_crontab(is_meant: Callable[[ScheduleEntry], bool]) -> list[str]:
    """Remove jobs from this user's crontab; returns their identities."""
    before = crontab.read_crontab()
    meant = [entry.identity for entry in crontab.installed_in(before) if is_meant(entry)]
    if meant:
        crontab.write_crontab(crontab.without_entries(before, frozenset(meant)))
    return meant


def remove_units(
    is_meant: Callable[[ScheduleEntry], bool], context: Context, *, system: bool
) -> list[str]:
    """Disable and remove the timers and services of jobs; returns their identities."""
    directory = systemd_units.unit_directory(context.environ, system=system)
    entries = systemd_units.installed_units(directory)
    meant = [entry.identity for entry in entries if is_meant(entry)]
    for identity in meant:
        systemd_units.systemctl(["disable", "--now", f"pgvow-{identity}.timer"], system=system)
    systemd_units.remove_units(directory, meant)
    systemd_units.systemctl(["daemon-reload"], system=system)
    return meant
