"""A store in memory: for tests, and the smallest example of the port."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pgvow.store.port import Stat, before_update, temporary_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager


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
