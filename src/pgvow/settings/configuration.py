"""What ``pgvow.toml`` can say, as frozen types; each default is what holds without the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow import defaults
from pgvow.model import SELECTING, selecting_options
from pgvow.retention import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from pathlib import Path

    from pgvow.model import Compress


class Event(StrEnum):
    """What there can be a notification of."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    ALARM = "alarm"
    SUCCESS = "success"


class Job(StrEnum):
    """What can be scheduled."""

    BACKUP = "backup"
    PRUNE = "prune"
    VERIFY = "verify"
    PROVE = "prove"


@dataclass(frozen=True, slots=True)
class BackupSection:
    """Defaults of ``pgvow backup``; an option typed goes before. Times are seconds.

    ``jobs`` is a number, or ``auto``.
    """

    jobs: int | str = defaults.JOBS
    engine: str | None = None
    compress: Compress | None = None
    inspect: bool = True
    statistics: bool = False
    globals: bool = True
    space_factor: float = defaults.SPACE_FACTOR
    lock_wait_timeout: float = defaults.LOCK_WAIT_SECONDS
    stall_timeout: timedelta = defaults.STALL_TIMEOUT
    run_timeout: timedelta | None = None
    schema: tuple[str, ...] = ()
    exclude_schema: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    exclude_table: tuple[str, ...] = ()
    exclude_table_data: tuple[str, ...] = ()

    @property
    def selection(self) -> tuple[str, ...]:
        """pg_dump's options of what to dump, as the metadata of such a backup have them."""
        return selecting_options({name: getattr(self, name) for name in SELECTING})


@dataclass(frozen=True, slots=True)
class RetentionSection:
    """Which backups ``pgvow prune`` keeps, and whether a successful backup prunes by itself."""

    rules: Rules = Rules()  # noqa: RUF009 - frozen
    prune_after_backup: bool = False


@dataclass(frozen=True, slots=True)
class StatusSection:
    """When ``pgvow status`` speaks up.

    ``shrink`` is a share: 0.4 for 40 % less than before. Without ``max_proof_age`` no proof is
    asked for.
    """

    max_age: timedelta = defaults.MAX_AGE
    max_proof_age: timedelta | None = None
    shrink: float = defaults.SHRINK
    disk_days: float = defaults.DISK_DAYS


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """One job: ``at`` is a cron expression of five fields, in the schedule's time zone."""

    job: Job
    at: str
    env: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSection:
    """What ``pgvow schedule run`` does; ``timezone`` is an IANA name."""

    timezone: str = "UTC"
    jobs: tuple[ScheduledJob, ...] = ()


@dataclass(frozen=True, slots=True)
class NotificationsSection:
    """Whom to tell, and of what. URLs are secrets, with ``${VARIABLE}`` replaced already.

    ``urls`` are apprise's. ``ping`` is a dead-man's switch in the way of healthchecks.io.
    ``every_time`` tells of each event, not of changes alone.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    on: frozenset[Event] = frozenset({Event.FAILURE, Event.RECOVERY, Event.ALARM})
    every_time: bool = False
    ping: str | None = field(default=None, repr=False)
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class HooksSection:
    """Commands before and after a backup, as lists of arguments; ``timeout`` is seconds."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class EnvironmentSection:
    """Where the variables of an environment are, and what it has otherwise than the rest.

    ``prefix`` is what its variables begin with: ``STAGING_DB`` for ``STAGING_DB_HOST``,
    ``STAGING_DB_NAME`` …; ``url_variable`` names the one with a connection URL.
    """

    name: str
    prefix: str
    url_variable: str
    output_dir: Path | None = None
    backup: BackupSection | None = None
    retention: RetentionSection | None = None
    status: StatusSection | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it. ``path`` is None where there is no file."""

    path: Path | None = None
    output_dir: Path | None = None
    backup: BackupSection = BackupSection()
    retention: RetentionSection = RetentionSection()
    status: StatusSection = StatusSection()
    schedule: ScheduleSection = ScheduleSection()
    notifications: NotificationsSection = NotificationsSection()
    hooks: HooksSection = HooksSection()
    metrics_file: Path | None = None
    environments: Mapping[str, EnvironmentSection] = field(default_factory=dict)

    def backup_of(self, environment: str | None) -> BackupSection:
        """What holds for the backups of an environment."""
        own = self.environments.get(environment or "")
        return (own and own.backup) or self.backup

    def selection_of(self, environment: str | None) -> tuple[str, ...]:
        """Return the selection that counts as the whole of an environment; mostly it is empty."""
        return self.backup_of(environment).selection

    def retention_of(self, environment: str | None) -> RetentionSection:
        """What holds for the retention of an environment."""
        own = self.environments.get(environment or "")
        return (own and own.retention) or self.retention

    def status_of(self, environment: str | None) -> StatusSection:
        """What holds for the status of an environment."""
        own = self.environments.get(environment or "")
        return (own and own.status) or self.status

    def output_dir_of(self, environment: str | None) -> Path | None:
        """Where the backups of an environment are, where the file says so."""
        own = self.environments.get(environment or "")
        return (own and own.output_dir) or self.output_dir
