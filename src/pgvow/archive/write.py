"""The archive, written: head, blocks, and at the end the head again with their offsets."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.blocks import (
    ArchiveContents,
    ArchivedLargeObjects,
    ArchivedTable,
    BlockKind,
    BlockReader,
    LargeObjects,
    StoredBlock,
    find_blocks,
    kind_of,
    unwatched,
)
from pgvow.archive.compression import ADLER_OF_NOTHING, closing, combined_adler32, opening
from pgvow.archive.decode import large_objects_of, located, named
from pgvow.archive.errors import ArchiveError
from pgvow.archive.header import read_header
from pgvow.archive.primitives import ArchiveFile, ByteReader, OffsetState, integer_field
from pgvow.archive.rows import TERMINATOR, CopyDigest
from pgvow.archive.toc import read_toc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from pgvow.archive.compression import Encoder, Piece
    from pgvow.archive.head import Head
    from pgvow.archive.header import Header
    from pgvow.archive.toc import TableOfContents, TocEntry


def _layout(header: Header) -> tuple[object, ...]:
    """Return the facts that two archives must share for the blocks of one to fit the other."""
    return header.version, header.int_size, header.compression


def _copy_large_objects(
    archive: BinaryIO, entry: TocEntry, fitting: Header, write: Callable[[bytes], None]
) -> LargeObjects:
    """Write all bytes behind the head of the entry's block, and return their facts.

    Every byte is decoded on the way. Raises ArchiveError if the archive is damaged, or of another
    layout than an archive with the header ``fitting``. Without offsets it is scanned for the block.
    """
    archive.seek(0)
    header = read_header(ByteReader(archive))
    if _layout(header) != _layout(fitting):
        raise ArchiveError("the archive is laid out otherwise", offset=0, table=entry.name)
    with named(entry):
        reader = _CopyingReader(archive, header, _start(archive, entry), write)
        if reader.head() != (BlockKind.LARGE_OBJECTS, entry.dump_id):
            raise ArchiveError("there is no data of this entry here", offset=reader.position)
        reader.skip_copying()
        with located(reader):
            objects = large_objects_of(reader, header.compression)
        reader.copy()
    return objects


def _start(archive: BinaryIO, entry: TocEntry) -> int:
    """Return the offset of the entry's block."""
    if entry.data_offset is not None:
        return entry.data_offset
    archive.seek(0)
    toc = read_toc(archive)
    for block in find_blocks(ArchiveFile(archive), toc):
        if block.entry.dump_id == entry.dump_id:
            return block.start
    raise ArchiveError("there is no data of this entry", offset=toc.end)


class _CopyingReader(BlockReader):
    """Writes the bytes that are taken from it, in pieces of up to ``PIECE`` bytes."""

    def __init__(
        self, archive: BinaryIO, header: Header, start: int, write: Callable[[bytes], None]
    ) -> None:
        source = ArchiveFile(archive)
        super().__init__(source, header, start, source.size, unwatched)
        self._write = write
        self._copied = 0

    def skip_copying(self) -> None:
        """Leave out the bytes that have been taken so far."""
        self._copied = self._cursor

    def copy(self) -> None:
        """Copy the bytes that have been taken since the last copy."""
        self._write(self._buffer[self._copied : self._cursor])
        self._copied = self._cursor

    def _refill(self) -> None:
        self.copy()
        super()._refill()
        self._copied = 0


# pg_restore allocates as much as the largest chunk has. pg_dump's own have 4 to 128 KB.
CHUNK = 256 * 1024
# How much is framed and written at once: a single row can be a gigabyte.
_BATCH = 16 * CHUNK


