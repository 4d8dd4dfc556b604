"""The data blocks: the offset of each, the chunks stored in it, and the facts of its contents."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

from pgvow.archive.errors import ArchiveError, IncompleteArchive
from pgvow.archive.primitives import PIECE, ByteReader
from pgvow.archive.toc import MAX_OID, read_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.archive.header import Header
    from pgvow.archive.primitives import ArchiveFile
    from pgvow.archive.toc import TableOfContents, TocEntry

_MODULUS = 1 << 128


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block's bytes in the file: offset, size, and XXH3-128 in hexadecimal."""

    offset: int
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class ArchivedTable:
    """The data of one table: rows, bytes and fingerprint of its COPY text without terminator.

    ``rows`` is None for data dumped as INSERT commands, whose bytes are counted as they are.
    """

    entry: TocEntry
    rows: int | None
    size: int
    fingerprint: str
    stored: StoredBlock


@dataclass(frozen=True, slots=True)
class LargeObjects:
    """The number of large objects, their bytes, and a fingerprint of them all.

    The fingerprint is the sum, modulo 2 ** 128, of XXH3-128 over each one's oid (eight bytes, the
    most significant first) and contents: it does not depend on their order, and sums can be added.
    """

    count: int = 0
    size: int = 0
    total: int = 0

    @property
    def fingerprint(self) -> str:
        """The fingerprint in hexadecimal."""
        return f"{self.total:032x}"

    def __add__(self, other: LargeObjects) -> LargeObjects:
        return LargeObjects(
            count=self.count + other.count,
            size=self.size + other.size,
            total=(self.total + other.total) % _MODULUS,
        )


@dataclass(frozen=True, slots=True)
class ArchivedLargeObjects:
    """The large objects of one entry; up to 16 an archive has one such entry, then any number."""

    entry: TocEntry
    objects: LargeObjects
    stored: StoredBlock


@dataclass(frozen=True, slots=True)
class ArchiveContents:
    """Everything in an archive, in the order of its table of contents; ``size`` is the file's."""

    toc: TableOfContents
    size: int
    tables: tuple[ArchivedTable, ...]
    large_object_entries: tuple[ArchivedLargeObjects, ...]

    @property
    def large_objects(self) -> LargeObjects:
        """All large objects of the archive."""
        return sum((entry.objects for entry in self.large_object_entries), LargeObjects())


Watch = Callable[[int], None]

# The longest chunk: pg_restore reads the length as a signed 32-bit number.
MAX_CHUNK = (1 << 31) - 1

_FRAMINGS = {4: struct.Struct("<BI"), 8: struct.Struct("<BQ")}


def unwatched(_: int) -> None:
    """Do nothing with the number of bytes read."""


class BlockKind(IntEnum):
    """The first byte of a block."""

    TABLE_DATA = 1
    LARGE_OBJECTS = 3


@dataclass(frozen=True, slots=True)
class DataBlock:
    """The range of the file that has an entry's data: from ``start`` to before ``end``."""

    entry: TocEntry
    start: int
    end: int

    @property
    def size(self) -> int:
        """The number of its bytes in the file."""
        return self.end - self.start


class BlockReader(ByteReader):
    """Reads the blocks between two offsets of a source.

    ``watch`` is called with the number of bytes of every read; its error ends the reading.
    """

    def __init__(
        self, source: ArchiveFile, header: Header, start: int, end: int, watch: Watch
    ) -> None:
        super().__init__(source.window(start, end), start=start)
        self.int_size = header.int_size
        self.offset_size = header.offset_size
        self._framing = _FRAMINGS[header.int_size]
        self._cut_short = end >= source.size
        self._watch = watch

    def head(self) -> tuple[int, int]:
        """Return the block's kind and its entry's dump id."""
        return self.byte(), self.integer()

    def chunks(self) -> Iterator[list[bytes]]:
        """Yield the chunks up to the empty one that ends them, as many at a time as are buffered.

        A chunk of more than ``PIECE`` bytes comes in pieces.
        """
        while True:
            if buffered := self._buffered_chunks():
                yield buffered
            length = self._chunk_length()
            if not length:
                return
            if length <= PIECE:
                yield [self.take(length)]
            else:
                yield from ([piece] for piece in self.pieces(length))

    def skip_chunks(self) -> None:
        """Skip the chunks up to the empty one that ends them."""
        for _ in self.chunks():
            pass

    def large_objects(self) -> Iterator[int]:
        """Yield the oids; the caller reads the chunks of each before it asks for the next."""
        while True:
            start = self.position
            # pg_dump writes it through a signed number, so those above 2 ** 31 are negative.
            oid = self.integer()
            if not oid:
                return
            if not -MAX_CHUNK - 1 <= oid <= MAX_OID:
                raise ArchiveError(f"a large object has the impossible oid {oid}", offset=start)
            yield oid & MAX_OID

    def _buffered_chunks(self) -> list[bytes]:
        """Return the chunks that are whole in the buffer.

        This loop runs for every row of an uncompressed archive, and for every 4 KB of one by
        pg_dump 15: hence no calls.
        """
        buffer, cursor, size = self._buffer, self._cursor, len(self._buffer)
        unpack, head = self._framing.unpack_from, self._framing.size
        chunks: list[bytes] = []
        while cursor + head <= size:
            sign, length = unpack(buffer, cursor)
            end = cursor + head + length
            if sign or not length or end > size:
                break
            chunks.append(buffer[cursor + head : end])
            cursor = end
        self._cursor = cursor
        return chunks

    def _chunk_length(self) -> int:
        start = self.position
        length = self.integer()
        if not 0 <= length <= MAX_CHUNK:
            raise ArchiveError(f"a chunk has the impossible length {length}", offset=start)
        return length

    def _refill(self) -> None:
        super()._refill()
        self._watch(len(self._buffer))

    def _run_out(self) -> NoReturn:
        if self._cut_short:
            super()._run_out()
        raise ArchiveError("the data runs into the next block", offset=self.position)


