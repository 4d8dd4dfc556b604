"""Lists: the backups of several directories, and the runs of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.runs import Operation
from pgvow.store import DirectoryStore, backups_in
from pgvow.store.history import History, Read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.model import Backup


def list_backups(directories: Sequence[Path], environment: str | None) -> list[Backup]:
    """List the backups of some directories, newest first; with ``environment`` only its own.

    Raises AccessDenied or PgvowError if a directory cannot be read.
    """
    backups = [
        backup
        for directory in directories
        for backup in backups_in(DirectoryStore(directory))
        if environment in (None, backup.environment)
    ]
    return sorted(backups, key=_made_at, reverse=True)


def _made_at(backup: Backup) -> float:
    return backup.timestamp.timestamp() if backup.timestamp else float("-inf")


def list_runs(directory: Path, *, operation: str | None, environment: str | None) -> Read:
    """List the runs of a directory, newest first; only those of an operation or environment named.

    Raises ConfigurationError for an unknown operation, AccessDenied or PgvowError if the history
    cannot be read.
    """
    if operation is not None and operation not in list(Operation):
        known = ", ".join(Operation)
        raise ConfigurationError(f"{operation!r} is no operation", steps=[f"One of: {known}"])
    history = History(directory).read()
    runs = [
        run
        for run in reversed(history.runs)
        if environment in (None, run.environment) and operation in (None, run.operation)
    ]
    return Read(tuple(runs), history.broken)
