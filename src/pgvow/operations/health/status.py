"""The state of the backups: of each database the newest one, the alarms, and the next run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import DEFAULT_DIRECTORY
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.model import is_partial
from pgvow.operations.health import alarms as look
from pgvow.operations.schedule.installed import jobs_twice, next_installed_backup
from pgvow.operations.schedule.times import next_backup
from pgvow.runs import Alarm, Operation, Outcome
from pgvow.settings import Job
from pgvow.spool import Spool
from pgvow.store import backups_in
from pgvow.store.backups import directories
from pgvow.store.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from pgvow.model import Backup
    from pgvow.operations.context import Context
    from pgvow.operations.schedule.jobs import ScheduleEntry
    from pgvow.runs import Run

HEALTHY, WARNING, CRITICAL = 0, 11, 12
_DRAWN = 20
"""Backups of which ``status --wide`` draws sizes and durations."""
_Key = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """The backups of one part of a database: its newest good one, and how many good ones."""

    selection: tuple[str, ...]
    newest: Backup
    count: int


@dataclass(frozen=True, slots=True)
class SeriesStatus:
    """One database in one environment. Changes are shares: -0.4 is 40 % less than before.

    ``newest`` is the newest good backup of the whole, or of the selection that is configured;
    ``parts`` are those of anything less, which count for nothing else here. ``free_bytes`` are
    free in ``directory``, and ``days_left`` until it is full, None if it is not filling up.
    ``sizes`` are those of the last good backups, ``durations`` the seconds that the last successful
    runs took, both oldest first. ``known`` are alarms that a person has acknowledged.
    """

    environment: str | None
    database: str | None
    directory: Path
    newest: Backup | None
    age: timedelta | None
    size_change: float | None
    rows_change: float | None
    proven_at: datetime | None
    last_success: Run | None
    last_failure: Run | None
    next_run: datetime | None
    free_bytes: int | None
    days_left: float | None
    alarms: tuple[Alarm, ...]
    parts: tuple[PartStatus, ...] = ()
    sizes: tuple[int, ...] = ()
    durations: tuple[float, ...] = ()
    known: tuple[Alarm, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 healthy, 11 warning, 12 critical."""
        if any(alarm.is_critical for alarm in self.alarms):
            return CRITICAL
        return WARNING if self.alarms else HEALTHY


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The state of every database that was asked for, at a time."""

    at: datetime
    series: tuple[SeriesStatus, ...]

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms of every database."""
        return tuple(alarm for series in self.series for alarm in series.alarms)

    @property
    def exit_code(self) -> int:
        """The exit code of the worst."""
        return max((series.exit_code for series in self.series), default=CRITICAL)


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """Which environment and database, None: all; and the age that a newest backup may have.

    A ``max_age`` of None is the settings'.

    ``installed`` are our jobs in cron and systemd, for the time of the next backup; ``just_ended``
    is a run in the directory that counts though its history may have no room for it.
    """

    environment: str | None = None
    database: str | None = None
    max_age: timedelta | None = None
    installed: Sequence[ScheduleEntry] = ()
    just_ended: Run | None = None


def current_status(directory: Path, options: StatusOptions, context: Context) -> StatusReport:
    """Return the state of a directory, and without an environment of all others in the settings.

    Raises AccessDenied or PgvowError if a directory cannot be read.
    """
    environment = options.environment
    configuration, now = context.configuration, context.clock()
    places = directories(configuration, directory) if environment is None else [directory]
    series: list[SeriesStatus] = []
    for place in places:
        own = options if place == directory else replace(options, just_ended=None)
        read = _Directory(place, own, context, now)
        series += [
            each for each in read.series(environment) if options.database in (None, each.database)
        ]
    return StatusReport(now, tuple(series))