def open_block(
    source: ArchiveFile, toc: TableOfContents, block: DataBlock, watch: Watch
) -> BlockReader:
    """Return a reader behind the block's head; raises ArchiveError if that is another entry's."""
    reader = BlockReader(source, toc.header, block.start, block.end, watch)
    kind, dump_id = reader.head()
    if dump_id != block.entry.dump_id or kind != kind_of(block.entry):
        raise ArchiveError("there is no data of this entry here", offset=block.start)
    return reader


def kind_of(entry: TocEntry) -> BlockKind:
    """Return the kind of block that an entry has."""
    return BlockKind.LARGE_OBJECTS if entry.is_large_objects else BlockKind.TABLE_DATA


def find_blocks(
    source: ArchiveFile, toc: TableOfContents, watch: Watch = unwatched
) -> Iterator[DataBlock]:
    """Yield the block of every entry that has one.

    With offsets in the table of contents they come largest first, so that several readers share
    the work well; the reader of each must check that its data ends at the block's end. Without, the
    file is scanned, and they come in its order. Raises ArchiveError if there is anything but blocks
    behind the table of contents, or if one is missing.
    """
    entries = toc.with_data
    if entries and all(entry.data_offset is not None for entry in entries):
        yield from _by_offset(source, toc, entries)
    else:
        yield from _scan(source, toc, watch)


def _by_offset(
    source: ArchiveFile, toc: TableOfContents, entries: tuple[TocEntry, ...]
) -> list[DataBlock]:
    placed = sorted(((entry.data_offset or 0, entry) for entry in entries), key=lambda p: p[0])
    starts = [start for start, _ in placed]
    if starts[0] != toc.end:
        raise ArchiveError("the first data is not where the archive says", offset=toc.end)
    if starts[-1] >= source.size:
        raise IncompleteArchive(
            "the file ends before its last data", offset=source.size, table=placed[-1][1].name
        )
    ends = [*starts[1:], source.size]
    blocks = [
        DataBlock(entry, start, end) for (start, entry), end in zip(placed, ends, strict=True)
    ]
    return sorted(blocks, key=lambda block: block.size, reverse=True)


def _scan(source: ArchiveFile, toc: TableOfContents, watch: Watch) -> Iterator[DataBlock]:
    reader = BlockReader(source, toc.header, toc.end, source.size, watch)
    missing = {entry.dump_id: entry for entry in toc.with_data}
    starts: dict[int, int] = {}
    while missing:
        start = reader.position
        if start == source.size:
            name = next(iter(missing.values())).name
            raise IncompleteArchive("the file ends before the data", offset=start, table=name)
        entry = _skip_block(reader, missing)
        starts[entry.dump_id] = start
        yield DataBlock(entry, start, reader.position)
    if reader.position != source.size:
        _check_second_toc(source, toc, reader.position, starts)


def _skip_block(reader: BlockReader, missing: dict[int, TocEntry]) -> TocEntry:
    """Skip the next block and return its entry, which is taken from those missing."""
    start = reader.position
    kind, dump_id = reader.head()
    entry = missing.pop(dump_id, None)
    if entry is None or kind != kind_of(entry) or entry.data_offset not in (None, start):
        raise ArchiveError("there is something that is no data of any entry", offset=start)
    try:
        _skip(reader, entry)
    except ArchiveError as error:
        raise error.within(entry.name) from error.__cause__
    return entry


def _skip(reader: BlockReader, entry: TocEntry) -> None:
    if not entry.is_large_objects:
        reader.skip_chunks()
        return
    for _ in reader.large_objects():
        reader.skip_chunks()


def _check_second_toc(
    source: ArchiveFile, toc: TableOfContents, start: int, starts: dict[int, int]
) -> None:
    """Raise ArchiveError unless the last block is followed by the table of contents once more.

    pg_dump 16 to 18 writes it there, and the offsets only there, if its standard output is
    redirected to a regular file, which it reopens in append mode.
    """
    reader = BlockReader(source, toc.header, start, source.size, unwatched)
    try:
        entries, _ = read_entries(reader, toc.header)
    except ArchiveError:
        entries = ()
    again = tuple(
        replace(entry, data_state=first.data_state, data_offset=first.data_offset)
        for entry, first in zip(entries, toc.entries, strict=False)
    )
    offsets = {entry.dump_id: entry.data_offset for entry in entries if entry.has_data}
    if again != toc.entries or offsets != starts or reader.position != source.size:
        raise ArchiveError("something follows the last data", offset=start)
