"""The places in a damaged file of its blocks, and of the whole large objects in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.archive.blocks import BlockReader, LargeObjects, kind_of, unwatched
from pgvow.archive.compression import CodecError
from pgvow.archive.decode import large_object_of
from pgvow.archive.errors import ArchiveError
from pgvow.archive.header import read_header
from pgvow.archive.primitives import PIECE, integer_field
from pgvow.archive.salvage.files import ZeroRuns
from pgvow.archive.salvage.framing import DamagedChunks, Extent
from pgvow.archive.toc import read_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.archive.primitives import ArchiveFile
    from pgvow.archive.toc import TableOfContents, TocEntry


def locate(source: ArchiveFile, toc: TableOfContents) -> tuple[Extent, ...]:
    """Return the blocks that begin before the end of the file, in its order.

    By the offsets of the table of contents, or by those of the second one that pg_dump may write
    behind the data; else the file is scanned for their heads.
    """
    end = source.size
    offsets = {entry.dump_id: entry.data_offset for entry in toc.with_data}
    if None in offsets.values() and (second := _second_offsets(source, toc)):
        offsets, end = second
    starts = {number: offset for number, offset in offsets.items() if offset is not None}
    if not _plausible(starts, toc):
        starts = _Scanner(source, toc).starts()
    by_start = sorted(
        ((starts[entry.dump_id], entry) for entry in toc.with_data if entry.dump_id in starts),
        key=lambda placed: placed[0],
    )
    placed = [(start, entry) for start, entry in by_start if start < end]
    stops = [start for start, _ in by_start[1:]] + [end]
    return tuple(
        Extent(entry, start, min(stop, end), is_last=stop >= end)
        for (start, entry), stop in zip(placed, stops, strict=False)
    )


def _plausible(starts: dict[int, int], toc: TableOfContents) -> bool:
    places = sorted(starts.values())
    return (
        len(places) == len(toc.with_data) == len(set(places))
        and bool(places)
        and places[0] == toc.end
    )


def _second_offsets(
    source: ArchiveFile, toc: TableOfContents
) -> tuple[dict[int, int | None], int] | None:
    """Return the offsets by the second table of contents, and its start; None if there is none.

    It is as long as the first.
    """
    first = BlockReader(source, toc.header, 0, toc.end, unwatched)
    read_header(first)
    start = source.size - (toc.end - first.position)
    if start < toc.end:
        return None
    try:
        entries, _ = read_entries(
            BlockReader(source, toc.header, start, source.size, unwatched), toc.header
        )
    except ArchiveError:
        return None
    offsets = {entry.dump_id: entry.data_offset for entry in entries if entry.has_data}
    return offsets, start


class _Scanner:
    """Finds the heads of blocks in a file without offsets."""

    def __init__(self, source: ArchiveFile, toc: TableOfContents) -> None:
        self._source = source
        self._toc = toc
        self._missing = {entry.dump_id: entry for entry in toc.with_data}
        int_size = toc.header.int_size
        self._head = 1 + 1 + int_size
        self._end_of_chunks = integer_field(0, int_size)
        self._candidates = re.compile(rb"(?=[\x01\x03]\0.{%d})" % int_size, re.DOTALL).finditer

    def starts(self) -> dict[int, int]:
        """Return the offsets of the heads that can be found, by dump id."""
        starts: dict[int, int] = {}
        position = self._toc.end
        while self._missing:
            start = next(self._heads(position), None)
            if start is None:
                break
            entry = self._missing.pop(self._dump_id(start))
            starts[entry.dump_id] = start
            position = self._behind(start, entry)
        return starts

    def _behind(self, start: int, entry: TocEntry) -> int:
        """Return the end of the block if the next one begins there, else where to search for it."""
        reader = BlockReader(self._source, self._toc.header, start, self._source.size, unwatched)
        try:
            reader.head()
            if entry.is_large_objects:
                for _ in reader.large_objects():
                    reader.skip_chunks()
            else:
                reader.skip_chunks()
        except ArchiveError:
            return start + self._head
        end = reader.position
        return end if end == self._source.size or self._is_head(end) else start + self._head

    def _heads(self, position: int) -> Iterator[int]:
        """Yield the positions of heads: the first at once, then those behind a block's end."""
        if self._is_head(position):
            yield position
        while position < self._source.size:
            window = self._source.read_at(position, PIECE)
            for match in self._candidates(window):
                start = position + match.start()
                if self._is_head(start) and self._is_believable(start):
                    yield start
            if len(window) <= self._head:
                return
            position += len(window) - self._head + 1

    def _dump_id(self, position: int) -> int:
        return int.from_bytes(self._source.read_at(position + 2, self._head - 2), "little")

    def _is_head(self, position: int) -> bool:
        head = self._source.read_at(position, self._head)
        if len(head) < self._head or head[1]:
            return False
        entry = self._missing.get(int.from_bytes(head[2:], "little"))
        return entry is not None and head[0] == kind_of(entry)

    def _is_believable(self, position: int) -> bool:
        """Return whether another block's end is before the head, or chunks follow it."""
        size = len(self._end_of_chunks)
        if self._source.read_at(position - size, size) == self._end_of_chunks:
            return True
        entry = self._missing[self._dump_id(position)]
        extent = Extent(entry, position, self._source.size, is_last=True)
        chunks = DamagedChunks(self._source, extent, self._toc.header.int_size)
        return not entry.is_large_objects and chunks.begin_with_a_chain()


