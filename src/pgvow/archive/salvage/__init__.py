"""Everything of a damaged archive that still decodes, written into a new one.

The bytes go through four steps, each of which yields pieces and the breaks between them: the places
of the blocks (``places``), their chunks (``framing``), their text and its rows (``rows``). A block
that decodes as a whole is copied as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.blocks import DataBlock, LargeObjects
from pgvow.archive.decode import read_rows
from pgvow.archive.entry_sql import copy_target
from pgvow.archive.errors import ArchiveError
from pgvow.archive.head import Head
from pgvow.archive.rows import CopyDigest
from pgvow.archive.salvage.files import SECTOR, DamagedFile, NewArchive, ZeroRuns
from pgvow.archive.salvage.framing import DamagedChunks
from pgvow.archive.salvage.places import DamagedLargeObjects, known_oids, locate
from pgvow.archive.salvage.rows import WholeRows, decoded
from pgvow.model import Compression
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from pgvow.archive.rows import CopyFacts
    from pgvow.archive.salvage.framing import Extent
    from pgvow.archive.toc import TableOfContents, TocEntry
    from pgvow.progress import Progress

_CHECKSUM_FLAG = 0x04
_FRAME_HEAD = 5
_LZ4_OR_ZSTD = (Compression.LZ4, Compression.ZSTD)


@dataclass(frozen=True, slots=True)
class SalvagedTable:
    """The rows of one table that were saved.

    ``is_whole``: its block decodes to its end. ``has_checksum``: the data has one of its own,
    which then fits. ``is_doubtful``: something in it is damaged, and it is not known where that
    begins. ``misshapen`` and ``too_long`` rows were dropped, though they end. ``rows`` and
    ``facts`` are None for data dumped as INSERT commands.
    """

    entry: TocEntry
    facts: CopyFacts | None
    is_whole: bool
    has_checksum: bool = False
    is_doubtful: bool = False
    misshapen: int = 0
    too_long: int = 0


@dataclass(frozen=True, slots=True)
class SalvagedLargeObjects:
    """The whole large objects; ``lost`` and ``doubtful`` are oids.

    A doubtful one has a run of zeros that may be damage, in data without a checksum.
    """

    objects: LargeObjects
    lost: tuple[int, ...]
    doubtful: tuple[int, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class SalvagedArchive:
    """Everything that was saved; ``unreadable`` bytes of the file were taken for zeros."""

    toc: TableOfContents
    tables: tuple[SalvagedTable, ...]
    large_objects: SalvagedLargeObjects
    unreadable: int


def salvage_archive(
    file: BinaryIO,
    new: BinaryIO,
    fingerprints: Mapping[tuple[str, str], str],
    progress: Progress,
) -> SalvagedArchive:
    """Write everything that still decodes into the empty file ``new``; memory is bounded.

    ``fingerprints`` of tables by schema and name: a table that decodes to another text is judged
    row by row. Raises ArchiveError if the table of contents cannot be read.
    """
    source = DamagedFile(file)
    salvage = _Salvage(source, new, fingerprints)
    extents = locate(source, salvage.toc)
    for extent in extents:
        progress.update(Step(Phase.READ, done=extent.start, total=source.size))
        salvage.take(extent)
    return salvage.finish()


class _Salvage:
    """One run over a damaged file, block by block."""

    def __init__(
        self, source: DamagedFile, new: BinaryIO, fingerprints: Mapping[tuple[str, str], str]
    ) -> None:
        self._source = source
        self._fingerprints = fingerprints
        head = Head.read(source.window(0, source.size))
        self.toc = head.toc
        self._compression = head.toc.header.compression
        self._new = NewArchive(new, head, source)
        self._missing = {entry.dump_id: entry for entry in self.toc.with_data}
        self._tables: dict[int, SalvagedTable] = {}
        self._oids = known_oids(self.toc)
        self._objects = LargeObjects()
        self._saved_oids: set[int] = set()
        self._doubtful_oids: list[int] = []
        self._objects_whole = True

    def take(self, extent: Extent) -> None:
        """Write the block of one entry."""
        del self._missing[extent.entry.dump_id]
        if extent.entry.is_large_objects:
            self._take_large_objects(extent)
        else:
            self._tables[extent.entry.dump_id] = self._table(extent)

    def finish(self) -> SalvagedArchive:
        """Write empty blocks for the entries without one, and the offsets."""
        for entry in self._missing.values():
            if entry.is_large_objects:
                self._new.begin(entry)
                self._new.end()
                self._objects_whole = False
            else:
                self._tables[entry.dump_id] = self._without_rows(entry)
        self._new.finish()
        lost = tuple(sorted(self._oids - self._saved_oids))
        return SalvagedArchive(
            toc=self.toc,
            tables=tuple(
                self._tables[entry.dump_id]
                for entry in self.toc.with_data
                if entry.dump_id in self._tables
            ),
            large_objects=SalvagedLargeObjects(
                self._objects, lost, tuple(self._doubtful_oids), self._objects_whole and not lost
            ),
            unreadable=len(self._source.unreadable) * SECTOR,
        )

    def _table(self, extent: Extent) -> SalvagedTable:
        entry = extent.entry
        facts = self._facts_if_whole(extent)
        if facts is not None:
            self._new.copy_block(entry, extent.start, extent.end)
            known = facts if entry.copy_stmt else None
            return SalvagedTable(
                entry, known, is_whole=True, has_checksum=self._has_checksum(extent)
            )
        if not entry.copy_stmt:
            return self._without_rows(entry)
        columns = len(copy_target(entry.copy_stmt).columns)
        rows, digest = WholeRows(columns, self.toc.encoding), CopyDigest()
        chunks = DamagedChunks(self._source, extent, self.toc.header.int_size)
        text = rows.of(decoded(chunks, self._compression))
        self._new.write_rows(entry, _digested(text, digest))
        # A text that decodes, and is not the recorded one, has damage that nothing shows.
        return SalvagedTable(
            entry,
            digest.facts(),
            is_whole=False,
            is_doubtful=rows.is_doubtful or rows.is_complete,
            misshapen=rows.misshapen,
            too_long=rows.too_long,
        )

    def _facts_if_whole(self, extent: Extent) -> CopyFacts | None:
        """Return the facts of a block that decodes to its end, and to the recorded text if any."""
        if self._has_gap(extent):
            return None
        digest = CopyDigest()
        block = DataBlock(extent.entry, extent.start, extent.end)
        try:
            for text in read_rows(self._source, self.toc, block):
                if b"\0" in text:
                    return None
                digest.update(text)
        except ArchiveError:
            return None
        recorded = self._fingerprints.get((extent.entry.namespace, extent.entry.tag))
        facts = digest.facts()
        return facts if recorded in (None, facts.fingerprint) else None

    def _has_gap(self, extent: Extent) -> bool:
        """Return whether there are zeros in frames, which can decode to a wrong text."""
        zeros = ZeroRuns(self._source, extent.end)
        return self._compression in _LZ4_OR_ZSTD and zeros.after(extent.start) is not None

    def _has_checksum(self, extent: Extent) -> bool:
        """Return whether the data has a checksum, by its first frame."""
        if self._compression in _LZ4_OR_ZSTD:
            first = extent.start + 1 + 2 * (1 + self.toc.header.int_size)
            head = self._source.read_at(first, _FRAME_HEAD)
            return len(head) == _FRAME_HEAD and bool(head[-1] & _CHECKSUM_FLAG)
        return self._compression is Compression.GZIP

    def _without_rows(self, entry: TocEntry) -> SalvagedTable:
        self._new.write_rows(entry, ())
        facts = CopyDigest().facts() if entry.copy_stmt else None
        return SalvagedTable(entry, facts, is_whole=False)

    def _take_large_objects(self, extent: Extent) -> None:
        self._new.begin(extent.entry)
        objects = DamagedLargeObjects(self._source, self.toc, extent, self._oids)
        for each in objects:
            if each.has_zeros and self._compression in _LZ4_OR_ZSTD:
                continue
            self._new.copy(each.start, each.end)
            self._objects += each.facts
            self._saved_oids.add(each.oid)
            if each.has_zeros and self._compression is Compression.NONE:
                self._doubtful_oids.append(each.oid)
        self._new.end()
        self._objects_whole &= objects.is_whole


def _digested(texts: Iterator[bytes], digest: CopyDigest) -> Iterator[bytes]:
    for text in texts:
        digest.update(text)
        yield text


__all__ = [
    "SalvagedArchive",
    "SalvagedLargeObjects",
    "SalvagedTable",
    "salvage_archive",
]
