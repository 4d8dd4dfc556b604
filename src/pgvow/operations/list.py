"""Lists: the backups of several directories, and the runs of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.runs import Operation, Outcome
from pgvow.store import DirectoryStore, backups_in
from pgvow.store.history import History, HistoryContents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Backup, Level
    from pgvow.operations.context import Context

_BAD = frozenset({Outcome.FAILED, Outcome.DIED, Outcome.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which backups or runs are listed; None is no limit.

    ``since`` is an age or a timestamp. ``last`` counts after everything else. ``level`` is the
    level that a backup has at least, without evidence against it. Of runs alone: ``operation`` and
    ``failed``, those that failed, died or were interrupted, without usage errors at a terminal.
    """

    environment: str | None = None
    database: str | None = None
    since: timedelta | datetime | None = None
    last: int | None = None
    level: Level | None = None
    operation: str | None = None
    failed: bool = False

    def concern(self, environment: str | None, database: str | None) -> bool:
        """Return whether a backup or run of a database is one of those."""
        return self.environment in (None, environment) and self.database in (None, database)

    def is_since(self, when: datetime | None, now: datetime) -> bool:
        """Return whether a timestamp is new enough; one that is unknown is not."""
        if self.since is None:
            return True
        age = self.since if isinstance(self.since, timedelta) else now - self.since
        # Not now - age, which is no date if the age is a thousand years and more.
        return when is not None and now - when <= age


def list_backups(
    directories: Sequence[Path], options: ListOptions, context: Context
) -> list[Backup]:
    """List the backups of some directories, newest first.

    Raises AccessDenied or PgvowError if a directory cannot be read.
    """
    now = context.clock()
    backups = [
        backup
        for directory in directories
        for backup in backups_in(DirectoryStore(directory))
        if options.concern(backup.environment, backup.database)
        and options.is_since(backup.timestamp, now)
        and _reached(backup, options.level)
    ]
    return sorted(backups, key=_made_at, reverse=True)[: options.last]


def _reached(backup: Backup, level: Level | None) -> bool:
    trusted = backup.trusted
    return level is None or (trusted is not None and trusted.rank >= level.rank)


def _made_at(backup: Backup) -> float:
    return backup.timestamp.timestamp() if backup.timestamp else float("-inf")


def list_runs(directory: Path, options: ListOptions, context: Context) -> HistoryContents:
    """List the runs of a directory, newest first; ``last`` is the caller's, who counts the rest.

    Raises ConfigurationError for an unknown operation, AccessDenied or PgvowError if the history
    cannot be read.
    """
    operation, now = options.operation, context.clock()
    if operation is not None and operation not in list(Operation):
        known = ", ".join(Operation)
        raise ConfigurationError(f"{operation!r} is no operation", steps=[f"One of: {known}"])
    history = History(directory).read()
    runs = [
        run
        for run in reversed(history.runs)
        if options.concern(run.environment, run.database)
        and operation in (None, run.operation)
        and options.is_since(run.started, now)
        and (not options.failed or (run.outcome in _BAD and not run.was_mistyped))
    ]
    return HistoryContents(tuple(runs), history.broken)
