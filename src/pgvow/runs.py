"""Runs: an operation that a person or cron started, from its beginning to its end; and alarms."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow.errors import AlreadyRunning, CannotBeProven, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Operation(StrEnum):
    """An operation that is recorded; commands that only read (list, show, diff …) are not."""

    BACKUP = "backup"
    VERIFY = "verify"
    PROVE = "prove"
    RESTORE = "restore"
    EXTRACT = "extract"
    PRUNE = "prune"
    REMOVE = "remove"
    KEEP = "keep"
    ACKNOWLEDGE = "acknowledge"
    ADOPT = "adopt"


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM."""
    DIED = "died"
    """It left no record of its end: killed, or the machine went down."""
    RUNNING = "running"
    """It lives. Never in the history, only in what is read beside it."""


_NO_VERDICT = (AlreadyRunning.exit_code, CannotBeProven.exit_code)
_USAGE = ConfigurationError.exit_code


@dataclass(frozen=True, slots=True)
class Run:
    """One run. ``id`` is unique; times are aware; sizes are bytes; ``seconds`` are by phase.

    ``environment`` and ``database`` are None if a run failed before they were known, or if it
    concerned several. ``cause``, ``title`` and ``steps`` are those of the error, without any
    secret.
    ``removed`` is how many backups were, and ``freed`` their bytes.
    ``selection`` are pg_dump's options that choose a part of a database. ``parts`` is how
    many runs follow it in a history, each with the outcome for one database of several.
    ``by_hand`` is whether a person typed it at a terminal, and so has seen how it ended.
    ``ended`` and ``exit_code`` are None of a run that lives, and ``exit_code`` of one that died.
    """

    id: str
    operation: Operation
    started: datetime
    outcome: Outcome = Outcome.RUNNING
    ended: datetime | None = None
    exit_code: int | None = None
    environment: str | None = None
    database: str | None = None
    title: str | None = None
    cause: str | None = None
    file: str | None = None
    bytes: int | None = None
    rows: int | None = None
    level: str | None = None
    removed: int | None = None
    freed: int | None = None
    selection: tuple[str, ...] = ()
    parts: int | None = None
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    pid: int | None = None
    pgvow_version: str | None = None
    by_hand: bool = False

    @property
    def was_mistyped(self) -> bool:
        """Whether it is a usage error of a person at a terminal: no failure of any job."""
        return self.by_hand and self.exit_code == _USAGE

    @property
    def gave_a_verdict(self) -> bool:
        """Whether it has ended as a success or a failure.

        It has not if it was stopped, if another was running, if nothing can be proven here, or if
        it was asked for wrongly: a night without a backup alone is a failure however it came about,
        unless a person mistyped it at a terminal.
        """
        ended = self.outcome not in (Outcome.RUNNING, Outcome.INTERRUPTED)
        is_usage = self.exit_code == _USAGE and (
            self.by_hand or self.operation is not Operation.BACKUP
        )
        return ended and self.exit_code not in _NO_VERDICT and not is_usage

    def concerns(self, environment: str | None) -> bool:
        """Return whether its outcome is one of this environment.

        A failure before the environment was known is of none; a success that names none is of all.
        A run with parts leaves it to them.
        """
        if self.parts:
            return False
        if self.environment is None:
            return environment is None or self.outcome is Outcome.SUCCEEDED
        return self.environment == environment

    @property
    def subject(self) -> tuple[str, str | None, str | None, tuple[str, ...]]:
        """The thing that succeeded or failed: a later success of the same mends it."""
        return (self.operation, self.environment, self.database, tuple(sorted(self.selection)))

    def facts(self) -> dict[str, object]:
        """Return the facts for hooks, pings and logs, by name; unknown ones are left out."""
        facts = {
            "operation": str(self.operation),
            "outcome": str(self.outcome) if self.exit_code is not None else None,
            "exit_code": self.exit_code,
            "environment": self.environment,
            "database": self.database,
            "started": self.started.isoformat(),
            "file": self.file,
            "bytes": self.bytes,
            "rows": self.rows,
            "level": self.level,
            "removed": self.removed,
            "selection": " ".join(self.selection) or None,
            "cause": self.cause,
        }
        return {name: value for name, value in facts.items() if value is not None}


class AlarmKind(StrEnum):
    """A kind of alarm: some need no failure."""

    NO_BACKUP = "no backup"
    TOO_OLD = "too old"
    LAST_RUN_FAILED = "last run failed"
    DAMAGED = "damaged"
    SHRUNK = "shrunk"
    TABLE_SHRUNK = "table shrunk"
    TABLE_GONE = "table gone"
    NO_PROOF = "no proof"
    DISK_FILLING = "disk filling"
    NO_HISTORY = "no history"
    STUCK = "stuck"
    SCHEDULED_TWICE = "scheduled twice"
    BROKEN_RULES = "broken rules"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A problem for a person to look at, of one database in one environment."""

    kind: AlarmKind
    message: str
    is_critical: bool
    environment: str | None = None
    database: str | None = None
    name: str | None = None
    """The table or file that it is about, if it is about one."""
    known: str | None = None
    """Since when a person knows of it, and their note: it is shown, and wakes no one."""

    @property
    def key(self) -> tuple[str, str | None, str | None, str | None]:
        """The identity of the alarm, whatever the numbers in its message."""
        return (self.kind, self.environment, self.database, self.name)
