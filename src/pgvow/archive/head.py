"""The bytes before the data: pg_dump's, read once and written twice; or definitions alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.header import read_header
from pgvow.archive.primitives import ByteReader, OffsetState, codec_for, integer_field
from pgvow.archive.toc import RELKIND_SINCE, TABLE_AM_SINCE, take_toc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from pgvow.archive.primitives import Readable
    from pgvow.archive.toc import TableOfContents, TocEntry


@dataclass(frozen=True, slots=True)
class Head:
    """Header and table of contents: their bytes as ``raw``, and as ``toc``.

    ``places`` has, for each entry, the position in ``raw`` of its offset field.
    """

    raw: bytes
    toc: TableOfContents
    places: Sequence[int]

    @classmethod
    def read(cls, file: Readable) -> Head:
        """Read it from the start of a stream, and some of the bytes behind it.

        Raises IncompleteArchive if the stream ends before it does, ArchiveError if it is no
        archive.
        """
        recorder = _Recorder(file)
        reader = _OffsetFinder(recorder)
        toc = take_toc(reader)
        return cls(recorder.recorded(toc.end), toc, reader.places)

    def with_offsets(self, offsets: Mapping[int, int]) -> tuple[bytes, TableOfContents]:
        """Return it with the offsets of entries by dump id, as bytes and as a TableOfContents."""
        raw, size = bytearray(self.raw), self.toc.header.offset_size
        entries = list(self.toc.entries)
        for number, (entry, place) in enumerate(zip(entries, self.places, strict=True)):
            offset = offsets.get(entry.dump_id)
            if offset is not None:
                raw[place : place + 1 + size] = bytes([OffsetState.SET]) + offset.to_bytes(
                    size, "little"
                )
                entries[number] = replace(entry, data_state=OffsetState.SET, data_offset=offset)
        written = bytes(raw)
        digest = xxhash.xxh3_128_hexdigest(written)
        return written, replace(self.toc, entries=tuple(entries), digest=digest)


class _Recorder:
    """A stream that keeps the bytes read from it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._pieces: list[bytes] = []

    def read(self, size: int, /) -> bytes:
        piece = self._file.read(size)
        self._pieces.append(piece)
        return piece

    def recorded(self, size: int) -> bytes:
        return b"".join(self._pieces)[:size]


class _OffsetFinder(ByteReader):
    """Keeps the positions of the offset fields that are read: every entry has one."""

    def __init__(self, file: Readable) -> None:
        super().__init__(file)
        self.places: list[int] = []

    def offset(self) -> tuple[OffsetState, int]:
        self.places.append(self.position)
        return super().offset()


def definitions_archive(file: BinaryIO, entries: Iterable[TocEntry], encoding: str) -> bytes:
    """Return an archive with the header of ``file`` and these entries, none of which has data.

    ``encoding`` is PostgreSQL's name of the encoding for the entries' texts. The ENCODING entry,
    which must be among them, has to name the same.
    """
    file.seek(0)
    reader = ByteReader(file)
    header = read_header(reader)
    file.seek(0)
    start = file.read(reader.position)
    writer = _Writer(header.version, header.int_size, header.offset_size, encoding)
    written = [writer.entry(entry) for entry in entries]
    return b"".join([start, writer.integer(len(written)), *written])


class _Writer:
    """Writes the format's primitives, and entries made of them."""

    def __init__(
        self, version: tuple[int, int], int_size: int, offset_size: int, encoding: str
    ) -> None:
        self._version = version
        self._int_size = int_size
        self._offset_size = offset_size
        self._codec = codec_for(encoding)

    def integer(self, value: int) -> bytes:
        return integer_field(value, self._int_size)

    def entry(self, entry: TocEntry) -> bytes:
        return b"".join(self._fields(entry))

    def _fields(self, entry: TocEntry) -> Iterator[bytes]:
        yield self.integer(entry.dump_id)
        yield self.integer(0)
        yield self._text(str(entry.table_oid))
        yield self._text(str(entry.oid))
        yield self._text(entry.tag)
        yield self._text(entry.desc)
        yield self.integer(entry.section)
        yield self._text(entry.defn)
        yield self._text(entry.drop)
        yield self._null()
        # pg_restore would set an empty name for the entries that follow; it ignores NULL.
        yield self._text_or_null(entry.namespace)
        yield self._text_or_null(entry.tablespace)
        if self._version >= TABLE_AM_SINCE:
            yield self._text_or_null(entry.table_am)
        if self._version >= RELKIND_SINCE:
            yield self.integer(ord(entry.relkind) if entry.relkind else 0)
        yield self._text(entry.owner)
        yield self._text("false")
        for dump_id in entry.dependencies:
            yield self._text(str(dump_id))
        yield self._null()
        yield bytes([OffsetState.NO_DATA]) + bytes(self._offset_size)

    def _text(self, text: str) -> bytes:
        data = text.encode(self._codec, "surrogateescape")
        return self.integer(len(data)) + data

    def _text_or_null(self, text: str) -> bytes:
        return self._text(text) if text else self._null()

    def _null(self) -> bytes:
        return self.integer(-1)