class _Directory:
    """One directory, read once."""

    def __init__(
        self,
        path: Path,
        options: StatusOptions,
        context: Context,
        now: datetime,
    ) -> None:
        self._path = path
        self._configuration = context.configuration
        self._here = context.directory.absolute()
        self._now = now
        self._max_age = options.max_age
        self._installed = options.installed
        self._backups = backups_in(Spool(path).store)
        self._no_history: str | None = None
        self._runs = with_run(self._history(), options.just_ended)
        self._databases = {
            (backup.environment, backup.database)
            for backup in self._backups
            if backup.metadata is not None
        }
        self._free = _free(path)
        self._days = look.days_left(self._runs, self._free, now)

    def _history(self) -> Sequence[Run]:
        """Read the runs; without them the backups alone are judged, and an alarm is raised."""
        try:
            return History(self._path).read().runs
        except PgvowError as error:
            self._no_history = error.cause
            return ()

    def series(self, environment: str | None) -> Iterator[SeriesStatus]:
        """Yield every database that has a backup, and every environment that should have one."""
        databases = {
            (backup.environment or "", backup.database or "")
            for backup in self._backups
            if look.is_known(backup)
        }
        keys: dict[_Key, None] = dict.fromkeys(sorted(databases))
        expected = [environment] if environment else self._expected()
        seen = {name for name, _ in keys}
        for missing in expected:
            if missing not in seen:
                keys[(missing, None)] = None
        if not keys:
            keys[(None, None)] = None
        for name, database in keys:
            if environment in (None, name):
                yield self._one(name, database)

    def _expected(self) -> list[str]:
        """Return the environments whose backups are to be here, by the schedule or by a run."""
        scheduled = [
            job.env
            for job in self._configuration.schedule.jobs
            if job.job is Job.BACKUP and job.env
        ]
        # A mistyped --env is no environment that should have backups.
        tried = [
            run.environment
            for run in self._runs
            if run.operation is Operation.BACKUP and run.exit_code != ConfigurationError.exit_code
        ]
        places = {name: self._configuration.output_dir_of(name) for name in scheduled}
        here = [name for name, place in places.items() if place in (None, self._path)]
        return list(dict.fromkeys([*here, *(name for name in tried if name)]))

    def _one(self, environment: str | None, database: str | None) -> SeriesStatus:
        section = self._configuration.status_of(environment)
        if self._max_age is not None:
            section = replace(section, max_age=self._max_age)
        backups = [
            backup
            for backup in self._backups
            if (backup.environment, backup.database) == (environment, database)
        ]
        configured = self._configuration.selection_of(environment)
        fit = look.good_backups(backups, self._now)
        good = [backup for backup in fit if not is_partial(backup.selection, configured)]
        partial = [backup for backup in fit if is_partial(backup.selection, configured)]
        damages = [*look.damage_alarms(backups, self._now), *look.rules_alarms(good, self._now)]
        known = [alarm for alarm in damages if alarm.known is not None]
        alarms = [
            *look.age_alarms(good, section, self._now, partial),
            *(alarm for alarm in damages if alarm.known is None),
            *look.run_alarms(
                self._runs_of(environment, database),
                environment,
                configured,
                known={alarm.name for alarm in known if alarm.name},
            ),
            *look.stuck_alarms(
                self._runs_of(environment, database),
                environment,
                lambda after: next_backup(self._configuration, environment, after),
                self._now,
            ),
            *look.shrink_alarms(good, section.shrink),
            *look.disk_alarms(good, self._free, self._days, section),
            *look.schedule_alarms(jobs_twice(self._installed, self._here), environment),
            *look.history_alarms(self._no_history),
        ]
        newest = good[0] if good else None
        size_change, rows_change = _changes(good)
        proofs = [moment for backup in good if (moment := look.proven_at(backup)) is not None]
        return SeriesStatus(
            environment=environment,
            database=database,
            directory=self._path,
            newest=newest,
            age=self._now - newest.timestamp if newest and newest.timestamp else None,
            size_change=size_change,
            rows_change=rows_change,
            proven_at=max(proofs, default=None),
            last_success=self._last_backup(environment, database, Outcome.SUCCEEDED),
            last_failure=self._last_backup(environment, database, Outcome.FAILED, Outcome.DIED),
            next_run=self._next_run(environment),
            free_bytes=self._free,
            days_left=self._days,
            alarms=_of(environment, database, alarms),
            known=_of(environment, database, known),
            parts=tuple(_parts(partial)),
            sizes=tuple(backup.size_bytes or 0 for backup in reversed(good[:_DRAWN])),
            durations=self._durations(environment, database),
        )

    def _next_run(self, environment: str | None) -> datetime | None:
        own = self._configuration.output_dir_of(environment) or Path(DEFAULT_DIRECTORY)
        here = self._here
        due = (
            next_backup(self._configuration, environment, self._now),
            next_installed_backup(
                self._installed,
                environment,
                self._now,
                here=here,
                output_dir=None if here / own == here / self._path else self._path,
            ),
        )
        return min((moment for moment in due if moment is not None), default=None)

    def _runs_of(self, environment: str | None, database: str | None) -> list[Run]:
        """Leave out the runs of another database that has backups here.

        A name without any is more likely a slip in the settings of this one.
        """
        others = {name for env, name in self._databases if env == environment} - {database}
        return [run for run in self._runs if run.database not in others]

    def _last_backup(
        self, environment: str | None, database: str | None, *outcomes: Outcome
    ) -> Run | None:
        """Find the last run that made the whole of a database, or failed to."""
        matching = self._backup_runs(environment, database, *outcomes)
        return max(matching, key=look.ended_at, default=None)

    def _durations(self, environment: str | None, database: str | None) -> tuple[float, ...]:
        runs = self._backup_runs(environment, database, Outcome.SUCCEEDED)
        runs = sorted(runs, key=look.ended_at)[-_DRAWN:]
        return tuple((run.ended - run.started).total_seconds() for run in runs if run.ended)

    def _backup_runs(
        self, environment: str | None, database: str | None, *outcomes: Outcome
    ) -> list[Run]:
        configured = self._configuration.selection_of(environment)
        return [
            run
            for run in self._runs_of(environment, database)
            if run.operation is Operation.BACKUP
            and run.concerns(environment)
            and not is_partial(run.selection, configured)
            and run.outcome in outcomes
            and run.gave_a_verdict
        ]


