"""Read the files of a finished backup: dump, metadata, proof, globals. They are opened here alone.

Such a file may have become anything: a pipe, a loop of links, a folder, a file with a bad sector.
Opening it never waits, only a regular file is read, and every error names the file and the offset.
Links are followed: an operator may have moved a dump and left a link.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shlex
import stat
from typing import TYPE_CHECKING

from pgvow.errors import AccessDenied, PgvowError, UnreadableFile, lack_of_resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_RESTORE = "pg_restore --exit-on-error -d NAME"
PIECE = 1 << 20
_BUFFER = 1 << 16
_DENIED = frozenset({errno.EACCES, errno.EPERM})
# Errors of one file, and not of us or the machine. A pipe or a device without a peer is ENXIO.
OF_THE_FILE = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "ELOOP", "ENAMETOOLONG", "EISDIR", "ENXIO", "EILSEQ", "EUCLEAN", "EBADMSG",
        "EOVERFLOW", "ENODATA", "EREMOTEIO", "ETIMEDOUT",
    )
    if hasattr(errno, name)  # some are Linux's own
)  # fmt: skip
_OF_THE_NAME = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO})


class Positioned(io.RawIOBase):
    """A descriptor, read with a position of its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0

    def readable(self) -> bool:
        """Return true, as io.IOBase asks."""
        return True

    def seekable(self) -> bool:
        """Return true, as io.IOBase asks."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the position on; returns the number of bytes."""
        count = os.preadv(self._fd, [buffer], self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position and return it."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        self._position = offset + (self._size() if whence == os.SEEK_END else starts[whence])
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def _size(self) -> int:
        return os.fstat(self._fd).st_size


class _Named(Positioned):
    """A descriptor of its own, whose read errors name the file and the offset."""

    def __init__(self, fd: int, path: str | os.PathLike[str]) -> None:
        super().__init__(fd)
        self._path = path

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise read_refusal(error, self._path, offset=self._position) from error

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise read_refusal(error, self._path, offset=offset) from error

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


class FinishedFile(io.BufferedReader):
    """An open file of a finished backup; reading raises what ``open_finished`` raises."""

    raw: _Named

    @property
    def size(self) -> int:
        """Its size in bytes now."""
        return os.fstat(self.fileno()).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from an offset on; the position stays, threads may share."""
        return self.raw.read_at(offset, size)


def open_finished(path: Path | str) -> FinishedFile:
    """Open a file of a finished backup to read it at any place.

    Raises FileNotFoundError if it is missing, UnreadableFile if it is no regular file or its disk
    fails, AccessDenied, NoResources, and PgvowError for any other error of the system.
    """
    return FinishedFile(_Named(_opened(path)[0], path), _BUFFER)


def read_finished(path: Path | str, *, largest: int) -> bytes | None:
    """Return the bytes of a file of a finished backup, or None if they are more than ``largest``.

    Raises what ``open_finished`` raises.
    """
    fd, size = _opened(path)
    data = b""
    try:
        if size > largest:
            return None
        data = os.read(fd, size)
        while len(data) < size and (piece := os.read(fd, size - len(data))):
            data += piece
    except OSError as error:
        raise read_refusal(error, path, offset=len(data)) from error
    finally:
        os.close(fd)
    return data


def size_of(path_or_fd: Path | int) -> int:
    """Return the size in bytes of a finished backup's file, or of an open one of any kind.

    Raises what ``open_finished`` raises.
    """
    if isinstance(path_or_fd, int):
        return os.fstat(path_or_fd).st_size
    with open_finished(path_or_fd) as file:
        return file.size


def sha256_of(
    file: BinaryIO | Positioned, on_bytes: Callable[[int], None] | None = None
) -> tuple[str, int]:
    """Return SHA-256 in hexadecimal and size in bytes of an open file, from its position on.

    Memory is bounded. ``on_bytes`` gets the length of every piece.
    """
    digest = hashlib.sha256(usedforsecurity=False)
    piece = memoryview(bytearray(PIECE))
    size = 0
    while count := file.readinto(piece):  # type: ignore[union-attr]
        digest.update(piece[:count])
        size += count
        if on_bytes is not None:
            on_bytes(count)
    return digest.hexdigest(), size


def _opened(path: Path | str) -> tuple[int, int]:
    """Open a regular file; returns descriptor and size."""
    try:
        fd = os.open(path, _FLAGS)
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise read_refusal(error, path) from error
    try:
        about = os.fstat(fd)
    except OSError as error:
        os.close(fd)
        raise read_refusal(error, path) from error
    if stat.S_ISREG(about.st_mode):
        return fd, about.st_size
    os.close(fd)
    steps = _steps(path, of_the_disk=False)
    if os.path.lexists(os.path.join(path, "toc.dat")):  # noqa: PTH118 - either kind of path
        steps.insert(0, f"pg_dump -Fd made it: createdb NAME, then {_RESTORE} {_quoted(path)}")
    raise _unreadable(path, "it is not a regular file", steps=steps)


def read_refusal(
    error: OSError, path: str | os.PathLike[str], *, offset: int | None = None
) -> PgvowError:
    """Translate an error of opening a file of a backup, or of reading it at an offset.

    Returns UnreadableFile, AccessDenied, NoResources, or PgvowError for what is not understood.
    """
    place, words = os.fspath(path), error.strerror or str(error)
    if lack := lack_of_resources(error):
        lack.cause = f"cannot read {place}: {words}"
        return lack
    if error.errno in OF_THE_FILE:
        steps = _steps(path, of_the_disk=error.errno not in _OF_THE_NAME)
        return _unreadable(path, words, offset=offset, steps=steps)
    if error.errno in _DENIED:
        return AccessDenied(
            f"cannot read {place}: {words}",
            facts={"File": place, "User": f"uid {os.geteuid()}"},
            steps=[
                f"See who owns it and who may read: ls -ld {shlex.quote(place)}",
                "Run pgvow as the user who made the backup",
            ],
        )
    return PgvowError(
        f"cannot read {place}{_at(offset)}: {words}",
        facts={"File": place},
        steps=_steps(path, of_the_disk=True),
    )


def _unreadable(
    path: str | os.PathLike[str], words: str, *, steps: list[str], offset: int | None = None
) -> UnreadableFile:
    place = os.fspath(path)
    facts = {"File": place} if offset is None else {"File": place, "Offset": str(offset)}
    return UnreadableFile(f"cannot read {place}{_at(offset)}: {words}", facts=facts, steps=steps)


def _at(offset: int | None) -> str:
    return "" if offset is None else f" at byte {offset}"


def _quoted(path: str | os.PathLike[str]) -> str:
    return shlex.quote(os.fspath(path))


def _steps(path: str | os.PathLike[str], *, of_the_disk: bool) -> list[str]:
    steps = [f"Look at it: ls -ld {shlex.quote(os.fspath(path))}", "Use another backup: pgvow list"]
    if not of_the_disk:
        return steps
    return [
        "See what the disk says: dmesg | tail, smartctl -a DEVICE",
        "Copy the file from elsewhere, if there is another copy",
        *steps[1:],
    ]