@dataclass(frozen=True, slots=True)
class WholeObject:
    """A large object, with the range of the file that has its oid and chunks.

    ``has_zeros``: there is a run of zeros in the range, which may be damage.
    """

    oid: int
    start: int
    end: int
    facts: LargeObjects
    has_zeros: bool


def known_oids(toc: TableOfContents) -> frozenset[int]:
    """Return the oids of all large objects by their entries: one each, from 17 on a list."""
    oids = {entry.oid for entry in toc.entries if entry.desc == kinds.BLOB}
    for entry in toc.entries:
        if entry.desc == kinds.BLOB_METADATA:
            oids.update(int(line) for line in entry.defn.split() if line.isdigit())
    return frozenset(oids)


class DamagedLargeObjects:
    """Yields the objects of a block that decode to their end, and are followed by another or none.

    ``is_whole`` then tells whether the block had nothing else.
    """

    def __init__(
        self, source: ArchiveFile, toc: TableOfContents, extent: Extent, oids: frozenset[int]
    ) -> None:
        self.is_whole = True
        self._source = source
        self._header = toc.header
        self._oids = oids
        self._head = 1 + toc.header.int_size
        self._start = extent.start + 1 + self._head
        self._end = extent.end
        self._zeros = ZeroRuns(source, extent.end)
        self._fields = re.compile(rb"(?=[\0\x01].{%d})" % toc.header.int_size, re.DOTALL).finditer

    def __iter__(self) -> Iterator[WholeObject]:
        position = self._start
        while not self._ends_at(position):
            read = self._object_at(position)
            if read is None:
                self.is_whole = False
                position, read = self._search(position + 1)
            if read is None:
                return
            yield read
            position = read.end

    def _search(self, position: int) -> tuple[int, WholeObject | None]:
        while position < self._end:
            window = self._source.read_at(position, min(PIECE, self._end - position))
            for match in self._fields(window):
                at = position + match.start()
                if self._ends_at(at):
                    return at, None
                if read := self._object_at(at):
                    return at, read
            if len(window) <= self._head:
                break
            position += len(window) - self._head + 1
        return position, None

    def _object_at(self, position: int) -> WholeObject | None:
        oid = self._oid(position)
        if oid not in self._oids:
            return None
        reader = BlockReader(self._source, self._header, position, self._end, unwatched)
        try:
            reader.integer()
            facts = large_object_of(reader, self._header.compression, oid)
        except (ArchiveError, CodecError):
            return None
        end = reader.position
        if not self._ends_at(end) and self._oid(end) not in self._oids:
            return None
        run = self._zeros.after(position)
        return WholeObject(oid, position, end, facts, has_zeros=run is not None and run[0] < end)

    def _oid(self, position: int) -> int:
        field = self._source.read_at(position, self._head)
        if len(field) < self._head or position + self._head > self._end or field[0] > 1:
            return 0
        magnitude = int.from_bytes(field[1:], "little")
        return (-magnitude if field[0] else magnitude) & 0xFFFFFFFF

    def _ends_at(self, position: int) -> bool:
        return position + self._head == self._end and not any(
            self._source.read_at(position, self._head)
        )
