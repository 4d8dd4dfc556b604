"""Where a backup comes about: a local directory, its locks and drafts, recovery and removal."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import durable
from pgvow.file_errors import refusals
from pgvow.spool.draft import Draft
from pgvow.spool.files import BackupFiles, OpenedDirectory, OpenedFile
from pgvow.spool.lock import RunLock, is_running
from pgvow.spool.recovery import Recovered, RecoveryAction, abandoned, recover
from pgvow.spool.removal import begun, being_removed, remove
from pgvow.store import names
from pgvow.store.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

__all__ = [
    "Draft",
    "OpenedDirectory",
    "OpenedFile",
    "Recovered",
    "RecoveryAction",
    "RunLock",
    "Spool",
    "begun",
    "being_removed",
    "is_running",
    "remove",
]

_SECOND = timedelta(seconds=1)


class Spool:
    """One directory. A run goes: ``prepare``, ``lock``, ``recover``, ``begin``.

    The finished backups in it are those of ``store``.

    Whatever the file system refuses is raised as AccessDenied, NoSpace or PgvowError.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.store = DirectoryStore(self.directory)

    def prepare(self) -> None:
        """Make the directory if need be (0700), and check that files can be written in it.

        Doing it again is harmless. A directory that exists keeps its permissions.
        """
        with refusals("create the directory", self.directory):
            _make(self.directory)
        with refusals("write into the directory", self.directory):
            if not self.directory.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            _try_writing(self.directory)

    def free_bytes(self) -> int:
        """Return the bytes this user may still write there, as the file system has it."""
        with refusals("ask for free space in", self.directory):
            return shutil.disk_usage(self.directory).free

    def lock(
        self,
        database: str,
        environment: str,
        clock: Callable[[], datetime],
        *,
        operation: str = "backup",
    ) -> RunLock:
        """Return the lock of this database's backups here, not taken yet."""
        group = names.group(database, environment)
        return RunLock(self.directory, group, clock, operation=operation)

    def lock_source(self, identity: str, clock: Callable[[], datetime]) -> RunLock:
        """Return the lock of whatever is backed up: two environments may name one database."""
        return RunLock(self.directory, names.source_group(identity), clock)

    def begin(self, database: str, environment: str, now: datetime) -> Draft:
        """Start a backup named for ``now``, or for the next second that is free.

        No file is made yet. Raises RuntimeError if the group's lock is not held.
        """
        if not is_running(self.directory, names.group(database, environment)):
            raise RuntimeError("begin() needs the lock of the group")
        moment = now.astimezone(UTC).replace(microsecond=0)
        with refusals("look into", self.directory):
            while not BackupFiles(
                self.directory, names.stem(database, environment, moment)
            ).is_free:
                moment += _SECOND
        return Draft(self.directory, names.Stem(database, environment, moment))

    def recover(
        self, clock: Callable[[], datetime], *, holding: RunLock | None = None
    ) -> Sequence[Recovered]:
        """Complete or remove what dead runs left; ``holding`` is the lock that this run has.

        Before ``begin``, never after: a draft of this run would count as dead.
        """
        return recover(self.directory, clock, holding=holding)

    def abandoned(self) -> Sequence[Path]:
        """Find the partial files that dead runs left, and leave them as they are."""
        return abandoned(self.directory)


def _make(directory: Path) -> None:
    """Make a directory and those above it, each for its owner only and lasting."""
    if directory.exists():
        return
    _make(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    durable.sync_directory(directory.parent)


def _try_writing(directory: Path) -> None:
    """Write a few bytes: permissions, quotas and mounts are known no sooner. It has no name."""
    with tempfile.TemporaryFile(prefix=".pgvow-", dir=directory) as file:
        os.write(file.fileno(), b"pgvow")
