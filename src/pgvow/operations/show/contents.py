"""The contents of a backup, from its metadata if they have them, else from the archive."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow.archive import read_archive, read_toc, sequence_positions
from pgvow.errors import AccessDenied, UnreadableFile, VerificationFailed
from pgvow.model import table_key
from pgvow.store import MetadataError, MetadataMissingError, rewound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import (
        ArchiveContents,
        ArchivedTable,
        SequencePosition,
        TableOfContents,
        TocEntry,
    )
    from pgvow.model import Metadata, RecordedTable
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup


class NotABackupFile(VerificationFailed):
    """There is no such file, or it is none that could be a backup."""

    title = "This is no backup"


class FactsOrigin(StrEnum):
    """The origin of the facts of a backup's rows."""

    METADATA = "metadata"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class ShownTable:
    """The rows of one table. ``bytes`` and ``fingerprint`` are of its COPY text.

    ``rows`` is None for data dumped as INSERT commands, ``bytes`` and ``fingerprint`` if the
    metadata do not have them, ``size_bytes`` (heap and TOAST on the server) if only they could.
    """

    schema: str
    name: str
    rows: int | None
    bytes: int | None = None
    fingerprint: str | None = None
    size_bytes: int | None = None

    @property
    def key(self) -> str:
        """The table's key in ``table_counts``."""
        return table_key(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class LargeObjectTotals:
    """All large objects; the numbers are None if they were not counted."""

    count: int | None
    bytes: int | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The facts of a backup without a server. ``metadata`` is None if there is none of this file.

    ``complaint`` is the reason, ``unreadable`` the error if they cannot be read;
    ``large_objects`` is None if the archive has none.
    """

    path: Path
    size_bytes: int
    toc: TableOfContents
    origin: FactsOrigin
    metadata: Metadata | None
    complaint: str | None
    tables: tuple[ShownTable, ...]
    sequences: tuple[SequencePosition, ...]
    large_objects: LargeObjectTotals | None
    unreadable: str | None = None


@contextmanager
def opened(backup: StoredBackup) -> Iterator[BinaryIO]:
    """Open a dump for reading at any place.

    Raises NotABackupFile if it is missing, UnreadableFile if it is no regular file or the disk
    fails, AccessDenied, PgvowError, and ArchiveError in the block.
    """
    try:
        finished = backup.open_dump()
    except FileNotFoundError:
        raise NotABackupFile(
            f"{backup.path}: there is no such file",
            facts={"File": str(backup.path)},
            steps=["Give the .dump file of a backup", "See what there is: pgvow list"],
        ) from None
    with finished as file:
        yield file


def read_facts(backup: StoredBackup, *, progress: Progress, fingerprints: bool) -> BackupFacts:
    """Return the facts of a backup; the whole archive is read only if the metadata lack some.

    ``fingerprints``: whether rows alone will not do. Raises as ``opened`` does.
    """
    with opened(backup) as file:
        size = rewound(file)
        toc = read_toc(file)
        unreadable = None
        try:
            metadata, complaint = _metadata(backup, toc, size)
        except (UnreadableFile, AccessDenied) as error:
            metadata, complaint, unreadable = None, "its metadata cannot be read", error.cause
        known = _from_metadata(toc, metadata, fingerprints=fingerprints) if metadata else None
        if metadata is None or known is None:
            contents = read_archive(file, progress=progress)
            known, origin = _from_archive(contents), FactsOrigin.ARCHIVE
            large_objects = _counted(contents)
        else:
            origin, large_objects = FactsOrigin.METADATA, _recorded(toc, metadata)
    return BackupFacts(
        path=backup.path,
        size_bytes=size,
        toc=toc,
        origin=origin,
        metadata=metadata,
        complaint=complaint,
        tables=known,
        sequences=sequence_positions(toc),
        large_objects=large_objects,
        unreadable=unreadable,
    )


def _metadata(
    backup: StoredBackup, toc: TableOfContents, size: int
) -> tuple[Metadata | None, str | None]:
    """Load the metadata, and compare size and table of contents with those of the file."""
    try:
        metadata = backup.metadata()
    except MetadataMissingError:
        return None, "there are no metadata beside it"
    except MetadataError as error:
        return None, f"its metadata cannot be used: {error.cause}"
    if metadata.backup_size_bytes != size:
        return None, (
            f"the metadata beside it are of a file of {metadata.backup_size_bytes} bytes,"
            f" and it has {size}"
        )
    if metadata.toc is not None and metadata.toc.digest != toc.digest:
        return None, "the metadata beside it are of another table of contents"
    return metadata, None


def _from_metadata(
    toc: TableOfContents, metadata: Metadata, *, fingerprints: bool
) -> tuple[ShownTable, ...] | None:
    """Find each table of the archive in the metadata; None if they do not suffice."""
    if fingerprints and metadata.toc is None:
        return None
    recorded = {(facts.schema, facts.name): facts for facts in metadata.tables}
    rows = [_recorded_rows(entry, recorded, metadata) for entry in toc.table_data]
    tables = [table for table in rows if table is not None]
    return tuple(tables) if len(tables) == len(rows) else None


def _recorded_rows(
    entry: TocEntry,
    recorded: Mapping[tuple[str, str], RecordedTable],
    metadata: Metadata,
) -> ShownTable | None:
    name = entry.namespace, entry.tag
    facts = recorded.get(name) or recorded.get((_as_latin1(name[0]), _as_latin1(name[1])))
    if facts is None:  # metadata of the contract's nine keys alone
        rows = metadata.table_counts.get(entry.key)
        return None if rows is None else ShownTable(*name, rows)
    size_bytes = facts.size_bytes if metadata.adopted is None else None
    return ShownTable(*name, facts.rows, facts.bytes, facts.fingerprint, size_bytes)


def _as_latin1(name: str) -> str:
    """Decode a name that is not UTF-8 as LATIN1, as the metadata of older backups do."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def _from_archive(contents: ArchiveContents) -> tuple[ShownTable, ...]:
    return tuple(map(_read_rows, contents.tables))


def _read_rows(table: ArchivedTable) -> ShownTable:
    entry = table.entry
    return ShownTable(entry.namespace, entry.tag, table.rows, table.size, table.fingerprint)


def _counted(contents: ArchiveContents) -> LargeObjectTotals | None:
    objects = contents.large_objects
    if not contents.large_object_entries:
        return None
    return LargeObjectTotals(objects.count, objects.size, objects.fingerprint)


def _recorded(toc: TableOfContents, metadata: Metadata) -> LargeObjectTotals | None:
    if not any(entry.is_large_objects for entry in toc.entries):
        return None
    facts = metadata.large_objects
    if facts is None:
        return LargeObjectTotals(None, None, None)
    return LargeObjectTotals(facts.count, facts.bytes, facts.fingerprint)
