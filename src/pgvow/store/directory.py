"""A directory as a store: its files as they lie there.

A dump that is being read is not removed, and one that is being removed is not read. The lock is
``flock`` on the dump itself: it leaves nothing behind, and it is gone when its holder dies, however
it dies. Programs that are started do not inherit it. It stands for all the files of a backup.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pgvow import durable
from pgvow.file_errors import refusals
from pgvow.finished_file import open_finished
from pgvow.store.names import partial
from pgvow.store.port import LeadsNowhereError, Stat, before_update

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class DirectoryStore:
    """The finished backups of one directory, as ``Store`` has them."""

    def __init__(self, directory: Path) -> None:
        self.location = Path(directory)
        self._prefix = os.fspath(self.location / "_")[:-1]

    def list(self) -> Collection[str]:
        """Return the names of all files; a missing directory has none."""
        with refusals("read the directory", self.location):
            try:
                return frozenset(os.listdir(self.location))  # noqa: PTH208 - only names
            except FileNotFoundError:
                return frozenset()

    def stat(self, name: str) -> Stat:
        """Return size and kind of a file, following links."""
        path = self._prefix + name  # a text: Path objects took a fifth of a long listing
        try:
            status = os.stat(path)  # noqa: PTH116
        except FileNotFoundError as error:
            if os.path.lexists(path):
                raise LeadsNowhereError(error.errno, error.strerror, path) from error
            raise
        return Stat(status.st_size, stat.S_ISREG(status.st_mode))

    def open(self, name: str) -> BinaryIO:
        """Open a file; see ``open_finished``. The empty name is the directory's own, no file's."""
        return open_finished(self._prefix + name or ".")

    def put(self, name: str, file: BinaryIO) -> None:
        """Copy an open file into the directory, for the owner only, down to the disk."""
        with durable.replacing(self.location / name) as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        with refusals("write", self.location / name):
            durable.sync_directory(self.location)

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Write a file anew, for its owner only, with its partial file locked meanwhile."""
        path = self.location / name
        with refusals("write", path), _locked(partial(path)) as fd:
            try:
                data = change(before_update(self, name))
                os.truncate(fd, 0)
                _write(fd, data)
                durable.sync(fd)
                partial(path).rename(path)
            except BaseException:
                partial(path).unlink(missing_ok=True)
                raise
            durable.sync_directory(self.location)

    def delete(self, name: str) -> None:
        """Remove a file, and bring the directory to the disk."""
        path = self.location / name
        with refusals("remove", path):
            path.unlink(missing_ok=True)
            durable.sync_directory(self.location)

    def held(self, name: str) -> AbstractContextManager[None]:
        """Lock a dump against its removal; see ``being_read``."""
        return being_read(self.location / name)

    @contextmanager
    def local_path(self, name: str) -> Iterator[Path]:
        """Give the path of the file itself, whether or not it is there."""
        yield self.location / name


@contextmanager
def being_read(dump: Path) -> Iterator[None]:
    """Keep a dump from being removed; as many as like may do so at a time.

    Nothing is held if it cannot be opened or its file system knows no locks; reading it finds the
    error. Waits for a removal that is under way.
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
def _locked(path: Path) -> Iterator[int]:
    """Open and lock a partial file; one that a dead run left is taken over."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if is_named(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def is_named(fd: int, path: Path) -> bool:
    """Return whether the path leads to the open file: its last holder may have moved it."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting; returns False if another holds it."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
