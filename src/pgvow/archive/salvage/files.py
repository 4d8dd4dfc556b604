"""The damaged file, with zeros for the bytes that cannot be read, and the new archive."""

from __future__ import annotations

import io
from itertools import chain
from typing import TYPE_CHECKING

import lz4.frame

from pgvow.archive.blocks import kind_of
from pgvow.archive.compression import (
    ADLER_OF_NOTHING,
    closing,
    combined_adler32,
    encoder_for,
    opening,
)
from pgvow.archive.primitives import PIECE, ArchiveFile, integer_field
from pgvow.archive.rows import TERMINATOR
from pgvow.errors import UnreadableFile
from pgvow.model import Compression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from pgvow.archive.head import Head
    from pgvow.archive.toc import TocEntry

SECTOR = 4096
# Disks lose whole sectors, of 512 bytes at least. Neither compressed data nor COPY text, which has
# no zero byte at all, has so many zeros in a row; but for a value of one character half a MB long.
LEAST_ZEROS = 512
_ZEROS = bytes(LEAST_ZEROS)


class DamagedFile(ArchiveFile):
    """Reads sectors that the disk no longer gives as zeros; ``unreadable`` has their numbers."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.unreadable: set[int] = set()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on, none only at the end of the file."""
        try:
            return super().read_at(offset, size)
        except UnreadableFile:
            end = min(offset + size, self.size)
        pieces = []
        while offset < end:
            stop = min(end, (offset // SECTOR + 1) * SECTOR)
            pieces.append(self._of_one_sector(offset, stop - offset))
            offset = stop
        return b"".join(pieces)

    def _of_one_sector(self, offset: int, size: int) -> bytes:
        try:
            return super().read_at(offset, size)
        except UnreadableFile:
            self.unreadable.add(offset // SECTOR)
            return bytes(size)


class Pages:
    """Reads small ranges of a file, a page of ``PIECE`` bytes at a time."""

    def __init__(self, source: ArchiveFile) -> None:
        self._source = source
        self._start = 0
        self._page = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on; fewer only at the end of the file."""
        start = offset - self._start
        if not 0 <= start <= start + size <= len(self._page):
            self._start, start = offset, 0
            self._page = self._source.read_at(offset, max(size, PIECE))
        return self._page[start : start + size]


class ZeroRuns:
    """Finds the runs of zeros in a file before ``end``, front to back."""

    def __init__(self, source: ArchiveFile, end: int) -> None:
        self._source = source
        self._end = end
        self._searched = 0
        self._run: tuple[int, int] | None = (0, 0)

    def after(self, position: int) -> tuple[int, int] | None:
        """Return start and end of the first run that ends behind ``position``; None if none."""
        if position < self._searched or (self._run and self._run[1] <= position):
            self._run = self._search(position)
            self._searched = position
        return self._run

    def touch(self, position: int, size: int) -> bool:
        """Return whether such a run has some of ``size`` bytes at ``position``, or ends there."""
        start = max(position - LEAST_ZEROS, 0)
        return _ZEROS in self._source.read_at(start, position + size + LEAST_ZEROS - start)

    def _search(self, position: int) -> tuple[int, int] | None:
        while position < self._end:
            window = self._source.read_at(position, min(PIECE, self._end - position))
            at = window.find(_ZEROS)
            if at >= 0:
                return position + at, self._stop(position + at + LEAST_ZEROS)
            if len(window) < LEAST_ZEROS:
                return None
            position += len(window) - LEAST_ZEROS + 1
        return None

    def _stop(self, position: int) -> int:
        while position < self._end:
            window = self._source.read_at(position, min(PIECE, self._end - position))
            rest = len(window.lstrip(b"\0"))
            position += len(window) - rest
            if rest or not window:
                break
        return position


# Compressed by itself: as much as one of our own segments.
_AT_A_TIME = 4 << 20


class NewArchive:
    """Writes blocks into an empty file, as they are in another or anew, and at last the offsets."""

    def __init__(self, file: BinaryIO, head: Head, source: ArchiveFile) -> None:
        self._file = file
        self._head = head
        self._source = source
        self._compression = head.toc.header.compression
        self._offsets: dict[int, int] = {}
        file.write(head.raw)

    def copy(self, start: int, end: int) -> None:
        """Write a range of the other file."""
        while start < end:
            piece = self._source.read_at(start, min(PIECE, end - start))
            self._file.write(piece)
            start += len(piece)

    def copy_block(self, entry: TocEntry, start: int, end: int) -> None:
        """Write an entry's block as it is in the other file."""
        self._offsets[entry.dump_id] = self._file.tell()
        self.copy(start, end)

    def begin(self, entry: TocEntry) -> None:
        """Write the head of an entry's block."""
        self._offsets[entry.dump_id] = self._file.tell()
        self._file.write(bytes([kind_of(entry)]))
        self._integer(entry.dump_id)

    def end(self) -> None:
        """Write the end of chunks, or of large objects."""
        self._integer(0)

    def write_rows(self, entry: TocEntry, texts: Iterable[bytes]) -> None:
        """Write a table's block with these rows."""
        self.begin(entry)
        self._chunks(opening(self._compression))
        adler = ADLER_OF_NOTHING
        terminator = [TERMINATOR] if entry.copy_stmt else []
        for text in _collected(chain(texts, terminator)):
            stored, its_adler = self._encode(text)
            adler = combined_adler32(adler, its_adler, len(text))
            self._chunks(stored)
        self._chunks(closing(self._compression, adler))
        self.end()

    def finish(self) -> None:
        """Write the offsets into the head."""
        raw, _ = self._head.with_offsets(self._offsets)
        self._file.seek(0)
        self._file.write(raw)
        self._file.seek(0, io.SEEK_END)

    def _encode(self, text: bytes) -> tuple[bytes, int]:
        """Return the text compressed, and its Adler-32 if the compression needs it."""
        if self._compression is Compression.LZ4:
            return lz4.frame.compress(text), ADLER_OF_NOTHING
        piece = encoder_for(self._compression, None).encode(text)
        return piece.stored, piece.adler32

    def _integer(self, value: int) -> None:
        self._file.write(integer_field(value, self._head.toc.header.int_size))

    def _chunks(self, stored: bytes) -> None:
        for start in range(0, len(stored), PIECE):
            chunk = stored[start : start + PIECE]
            self._integer(len(chunk))
            self._file.write(chunk)


def _collected(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the texts, joined to some megabytes each."""
    pieces: list[bytes] = []
    size = 0
    for text in texts:
        pieces.append(text)
        size += len(text)
        if size >= _AT_A_TIME:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)