class ArchiveWriter:
    """Writes an archive into an empty file, block by block, in the order of the calls.

    ``file`` is seekable, and writes everything at once, as a buffered one does; the caller must not
    use it meanwhile. After an error, one of the file included, the writer is unusable and the file
    worthless. Raises ArchiveError if the head is of another compression than the encoder's.
    """

    def __init__(self, file: BinaryIO, head: Head, encoder: Encoder) -> None:
        self._head = head
        self._compression = self._head.toc.header.compression
        if encoder.compression is not self._compression:
            raise ArchiveError(
                f"the head says {self._compression}, and the data is {encoder.compression}",
                offset=0,
            )
        self._end = encoder.encode(TERMINATOR)
        self._missing = {entry.dump_id: entry for entry in self._head.toc.with_data}
        self._tables: dict[int, ArchivedTable] = {}
        self._large_objects: dict[int, ArchivedLargeObjects] = {}
        self._table: _UnfinishedTable | None = None
        self._usable = True
        self._file = file
        file.seek(0)
        file.write(head.raw)
        self._body = _Body(file, len(head.raw), self._head.toc.header.int_size)

    @property
    def toc(self) -> TableOfContents:
        """The table of contents of the head, without offsets."""
        return self._head.toc

    @property
    def body_digest(self) -> str:
        """XXH3-128 (hexadecimal) of all bytes written behind the head so far."""
        return self._body.digest()

    def begin_table(self, dump_id: int) -> None:
        """Begin the block of this entry; raises ArchiveError if it must not have one."""
        with self._writing(table=False):
            entry = self._take(dump_id, large_objects=False)
            self._body.begin(entry)
            self._body.chunks(opening(self._compression))
            self._table = _UnfinishedTable(entry)

    def add(self, text: bytes | memoryview, piece: Piece, *, rows: int | None = None) -> None:
        """Add the next piece to the table that was begun; ``text`` is the text of it.

        ``rows`` is the number of rows that end in it, None if it is not known: counting takes
        longer than everything else here, and keeps other threads waiting. A piece without text is
        skipped: with some compressions it would end the block.
        """
        if len(text) != piece.size:
            raise ValueError(f"a piece of {piece.size} bytes of text comes with {len(text)}")
        with self._writing(table=True):
            if text:
                self._open.take(text, piece, rows)
                self._body.chunks(piece.stored)

    def end_table(self) -> ArchivedTable:
        """End the block, and return its facts; raises ArchiveError if its last row has no end."""
        with self._writing(table=True):
            table, self._table = self._open, None
            if not table.ends_a_row:
                raise ArchiveError(
                    "the table's rows end too early",
                    offset=self._body.position,
                    table=table.entry.name,
                )
            adler = combined_adler32(table.adler32, self._end.adler32, self._end.size)
            self._body.chunks(self._end.stored + closing(self._compression, adler))
            self._body.end_chunks()
            contents = table.contents(self._body.end())
        self._tables[table.entry.dump_id] = contents
        return contents

    def add_large_objects(
        self, dump_id: int, archive: BinaryIO, entry: TocEntry
    ) -> ArchivedLargeObjects:
        """Copy the block of another archive's entry as that of ``dump_id``, and return its facts.

        ``archive`` is seekable, of the same version and compression, and used by nothing else
        meanwhile. Its stored bytes are copied as they are, and decoded on the way; without offsets
        in its table of contents it is scanned for the block. Raises ArchiveError if it is damaged.
        """
        with self._writing(table=False):
            place = self._take(dump_id, large_objects=True)
            self._body.begin(place)
            objects = _copy_large_objects(archive, entry, self.toc.header, self._body.write)
            stored = self._body.end()
        contents = ArchivedLargeObjects(_placed(place, stored), objects, stored)
        self._large_objects[dump_id] = contents
        return contents

    def finish(self) -> ArchiveContents:
        """Write the offsets into the head, flush, and return the contents as ``read_archive`` does.

        Raises ArchiveError if an entry that has data got no block.
        """
        with self._writing(table=False):
            for entry in self._missing.values():
                raise ArchiveError(
                    "the table has no block", offset=self._body.position, table=entry.name
                )
            toc = self._write_offsets()
        self._usable = False
        order = [entry.dump_id for entry in toc.with_data]
        return ArchiveContents(
            toc=toc,
            size=self._body.position,
            tables=tuple(self._tables[n] for n in order if n in self._tables),
            large_object_entries=tuple(
                self._large_objects[n] for n in order if n in self._large_objects
            ),
        )

    @property
    def _open(self) -> _UnfinishedTable:
        assert self._table is not None  # noqa: S101 - _writing(table=True) has checked it
        return self._table

    @contextmanager
    def _writing(self, *, table: bool) -> Iterator[None]:
        """Raise RuntimeError if a call is out of order, or comes after an error."""
        if not self._usable or table is (self._table is None):
            raise RuntimeError("the writer is finished, has failed, or is asked out of order")
        self._usable = False
        yield
        self._usable = True

    def _take(self, dump_id: int, *, large_objects: bool) -> TocEntry:
        """Take an entry from those without a block; raises ArchiveError if it is not among them."""
        entry = self._missing.pop(dump_id, None)
        if entry is None or entry.is_large_objects is not large_objects:
            raise ArchiveError(
                f"entry {dump_id} is not to have such a block", offset=self._body.position
            )
        if not large_objects and not entry.copy_stmt:
            raise ArchiveError(
                "its data is not for COPY", offset=self._body.position, table=entry.name
            )
        return entry

    def _write_offsets(self) -> TableOfContents:
        offsets = {n: table.stored.offset for n, table in self._tables.items()}
        offsets |= {n: objects.stored.offset for n, objects in self._large_objects.items()}
        raw, toc = self._head.with_offsets(offsets)
        self._file.seek(0)
        self._file.write(raw)
        self._file.seek(0, io.SEEK_END)
        self._file.flush()
        return toc


