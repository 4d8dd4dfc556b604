"""A dump that is being read is not removed, and one that is being removed is not read.

The lock is ``flock`` on the dump itself: it leaves nothing behind, and it is gone when its holder
dies, however it dies. Programs that are started do not inherit it. It speaks for all the files of a
backup.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgvow.file_errors import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def being_read(dump: Path) -> Iterator[None]:
    """Keep a dump from being removed; as many as like may do so at a time.

    Where it cannot be opened, or its file system knows no locks, nothing is held: what is wrong
    with it is for whoever reads it to find. Waits for a removal that is under way.
    """
    fd = _open_shared(dump)
    try:
        yield
    finally:
        if fd is not None:
            os.close(fd)


def _open_shared(dump: Path) -> int | None:
    while True:
        try:
            fd = os.open(dump, _FLAGS)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(fd), dump.stat()):
                return fd
        except OSError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # it was replaced while we waited


@contextmanager
def being_removed(dump: Path) -> Iterator[bool]:
    """Keep a dump for oneself, to remove it; gives False where somebody is reading it.

    Does not wait. Raises AccessDenied or PgvowError where it cannot be opened or locked.
    """
    with refusals("lock", dump):
        fd = _open_to_lock(dump)
    try:
        with refusals("lock", dump):
            is_free = _try_alone(fd)
        yield is_free
    finally:
        os.close(fd)


def _open_to_lock(dump: Path) -> int:
    """Open for writing where that is allowed: NFS wants it so for a lock of one's own, flock(2)."""
    try:
        return os.open(dump, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return os.open(dump, _FLAGS)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(dump, _FLAGS)


def _try_alone(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
