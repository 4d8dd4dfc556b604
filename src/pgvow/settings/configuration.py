"""The whole configuration: sources, their policy, and the general sections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow import DEFAULT_DIRECTORY
from pgvow.model import DEV, PROD
from pgvow.settings.declared_option import option, options_of
from pgvow.settings.options import (
    BackupSection,
    HooksSection,
    NotificationsSection,
    RecoverySheetSection,
    RetentionSection,
    ScheduledJob,
    ScheduleSection,
    StatusSection,
)
from pgvow.settings.values import FLAG, PATH
from pgvow.settings.variables import (
    DEVELOPMENT_VARIABLES,
    PRODUCTION_VARIABLES,
    VariableNames,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A server, how to reach it, which of its databases are backed up, and their policy.

    ``databases`` is empty until the variables are read; it is one database so far. A section of
    None is the general one.
    """

    name: str
    variables: VariableNames
    output_dir: Path | None = option(
        PATH, shown="the general one", meaning="where its backups are", example='"backups/staging"'
    )
    on_this_machine: bool = option(
        FLAG,
        default=False,
        meaning="a server on this machine is the one that is meant: no warning about production",
        example="true",
    )
    backup: BackupSection | None = None
    retention: RetentionSection | None = None
    status: StatusSection | None = None
    databases: tuple[str, ...] = ()


DEVELOPMENT = Source(DEV, DEVELOPMENT_VARIABLES)
PRODUCTION = Source(PROD, PRODUCTION_VARIABLES)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of ``pgvow.toml``; ``path`` is None if there is no file.

    ``environments`` are the sources that the file names, for ``--env``.
    """

    path: Path | None = None
    output_dir: Path | None = option(
        PATH,
        group="output_dir",
        help=f"where backups are (default: {DEFAULT_DIRECTORY}/)",
        metavar="DIR",
        meaning="where backups are; relative to this file",
        shown=f'"{DEFAULT_DIRECTORY}"',
        example='"backups"',
    )
    backup: BackupSection = BackupSection()
    retention: RetentionSection = RetentionSection()
    status: StatusSection = StatusSection()
    schedule: ScheduleSection = ScheduleSection()
    notifications: NotificationsSection = NotificationsSection()
    hooks: HooksSection = HooksSection()
    recovery_sheet: RecoverySheetSection = RecoverySheetSection()
    metrics_file: Path | None = option(
        PATH,
        group="record",
        help="write metrics there afterwards, for the textfile collector of Prometheus",
        metavar="FILE",
        key="file",
        meaning="written after each run, for Prometheus' node exporter",
        example='"/var/lib/node_exporter/pgvow.prom"',
    )
    environments: Mapping[str, Source] = field(default_factory=dict)

    def _source(self, environment: str | None) -> Source | None:
        return self.environments.get(environment or "")

    def backup_of(self, environment: str | None) -> BackupSection:
        """Return the settings of an environment's backups."""
        own = self._source(environment)
        return (own and own.backup) or self.backup

    def selection_of(self, environment: str | None) -> tuple[str, ...]:
        """Return the selection that counts as the whole of an environment; mostly it is empty."""
        return self.backup_of(environment).selection

    def retention_of(self, environment: str | None) -> RetentionSection:
        """Return the settings of an environment's retention."""
        own = self._source(environment)
        return (own and own.retention) or self.retention

    def status_of(self, environment: str | None) -> StatusSection:
        """Return the limits of an environment's status."""
        own = self._source(environment)
        return (own and own.status) or self.status

    def output_dir_of(self, environment: str | None) -> Path | None:
        """Return the directory of an environment's backups, if the file names one."""
        own = self._source(environment)
        return (own and own.output_dir) or self.output_dir


_GENERAL = options_of(Configuration)
METRICS = {key: declared for key, declared in _GENERAL.items() if declared.key}
TOP = {key: declared for key, declared in _GENERAL.items() if not declared.key}
"""The keys above the first section."""

SECTIONS = {
    "backup": options_of(BackupSection),
    "retention": options_of(RetentionSection),
    "status": options_of(StatusSection),
    "schedule": options_of(ScheduleSection),
    "notifications": options_of(NotificationsSection),
    "hooks": options_of(HooksSection),
    "recovery_sheet": options_of(RecoverySheetSection),
    "metrics": METRICS,
}
SCHEDULED_JOB = options_of(ScheduledJob)
SOURCE = {**options_of(VariableNames), **options_of(Source)}
POLICY = {"backup": BackupSection, "retention": RetentionSection, "status": StatusSection}
"""The sections that a source may have of its own."""
