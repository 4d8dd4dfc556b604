"""One file, read at many places at once."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING

from pgvow.finished_file import FinishedFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO


class Source:
    """Reads at any offset of a seekable binary file, from any thread.

    The file's own position is moved about: nobody else may use it meanwhile.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._positioned = _positioned(file)
        self.size = file.seek(0, io.SEEK_END)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on, none only at the end of the file."""
        if self._positioned is not None:
            return self._positioned(offset, size)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def window(self, start: int, end: int) -> Window:
        """Return a stream of the bytes from ``start`` to ``end``."""
        return Window(self, start, end)


def _positioned(file: BinaryIO) -> Callable[[int, int], bytes] | None:
    """Return how it is read without moving its position and without a lock, if that is possible."""
    if isinstance(file, FinishedFile):
        return file.read_at
    if not isinstance(file, (io.BufferedReader, io.FileIO)):
        return None
    descriptor = file.fileno()
    return lambda offset, size: os.pread(descriptor, size, offset)


class Window:
    """A stretch of a source as a stream of its own."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source = source
        self._position = start
        self._end = end

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end of the window or the file."""
        piece = self._source.read_at(self._position, min(size, self._end - self._position))
        self._position += len(piece)
        return piece