def _of(
    environment: str | None, database: str | None, alarms: Sequence[Alarm]
) -> tuple[Alarm, ...]:
    return tuple(replace(alarm, environment=environment, database=database) for alarm in alarms)


def _parts(partial: Sequence[Backup]) -> Iterator[PartStatus]:
    """Group partial backups, newest first, by their selection."""
    by_selection: dict[tuple[str, ...], list[Backup]] = {}
    for backup in partial:
        by_selection.setdefault(backup.selection, []).append(backup)
    for selection, backups in by_selection.items():
        yield PartStatus(selection, backups[0], len(backups))


def with_run(runs: Sequence[Run], added: Run | None) -> Sequence[Run]:
    """Add a run that a full disk may have kept out of the history."""
    if added is None or any(run.id == added.id and run.ended for run in runs):
        return runs
    return [*(run for run in runs if run.id != added.id), added]


def _free(path: Path) -> int | None:
    try:
        return Spool(path).free_bytes()
    except PgvowError:
        return None  # there is no directory yet


def _changes(good: Sequence[Backup]) -> tuple[float | None, float | None]:
    """Return the shares by which size and rows of the newest differ from the one before."""
    pair = look.comparable(good)
    if pair is None:
        return None, None
    newest, before = pair
    rows = [sum(each.metadata.table_counts.values()) if each.metadata else 0 for each in pair]
    return _change(before.size_bytes, newest.size_bytes), _change(rows[1], rows[0])


def _change(before: int | None, now: int | None) -> float | None:
    return (now - before) / before if before and now is not None else None
