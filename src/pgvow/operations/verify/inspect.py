"""Read a dump to its last byte: its checksum, and the contents of every table."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive import ArchiveError, examine_archive, read_archive, sequence_positions
from pgvow.errors import VerificationFailed
from pgvow.file_errors import refusals
from pgvow.finished_file import Positioned, sha256_of
from pgvow.formats import number
from pgvow.model import RecordedLargeObjects, RecordedSequence, TocFacts
from pgvow.operations.archived_tables import with_tables
from pgvow.progress import Phase, Step

_READ_BYTES = 1 << 20
# glibc gives memory back to the kernel in steps of the size it has seen freed: after every piece,
# if pieces are all it sees, which took a tenth of the time. One large block, of which no page is
# ever touched, has it keep as much.
_KEPT_BY_MALLOC = 2 << 20

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from pgvow.archive import ArchiveContents, ArchivedTable
    from pgvow.engine import FilledArchive
    from pgvow.model import Metadata, RecordedTable
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup


@dataclass(frozen=True, slots=True)
class Inspection:
    """The checksum, size in bytes and contents of a whole file."""

    checksum_sha256: str
    size: int
    contents: ArchiveContents


def inspect_file(file: BinaryIO, progress: Progress) -> Inspection:
    """Decode every byte of an open file, and take the checksum at its side.

    Raises ArchiveError if anything does not decode.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        checksum = pool.submit(_checksum, file.fileno())
        contents = read_archive(file, progress=progress)
        digest, size = checksum.result()
    return Inspection(digest, size, contents)


def _checksum(fd: int) -> tuple[str, int]:
    with refusals("read", f"/dev/fd/{fd}"):
        return sha256_of(Positioned(fd))


def read_what_was_written(file: BinaryIO, filled: FilledArchive, progress: Progress) -> Inspection:
    """Read back a file whose contents its engine knows, for the checksum.

    Raises ArchiveError if it does not hold the bytes that were written.
    """
    contents = filled.contents
    if contents is None:
        raise ValueError("the engine knows nothing of the contents")
    sha256, body = hashlib.sha256(), xxhash.xxh3_128()
    head = file.read(contents.toc.end)
    sha256.update(head)
    size = len(head)
    while block := file.read(_READ_BYTES):
        sha256.update(block)
        body.update(block)
        size += len(block)
        progress.update(Step(Phase.CHECKSUM, size, contents.size))
    read = (xxhash.xxh3_128_hexdigest(head), body.hexdigest(), size)
    if read != (contents.toc.digest, filled.body_digest, contents.size):
        raise ArchiveError("the file is not what was written to it", offset=0)
    return Inspection(sha256.hexdigest(), size, contents)


def compare_with_witness(
    contents: ArchiveContents, counted: Mapping[int, RecordedTable]
) -> tuple[RecordedTable, ...]:
    """Compare the rows of the archive with those on the server, table by table.

    ``counted`` maps a table's oid to its facts on the server. Returns them with the archive's facts
    of each table added. Raises VerificationFailed if rows differ.
    """
    tables = {table.entry.oid: table for table in contents.tables}
    differences = [
        f"{facts.key}: {number(facts.rows)} rows on the server,"
        f" {number(tables[oid].rows)} in the archive"
        for oid, facts in counted.items()
        if oid in tables and tables[oid].rows != facts.rows
    ]
    if differences:
        raise VerificationFailed(
            "the archive does not hold what the server held: " + "; ".join(differences),
            steps=["Nothing was published; run it again", "If it happens again, report it"],
        )
    return tuple(
        replace(
            facts,
            bytes=tables[oid].size,
            fingerprint=tables[oid].fingerprint,
            stored=tables[oid].stored.digest,
        )
        for oid, facts in counted.items()
    )


def toc_facts(contents: ArchiveContents) -> TocFacts:
    """Return the facts of the table of contents for the metadata."""
    return TocFacts(contents.toc.digest, len(contents.toc.entries))


def large_object_facts(contents: ArchiveContents) -> RecordedLargeObjects:
    """Return the facts of the large objects for the metadata."""
    objects = contents.large_objects
    return RecordedLargeObjects(
        count=objects.count,
        bytes=objects.size,
        fingerprint=objects.fingerprint,
        stored=tuple(entry.stored.digest for entry in contents.large_object_entries),
    )


def sequence_facts(contents: ArchiveContents) -> tuple[RecordedSequence, ...]:
    """Return the facts of the sequences for the metadata."""
    return tuple(
        RecordedSequence(position.schema, position.name, position.last_value, position.is_called)
        for position in sequence_positions(contents.toc)
    )


def unreadable(error: ArchiveError) -> VerificationFailed:
    """Return the error of a dump that was just written and does not decode."""
    return VerificationFailed(
        f"what was just written cannot be read back: {error}",
        facts=error.facts,
        steps=["Check the disk: dmesg | tail", "Then run it again"],
    )


