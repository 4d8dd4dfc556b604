"""One run per database and directory at a time: a lock that the kernel keeps.

The lock is ``flock`` on ``.{group}.lock``, never the file's existence: when its holder dies,
however it dies, the lock is gone with it. The text in the file is for people to read.

The file is removed while the lock is held. Another run may have opened it before and lock it
after: it then holds a lock on a file without a name, sees by its inode that it is not the one the
name stands for, and tries again.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pgvow.errors import AlreadyRunning
from pgvow.file_errors import refusals
from pgvow.signals import SignalsKeptBack
from pgvow.store import names
from pgvow.store.directory import is_named, try_lock
from pgvow.store.metadata import moment_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

CLEAN_UP = "clean-up"
"""The operation of a run that only clears up after dead ones: other runs wait for it."""
_LONGEST_NOTE = 4096
# ``is_running`` holds the lock for some microseconds, and must not fail a run.
_ATTEMPTS = 6
_PAUSE = 0.02  # seconds


class RunLock:
    """The right to write backups of one group into one directory; a context manager.

    Entering raises AlreadyRunning if a live process holds the lock, AccessDenied, NoSpace or
    PgvowError of the file system. Not inherited by programs that are started; a child
    that is forked, though, shares the lock until it ends. ``clock`` returns the time, aware: the
    holder's note has the time since which it holds the lock.
    """

    def __init__(
        self,
        directory: Path,
        group: str,
        clock: Callable[[], datetime],
        *,
        operation: str = "backup",
    ) -> None:
        self.directory = directory
        self.group = group
        self.path = directory / names.lock_name(group)
        self._operation = operation
        self._clock = clock
        self._fd: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this very object holds the lock now."""
        return self._fd is not None

    def __enter__(self) -> Self:
        while True:
            try:
                return self._entered()
            except AlreadyRunning as error:
                # Another database's run clears up after a dead run of this one, which can take as
                # long as reading a dump: no reason to have no backup tonight.
                if self._operation == CLEAN_UP or error.facts.get("Operation") != CLEAN_UP:
                    raise
            time.sleep(_PAUSE)

    def _entered(self) -> Self:
        try:
            with refusals("lock", self.path), SignalsKeptBack() as signals:
                self._fd = self._acquire()
                self._sign(self._fd)
            signals.deliver()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _acquire(self) -> int:
        note: dict[str, object] = {}
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                if try_lock(fd, fcntl.LOCK_EX) and is_named(fd, self.path):
                    return fd
                note = _read_note(fd)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise _already_running(self.path, note)

    def _sign(self, fd: int) -> None:
        note = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": moment_text(self._clock()),
            "operation": self._operation,
        }
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(note).encode() + b"\n", 0)

    def _release(self) -> None:
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with suppress(OSError):  # the directory may be gone; only the lock counts
            if is_named(fd, self.path):
                self.path.unlink()
        os.close(fd)


def is_running(directory: Path, group: str) -> bool:
    """Return whether some live process, this one included, holds the group's lock now.

    Leaves nothing behind. A lock file that may not be opened raises AccessDenied.
    """
    path = directory / names.lock_name(group)
    with refusals("look at the lock", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not try_lock(fd, fcntl.LOCK_SH) and is_named(fd, path)
        finally:
            os.close(fd)


def _read_note(fd: int) -> dict[str, object]:
    """Read the holder's note; empty if it is not written yet, or is no such note."""
    try:
        note = json.loads(os.pread(fd, _LONGEST_NOTE, 0))
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _already_running(path: Path, note: dict[str, object]) -> AlreadyRunning:
    pid, host, started, operation = (
        str(note.get(key, "unknown")) for key in ("pid", "host", "started", "operation")
    )
    return AlreadyRunning(
        f"process {pid} on {host} has held the lock since {started}",
        facts={
            "Process": pid,
            "Since": started,
            "Host": host,
            "Operation": operation,
            "Lock file": str(path),
        },
        steps=[
            f"See what it is doing, on its host: {_look(pid, path)}",
            "Wait until it ends, then run this command again",
            "Leave the lock file where it is: the lock ends with its process",
        ],
    )


def _look(pid: str, path: Path) -> str:
    return f"ps -fp {pid}" if pid.isdecimal() else f"fuser -v {path}"
