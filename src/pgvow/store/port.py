"""The port to where finished backups live, and the smallest adapter of it: a store in memory."""

from __future__ import annotations

import io
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pgvow.file_errors import refusals
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager


LARGEST_UPDATED = 64 << 20
"""A proof of a restore that brought nothing back has 200 bytes or so for each table."""
_PIECE = 1 << 20


class LeadsNowhereError(FileNotFoundError):
    """Raised for a link without a target: the name is taken, and reads as missing."""


@dataclass(frozen=True, slots=True)
class Stat:
    """The size of a file in bytes, and whether it is a regular file."""

    size: int
    is_regular: bool = True


class Store(Protocol):
    """Where finished backups live. Names are plain file names; a file is whole or not there.

    Every method but ``list`` raises FileNotFoundError for a name that is not there, unless it
    says otherwise. UnreadableFile and AccessDenied belong to one file or to its permissions: trying
    again does not help. NoSpace, NoResources and any other PgvowError may pass: everything here is
    idempotent, so the caller may try again.
    """

    @property
    def location(self) -> Path:
        """The place, for messages: ``location / name`` names a file to people."""

    def list(self) -> Collection[str]:
        """Return the names of all files, those that are half-made or hidden among them.

        Empty if the place itself does not exist yet.
        """

    def stat(self, name: str) -> Stat:
        """Return size and kind of a file without opening it.

        Raises LeadsNowhereError for a link without a target, and OSError as the system gives it.
        """

    def open(self, name: str) -> BinaryIO:
        """Open a file to read it at any place; reading raises UnreadableFile as opening does.

        An open file stays readable if it is deleted or replaced meanwhile.
        """

    def put(self, name: str, file: BinaryIO) -> None:
        """Write a file from an open one, read to its end; it replaces an older one in one step.

        A reader has the old bytes or the new, also if this dies. Doing it again is harmless, with
        the file at its start again.
        """

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a small file by the bytes that ``change`` makes of its own.

        ``change`` gets None if the file is missing or larger than ``LARGEST_UPDATED``. No change by
        another run is lost; ``change`` may be called again for that. Its errors go through, and the
        file stays as it was.
        """

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is deleted already."""

    def held(self, name: str) -> AbstractContextManager[None]:
        """Keep a file from being deleted by another run of pgvow, as far as the store can.

        Any number of readers may hold it. Raises nothing: of a missing file nothing is held.
        """

    def local_path(self, name: str) -> AbstractContextManager[Path]:
        """Give a path by which a program can open the file.

        The file itself in a directory; elsewhere a private copy that is gone after the block.
        """


def rewound(file: BinaryIO) -> int:
    """Go to the start of an open file, and return its size in bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def read_whole(store: Store, name: str, *, largest: int) -> bytes | None:
    """Read a small file; None if it has more bytes than ``largest``. Raises as ``open`` does."""
    with store.open(name) as file:
        size = rewound(file)
        return None if size > largest else file.read(size)


def before_update(store: Store, name: str) -> bytes | None:
    """Read the bytes that ``update`` hands to the change. Raises as ``open`` does otherwise."""
    try:
        return read_whole(store, name, largest=LARGEST_UPDATED)
    except FileNotFoundError:
        return None


@contextmanager
def temporary_copy(store: Store, name: str) -> Iterator[Path]:
    """Copy a file into a private folder, readable by its owner alone, for the time of the block.

    Raises as ``open`` does, and NoSpace or PgvowError if the copy cannot be written.
    """
    with temporary_folder("pgvow-") as folder:
        path = folder / Path(name).name
        with store.open(name) as source, refusals("write", path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as copy:
                while piece := source.read(_PIECE):
                    copy.write(piece)
        yield path


class MemoryStore:
    """Files as bytes in a dictionary, as ``Store`` has them; threads may share it."""

    location = Path("memory:")

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._changing = threading.Lock()

    def list(self) -> Collection[str]:
        """Return the names of all files."""
        return frozenset(self._files)

    def stat(self, name: str) -> Stat:
        """Return the size of a file."""
        return Stat(len(self._bytes(name)))

    def open(self, name: str) -> BinaryIO:
        """Open the bytes that the file has now."""
        return io.BytesIO(self._bytes(name))

    def put(self, name: str, file: BinaryIO) -> None:
        """Keep the bytes of an open file from its position on."""
        self._files[name] = file.read()

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a file by the result of ``change``, one thread at a time."""
        with self._changing:
            self._files[name] = change(before_update(self, name))

    def delete(self, name: str) -> None:
        """Forget a file."""
        self._files.pop(name, None)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:  # noqa: ARG002 - open readers keep their bytes
        """Do nothing: only this process can delete the file, and open readers keep their bytes."""
        yield

    def local_path(self, name: str) -> AbstractContextManager[Path]:
        """Give the path of a private copy."""
        return temporary_copy(self, name)

    def _bytes(self, name: str) -> bytes:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(f"there is no {name} in memory") from None
