"""Read a file that is small by its nature, such as settings: bounded, and without waiting."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 4 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_small(path: Path, *, largest: int = LARGEST) -> bytes:
    """Read a file of at most ``largest`` bytes.

    Raises OSError for what the system refuses, for a pipe, a socket or a folder, which may have a
    file's name, and for more bytes: a device may have them without end.
    """
    fd = os.open(path, _FLAGS)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return _bounded(fd, path, largest)
    finally:
        os.close(fd)


def _bounded(fd: int, path: Path, largest: int) -> bytes:
    data = bytearray()
    while piece := os.read(fd, 1 << 16):
        data += piece
        if len(data) > largest:
            complaint = f"it has more than {largest:,} bytes"
            raise OSError(errno.EFBIG, complaint, str(path))
    return bytes(data)
