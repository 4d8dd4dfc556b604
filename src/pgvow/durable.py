"""Making what was written last: the one place that knows how a file reaches the disk."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgvow.file_errors import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path

# macOS: fsync leaves the data in the drive's own cache, this does not.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
# What network and FUSE file systems answer that cannot sync a directory; no disk's error is here.
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
# What Linux (3.15) and the C library have for a rename that replaces nothing; others have neither.
_RENAMEAT2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
_RENAME_NOREPLACE = 1
# What file systems answer that know of no such rename.
_NO_SUCH_RENAME = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


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


def sync_directory(path: Path) -> None:
    """Bring a directory's names to the disk, where its file system knows how."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        sync_names(fd)
    finally:
        os.close(fd)


def sync_names(directory: int) -> None:
    """Bring the names in an open directory to the disk, where its file system knows how."""
    try:
        sync(directory)
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


def rename_new(directory: int, name: str, new: str) -> None:
    """Rename within an open directory, to a name that must be free.

    Raises FileExistsError if it is not. In one step where system and file system know how; else
    after a look.
    """
    if _RENAMEAT2 is not None:
        old_name, new_name = os.fsencode(name), os.fsencode(new)
        if not _RENAMEAT2(directory, old_name, directory, new_name, _RENAME_NOREPLACE):
            return
        number = ctypes.get_errno()
        if number not in _NO_SUCH_RENAME:
            raise OSError(number, os.strerror(number), name, None, new)
    try:
        os.stat(new, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name, None, new)


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in the place of another in one step, for its owner only."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """Yield a new file for its owner only, which takes the place of another after the block."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with refusals("write", path):
        try:
            with create(draft) as file:
                yield file
                file.flush()
                sync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
