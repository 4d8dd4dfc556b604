"""The format's three primitives, integers, strings and offsets, read with hard bounds.

A length in a damaged or hostile file can say anything, and a file with holes is as long as it
likes for nothing. No allocation follows a length in the file: bytes are read in pieces of at most
``PIECE``, a file that ends early ends the read, and there are bounds for all that is kept: for a
name ``MAX_NAME``, for a text ``MAX_TEXT``, for everything before the data ``MAX_CONTENTS``.
"""

from __future__ import annotations

import io
import os
import re
import threading
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn, Protocol

import xxhash

from pgvow.archive.errors import ArchiveError, IncompleteArchive
from pgvow.finished_file import FinishedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


class ArchiveFile:
    """Reads at any offset of a seekable binary file, from any thread.

    It moves the file's own position: the caller must not use the file meanwhile.
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
    """Return a function that reads without the file's position or a lock; None if there is none."""
    if isinstance(file, FinishedFile):
        return file.read_at
    if not isinstance(file, (io.BufferedReader, io.FileIO)):
        return None
    descriptor = file.fileno()
    return lambda offset, size: os.pread(descriptor, size, offset)


class Window:
    """A range of a source as a stream of its own."""

    def __init__(self, source: ArchiveFile, start: int, end: int) -> None:
        self._source = source
        self._position = start
        self._end = end

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end of the window or the file."""
        piece = self._source.read_at(self._position, min(size, self._end - self._position))
        self._position += len(piece)
        return piece


# Python's names by PostgreSQL's.
_CODECS = {
    "BIG5": "big5",
    "EUC_CN": "gb2312",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO_8859_5": "iso8859_5",
    "ISO_8859_6": "iso8859_6",
    "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8",
    "JOHAB": "johab",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "LATIN1": "iso8859_1",
    "LATIN2": "iso8859_2",
    "LATIN3": "iso8859_3",
    "LATIN4": "iso8859_4",
    "LATIN5": "iso8859_9",
    "LATIN6": "iso8859_10",
    "LATIN7": "iso8859_13",
    "LATIN8": "iso8859_14",
    "LATIN9": "iso8859_15",
    "LATIN10": "iso8859_16",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "SJIS": "cp932",
    "UHC": "cp949",
    "UTF8": "utf-8",
    "WIN866": "cp866",
    "WIN874": "cp874",
} | {f"WIN{page}": f"cp{page}" for page in range(1250, 1259)}

_CLIENT_ENCODING = re.compile(r"client_encoding = '(\w+)'")

FALLBACK_CODEC = "utf-8"


def encoding_named_in(definition: str) -> str | None:
    """Return PostgreSQL's name of the encoding from the SQL of an ENCODING entry; else None."""
    match = _CLIENT_ENCODING.search(definition)
    return match[1] if match else None


def codec_for(encoding: str) -> str:
    """Return Python's codec for PostgreSQL's name of an encoding.

    It is UTF-8 for an encoding without one, such as SQL_ASCII. Callers decode bytes that are not
    valid to surrogates, so that they are neither lost nor an error.
    """
    return _CODECS.get(encoding.upper(), FALLBACK_CODEC)


# How much is read at a time: pg_dump's own chunks are a few KB.
PIECE = 256 * 1024
# A name has 63 bytes, but that of a function has the types of up to 100 arguments.
MAX_NAME = 1 << 20
# A view's or a function's definition of many megabytes passes.
MAX_TEXT = 64 << 20
# More than a million objects: 10,000 tables with keys take some 10 MB.
MAX_CONTENTS = 512 << 20

INT_SIZES = (4, 8)
OFFSET_SIZES = (4, 8)


class OffsetState(IntEnum):
    """The state of an entry's offset field."""

    NOT_SET = 1
    SET = 2
    NO_DATA = 3


class Readable(Protocol):
    """The part of a binary file's interface that ByteReader needs."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""


def integer_field(value: int, size: int) -> bytes:
    """Write a signed integer of ``size`` bytes: a byte of sign, then the magnitude."""
    return bytes([value < 0]) + abs(value).to_bytes(size, "little")


class ByteReader:
    """Reads the format's primitives from a stream, front to back.

    ``start`` is the offset in the file of the stream's first byte. A read beyond the end raises
    IncompleteArchive, a value that the format does not allow ArchiveError. The stream is read ahead
    by up to ``PIECE`` bytes and never sought in, so that it may be a pipe.
    """

    def __init__(self, file: Readable, *, start: int = 0) -> None:
        self.int_size = 4
        self.offset_size = 8
        self._file = file
        self._buffer = b""
        self._cursor = 0
        self._before = start
        self._hash = xxhash.xxh3_128()

    @property
    def position(self) -> int:
        """The offset in the file of the next byte."""
        return self._before + self._cursor

    def digest(self) -> str:
        """Return XXH3-128 of every byte taken so far, in hexadecimal."""
        hash_so_far = self._hash.copy()
        hash_so_far.update(self._buffer[: self._cursor])
        return hash_so_far.hexdigest()

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        end = self._cursor + size
        if end > len(self._buffer):
            return b"".join(self.pieces(size))
        taken = self._buffer[self._cursor : end]
        self._cursor = end
        return taken

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next ``size`` bytes, at most ``PIECE`` at a time."""
        while size:
            if self._cursor == len(self._buffer):
                self._refill()
            piece = self._buffer[self._cursor : self._cursor + size]
            self._cursor += len(piece)
            size -= len(piece)
            yield piece

    def ahead(self, size: int) -> bytes:
        """Return up to ``size`` of the first bytes, without taking them; at the start only."""
        if not self._buffer:
            self._buffer = self._file.read(PIECE)
        return self._buffer[self._cursor : self._cursor + size]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def integer(self) -> int:
        """Return the next signed integer: a byte of sign, then the magnitude."""
        field = self.take(1 + self.int_size)
        if field[0] > 1:
            raise ArchiveError(
                f"the sign of a number is {field[0]}, neither 0 nor 1",
                offset=self.position - len(field),
            )
        magnitude = int.from_bytes(field[1:], "little")
        return -magnitude if field[0] else magnitude

    def string(self, most: int = MAX_TEXT) -> bytes | None:
        """Return the next string, None for NULL; raises ArchiveError beyond ``most`` bytes."""
        start = self.position
        length = self.integer()
        if length == -1:
            return None
        if not 0 <= length <= most:
            raise ArchiveError(f"a text has the impossible length {length}", offset=start)
        if start + length > MAX_CONTENTS:
            raise ArchiveError(
                f"the table of contents is longer than {MAX_CONTENTS >> 20} MiB", offset=start
            )
        return self.take(length)

    def offset(self) -> tuple[OffsetState, int]:
        """Return the next offset with its state."""
        start = self.position
        flag = self.byte()
        value = int.from_bytes(self.take(self.offset_size), "little")
        if flag not in (OffsetState.NOT_SET, OffsetState.SET, OffsetState.NO_DATA):
            raise ArchiveError(f"an offset has the unknown state {flag}", offset=start)
        return OffsetState(flag), value

    def _refill(self) -> None:
        self._hash.update(self._buffer)
        self._before += len(self._buffer)
        self._cursor = 0
        self._buffer = self._file.read(PIECE)
        if not self._buffer:
            self._run_out()

    def _run_out(self) -> NoReturn:
        raise IncompleteArchive("the file ends too early", offset=self.position)
