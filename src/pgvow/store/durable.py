"""Making what was written last: the one place that knows how a file reaches the disk."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from typing import TYPE_CHECKING

from pgvow.store.refusals import refusals

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path

# macOS: fsync leaves the data in the drive's own cache, this does not.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
# What network and FUSE file systems answer that cannot sync a directory; no disk's error is here.
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, for its owner only, down to the disk."""
    with create(path) as file:
        file.write(data)
        file.flush()
        sync(file.fileno())


def create(path: Path) -> BufferedRandom:
    """Open a new file for writing and reading, for its owner only; nothing is ever overwritten."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "w+b")


def sync_file(path: Path) -> None:
    """Bring a file's contents to the disk."""
    _sync_path(path, os.O_NOFOLLOW)


def sync_directory(path: Path) -> None:
    """Bring a directory's names to the disk, where its file system knows how."""
    try:
        _sync_path(path, os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def sync(fd: int) -> None:
    """Bring an open file to the disk, through the drive's cache where that takes asking."""
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
        else:
            return
    os.fsync(fd)


def _sync_path(path: Path, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        sync(fd)
    finally:
        os.close(fd)


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in the place of another in one step, for its owner only."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with refusals("write", path):
        try:
            write_new(draft, data)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