class _Body:
    """The file behind the head: hashed while it is written, as a whole and by block."""

    def __init__(self, file: BinaryIO, start: int, int_size: int) -> None:
        self.position = start
        self._file = file
        self._int_size = int_size
        self._hash = xxhash.xxh3_128()
        self._block_hash = xxhash.xxh3_128()
        self._block_start = start

    def digest(self) -> str:
        return self._hash.hexdigest()

    def begin(self, entry: TocEntry) -> None:
        self._block_start = self.position
        self._block_hash.reset()
        self.write(bytes([kind_of(entry)]) + integer_field(entry.dump_id, self._int_size))

    def end(self) -> StoredBlock:
        size = self.position - self._block_start
        return StoredBlock(self._block_start, size, self._block_hash.hexdigest())

    def chunks(self, stored: bytes) -> None:
        """Write ``stored`` in as few chunks as possible: a frame must end with a chunk."""
        view = memoryview(stored)
        for start in range(0, len(view), _BATCH):
            self.write(b"".join(self._framed(view[start : start + _BATCH])))

    def end_chunks(self) -> None:
        self.write(integer_field(0, self._int_size))

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._block_hash.update(data)
        self.position += len(data)

    def _framed(self, view: memoryview) -> Iterator[bytes | memoryview]:
        for start in range(0, len(view), CHUNK):
            chunk = view[start : start + CHUNK]
            yield integer_field(len(chunk), self._int_size)
            yield chunk


@dataclass(slots=True)
class _UnfinishedTable:
    """The facts of the table whose block is being written."""

    entry: TocEntry
    digest: CopyDigest = field(default_factory=CopyDigest)
    adler32: int = ADLER_OF_NOTHING
    ends_a_row: bool = True

    def take(self, text: bytes | memoryview, piece: Piece, rows: int | None) -> None:
        self.digest.update(text, rows=rows)
        self.adler32 = combined_adler32(self.adler32, piece.adler32, piece.size)
        self.ends_a_row = text[-1:] == b"\n"

    def contents(self, stored: StoredBlock) -> ArchivedTable:
        facts = self.digest.facts()
        return ArchivedTable(
            _placed(self.entry, stored), facts.rows, facts.size, facts.fingerprint, stored
        )


def _placed(entry: TocEntry, stored: StoredBlock) -> TocEntry:
    return replace(entry, data_state=OffsetState.SET, data_offset=stored.offset)
