"""What stands before the data, as pg_dump writes it: read off a stream once, written twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.header import read_header
from pgvow.archive.primitives import ByteReader, OffsetState
from pgvow.archive.toc import TableOfContents, read_entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgvow.archive.primitives import Readable


@dataclass(frozen=True, slots=True)
class Head:
    """Header and table of contents: ``raw`` and what they say.

    ``places`` has for each entry the byte of ``raw`` at which its offset stands.
    """

    raw: bytes
    toc: TableOfContents
    places: Sequence[int]

    @classmethod
    def read(cls, file: Readable) -> Head:
        """Read it off the front of what pg_dump writes; of what follows some is read as well.

        Raises IncompleteArchive where the stream ends before it does, ArchiveError where it is no
        archive.
        """
        recorder = _Recorder(file)
        reader = _OffsetFinder(recorder)
        header = read_header(reader)
        entries, encoding = read_entries(reader, header)
        end = reader.position
        toc = TableOfContents(header, entries, encoding, end, reader.digest())
        return cls(recorder.recorded(end), toc, reader.places)

    def with_offsets(self, offsets: Mapping[int, int]) -> tuple[bytes, TableOfContents]:
        """Return it, as bytes and as what they say, with the offset of each entry with data."""
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
    """A stream that keeps what was read from it."""

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
    """Remembers where the offsets stand that it was asked for: there is one to every entry."""

    def __init__(self, file: Readable) -> None:
        super().__init__(file)
        self.places: list[int] = []

    def offset(self) -> tuple[OffsetState, int]:
        self.places.append(self.position)
        return super().offset()
