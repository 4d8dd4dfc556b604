"""The large objects of an entry, copied from one archive to another as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.blocks import BlockKind, BlockReader, find_blocks, unwatched
from pgvow.archive.decode import large_objects_of, located, named
from pgvow.archive.errors import ArchiveError
from pgvow.archive.header import read_header
from pgvow.archive.primitives import ByteReader
from pgvow.archive.source import Source
from pgvow.archive.toc import read_toc

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from pgvow.archive.contents import LargeObjects
    from pgvow.archive.header import Header
    from pgvow.archive.toc import Entry


@dataclass(frozen=True, slots=True)
class Layout:
    """What two archives must have in common for the blocks of one to fit the other."""

    version: tuple[int, int]
    int_size: int
    compression: str

    @classmethod
    def of(cls, header: Header) -> Layout:
        """Return the layout of the blocks behind this header."""
        return cls(header.version, header.int_size, header.compression)


def copy_large_objects(
    archive: BinaryIO, entry: Entry, layout: Layout, write: Callable[[bytes], None]
) -> LargeObjects:
    """Write everything that follows the head of the entry's block, and return what it held.

    Every byte is decoded on the way. Raises ArchiveError where the archive is damaged or laid out
    otherwise. An archive without offsets is scanned for the block.
    """
    archive.seek(0)
    header = read_header(ByteReader(archive))
    if Layout.of(header) != layout:
        raise ArchiveError("the archive is laid out otherwise", offset=0, table=entry.name)
    with named(entry):
        reader = _CopyingReader(archive, header, _start(archive, entry), write)
        if reader.head() != (BlockKind.LARGE_OBJECTS, entry.dump_id):
            raise ArchiveError("there is no data of this entry here", offset=reader.position)
        reader.pass_over()
        with located(reader):
            found = large_objects_of(reader, header.compression)
        reader.copy()
    return found


def _start(archive: BinaryIO, entry: Entry) -> int:
    """Return where the entry's block starts."""
    if entry.data_offset is not None:
        return entry.data_offset
    archive.seek(0)
    toc = read_toc(archive)
    for block in find_blocks(Source(archive), toc):
        if block.entry.dump_id == entry.dump_id:
            return block.start
    raise ArchiveError("there is no data of this entry", offset=toc.end)


class _CopyingReader(BlockReader):
    """Writes what has been taken from it, in pieces of up to ``PIECE`` bytes."""

    def __init__(
        self, archive: BinaryIO, header: Header, start: int, write: Callable[[bytes], None]
    ) -> None:
        source = Source(archive)
        super().__init__(source, header, start, source.size, unwatched)
        self._write = write
        self._copied = 0

    def pass_over(self) -> None:
        """Do not copy what has been taken so far."""
        self._copied = self._cursor

    def copy(self) -> None:
        """Copy what has been taken and not been copied yet."""
        self._write(self._buffer[self._copied : self._cursor])
        self._copied = self._cursor

    def _refill(self) -> None:
        self.copy()
        super()._refill()
        self._copied = 0