@dataclass(frozen=True, slots=True)
class TableCheck:
    """One table of the backup: its recorded facts, those of the archive, and the differences."""

    schema: str
    name: str
    recorded: RecordedTable | None
    rows: int | None
    bytes: int | None
    fingerprint: str | None
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class DeepCheck:
    """Everything that decoding found. ``differences`` has all of them, those of tables too."""

    tables: tuple[TableCheck, ...]
    differences: tuple[str, ...]
    rows: int
    complete: bool

    @property
    def passed(self) -> bool:
        """Whether every byte decodes and nothing differs from what is recorded."""
        return not self.differences


def decode_and_compare(backup: StoredBackup, metadata: Metadata, progress: Progress) -> DeepCheck:
    """Decode every block and compare it with the metadata; damage is part of the result.

    ``complete`` is whether the metadata has fingerprints and digests to compare with at all: a
    backup made with ``--no-inspect`` has rows only.
    """
    bytes(_KEPT_BY_MALLOC)
    try:
        with backup.open_dump() as file:
            examination = examine_archive(file, progress=progress)
    except ArchiveError as error:
        return DeepCheck((), (str(error),), 0, complete=metadata.toc is not None)
    contents = examination.contents
    metadata = with_tables(metadata, contents.toc.entries)
    tables = tuple(_tables(metadata, contents))
    differences = (
        *(str(error) for error in examination.damage),
        *_toc(metadata, contents),
        *(f"{table.schema}.{table.name}: {text}" for table in tables for text in table.differences),
        *_large_objects(metadata, contents),
    )
    rows = sum(table.rows or 0 for table in contents.tables)
    return DeepCheck(tables, differences, rows, complete=metadata.toc is not None)


def decode_alone(backup: StoredBackup, progress: Progress) -> DeepCheck:
    """Decode every block of a dump that has no metadata; damage is part of the result."""
    bytes(_KEPT_BY_MALLOC)
    try:
        with backup.open_dump() as file:
            examination = examine_archive(file, progress=progress)
    except ArchiveError as error:
        return DeepCheck((), (str(error),), 0, complete=False)
    tables = tuple(
        TableCheck(
            readable(table.entry.namespace),
            readable(table.entry.tag),
            recorded=None,
            rows=table.rows,
            bytes=table.size,
            fingerprint=table.fingerprint,
            differences=(),
        )
        for table in examination.contents.tables
    )
    damage = tuple(str(error) for error in examination.damage)
    return DeepCheck(tables, damage, sum(table.rows or 0 for table in tables), complete=False)


def _toc(metadata: Metadata, contents: ArchiveContents) -> Iterator[str]:
    read = toc_facts(contents)
    if metadata.toc is not None and metadata.toc != read:
        yield (
            f"table of contents: digest {metadata.toc.digest} is recorded, {read.digest} found"
            f" ({metadata.toc.entries} entries recorded, {read.entries} found)"
        )


def _large_objects(metadata: Metadata, contents: ArchiveContents) -> Iterator[str]:
    read = large_object_facts(contents)
    if metadata.large_objects is not None and metadata.large_objects != read:
        recorded = metadata.large_objects
        yield (
            f"large objects: {recorded.count} of {recorded.bytes} bytes recorded,"
            f" {read.count} of {read.bytes} found, or their contents differ"
        )


def _tables(metadata: Metadata, contents: ArchiveContents) -> Iterator[TableCheck]:
    read = {
        (readable(table.entry.namespace), readable(table.entry.tag)): table
        for table in contents.tables
    }
    for recorded in metadata.tables:
        key = (readable(recorded.schema), readable(recorded.name))
        yield _check(*key, recorded, read.pop(key, None))
    for (schema, name), table in read.items():
        yield _check(schema, name, None, table)


def _check(
    schema: str, name: str, recorded: RecordedTable | None, found: ArchivedTable | None
) -> TableCheck:
    return TableCheck(
        schema,
        name,
        recorded,
        rows=found.rows if found else None,
        bytes=found.size if found else None,
        fingerprint=found.fingerprint if found else None,
        differences=tuple(_differences(recorded, found)),
    )


def _differences(recorded: RecordedTable | None, found: ArchivedTable | None) -> Iterator[str]:
    if recorded is None:
        yield "is in the archive and not in the metadata"
        return
    if found is None:
        yield "is in the metadata and cannot be read from the archive"
        return
    pairs = (
        ("rows", recorded.rows, found.rows),
        ("bytes", recorded.bytes, found.size),
        ("fingerprint", recorded.fingerprint, found.fingerprint),
        ("digest of its block", recorded.stored, found.stored.digest),
    )
    for name, before, now in pairs:
        if before is not None and before != now:
            yield f"{name}: {before} recorded, {now} found"


def readable(name: str) -> str:
    """Turn a name as the archive's reader gives it into the one that metadata have."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, in SQL_ASCII: shown as LATIN1
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name
