"""The backups of several directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.store import LocalStore

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
        for backup in LocalStore(directory).list()
        if environment in (None, backup.environment)
    ]
    return sorted(backups, key=_made_at, reverse=True)


def _made_at(backup: Backup) -> float:
    return backup.timestamp.timestamp() if backup.timestamp else float("-inf")
