"""The nouns: a backup, its metadata, and the evidence of checks. Frozen, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow.notes import NO_NOTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.adoption import Adopted
    from pgvow.notes import Notes
    from pgvow.recovery import LoosenedObject, RecoveryNeeds, RecoveryTime

MOST_JOBS = 64
"""More workers than that are a slip of the finger: each is a psql and a connection."""
PARALLEL = "parallel"
"""The name of the engine that knows the contents of its archive without decoding it."""
DEV = "dev"
PROD = "prod"


class Compression(StrEnum):
    """How the data blocks of an archive are compressed."""

    NONE = "none"
    GZIP = "gzip"
    LZ4 = "lz4"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Compress:
    """How an archive is to be compressed; a level of None is the engine's own choice."""

    algorithm: Compression = Compression.GZIP
    level: int | None = None

    @classmethod
    def parse(cls, text: str) -> Compress:
        """Read ``gzip``, ``gzip:LEVEL``, ``zstd``, ``zstd:LEVEL`` or ``none``; else ValueError."""
        name, colon, level = text.partition(":")
        levels = _LEVELS.get(name, range(0))
        if not colon and name in _LEVELS:
            return cls(Compression(name))
        if level.isascii() and level.isdecimal() and int(level) in levels:
            return cls(Compression(name), int(level))
        raise ValueError(f"{text!r} is not gzip, gzip:1 to 9, zstd, zstd:1 to 22, or none")

    def __str__(self) -> str:
        return str(self.algorithm) if self.level is None else f"{self.algorithm}:{self.level}"


_LEVELS = {"gzip": range(1, 10), "zstd": range(1, 23), "none": range(0)}
_NEEDS_QUOTES = re.compile(r"""[."'\s]""")


def in_one_order(selection: Sequence[str]) -> tuple[str, ...]:
    """Sort the options of a selection, each once: pg_dump heeds neither order nor number."""
    return tuple(sorted(set(selection)))


def is_partial(selection: Sequence[str], configured: Sequence[str] = ()) -> bool:
    """Return whether a selection is neither the whole database nor the configured one."""
    return in_one_order(selection) not in ((), in_one_order(configured))


def quote_part(part: str) -> str:
    """Quote one part of a table's key as SQL does, if it would be ambiguous bare."""
    if _NEEDS_QUOTES.search(part):
        return '"' + part.replace('"', '""') + '"'
    return part


def table_key(schema: str, name: str) -> str:
    """Name a table in ``table_counts``: bare in ``public``, ``schema.table`` elsewhere.

    Parts with a dot, a quote or white space are quoted, so that no two tables share a key.
    """
    if schema == "public":
        return quote_part(name)
    return f"{quote_part(schema)}.{quote_part(name)}"


@dataclass(frozen=True, slots=True)
class RecordedTable:
    """One table: its rows on the server in the snapshot, and its contents in the archive.

    ``size_bytes`` is heap and TOAST on the server. ``bytes`` and ``fingerprint`` (XXH3-128) are of
    its COPY text in the archive, without the terminator, and ``stored`` is XXH3-128 of its block as
    it lies in the file; None if the archive was not inspected. ``filenode``, ``blocks`` and
    ``segment_blocks`` are the place of its heap on the server and how it was cut; None if one
    pg_dump copied it whole.
    """

    schema: str
    name: str
    rows: int
    size_bytes: int
    bytes: int | None = None
    fingerprint: str | None = None
    stored: str | None = None
    filenode: int | None = None
    blocks: int | None = None
    segment_blocks: int | None = None

    @property
    def key(self) -> str:
        """The table's key in ``table_counts``."""
        return table_key(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """The time of a snapshot: WAL position, transaction ids, timeline and system identifier."""

    wal_position: str
    xmin: int
    xmax: int
    timeline: int
    system_identifier: str


@dataclass(frozen=True, slots=True)
class TocFacts:
    """The table of contents: XXH3-128 of header and entries as stored, and how many entries."""

    digest: str
    entries: int


@dataclass(frozen=True, slots=True)
class RecordedLargeObjects:
    """All large objects of an archive; ``stored`` has the digest of each of their blocks."""

    count: int
    bytes: int
    fingerprint: str
    stored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedSequence:
    """The position of a sequence in the archive; sequences do not heed snapshots."""

    schema: str
    name: str
    last_value: int
    is_called: bool


@dataclass(frozen=True, slots=True)
class GlobalsFacts:
    """The roles and tablespaces kept beside a dump, and whether password hashes are in them."""

    file: str
    size_bytes: int
    checksum_sha256: str
    role_passwords: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a dump, written once, after it. The first nine are the contract's.

    ``toc`` and ``large_objects`` are None if the archive was not inspected. ``settings`` are
    those of the dumping session on which the text of its rows depends. ``selection`` are pg_dump's
    options that select objects: with any, the backup is not of the whole database.
    ``database_size_bytes`` is the database's size on the server when its backup began. ``adopted``
    is set if they were made from a dump alone.
    """

    backup_timestamp: datetime
    environment: str
    database_name: str
    backup_file: str
    backup_size_bytes: int
    checksum_sha256: str
    table_counts: Mapping[str, int]
    pg_dump_version: str
    postgresql_version: str
    tables: tuple[RecordedTable, ...] = ()
    toc: TocFacts | None = None
    large_objects: RecordedLargeObjects | None = None
    sequences: tuple[RecordedSequence, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    globals: GlobalsFacts | None = None
    pgvow_version: str | None = None
    engine: str | None = None
    seconds: float | None = None
    compression: str | None = None
    selection: tuple[str, ...] = ()
    snapshot: SnapshotFacts | None = None
    database_size_bytes: int | None = None
    adopted: Adopted | None = None


class DifferenceKind(StrEnum):
    """How a backup can differ from its metadata, or a restored database from its backup."""

    TABLE_MISSING = "table missing"
    TABLE_EXTRA = "table extra"
    ROWS = "rows"
    VALUES = "values"
    SEQUENCE = "sequence"
    LARGE_OBJECTS = "large objects"
    SCHEMA = "schema"
    OBJECT_MISSING = "object missing"
    RESTORE = "restore"
    FILE = "file"
    CONTENTS = "contents"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: ``expected`` is by the metadata, ``found`` by the check."""

    kind: DifferenceKind
    name: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind} of {self.name}: {self.expected} expected, {self.found} found"


class Level(StrEnum):
    """How far a backup has been shown to come back, beyond being listed; in ascending order."""

    VERIFIED = "verified"
    DECODED = "decoded"
    PROVEN = "proven"

    @property
    def rank(self) -> int:
        """Its place in the order, 1 for the lowest."""
        return list(Level).index(self) + 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """The result of one check of a backup: it is of ``level``, or differs.

    ``seconds`` is the whole check. ``server_version`` and ``restore_seconds``, the share of
    ``pg_restore``, are those of a restore, and None without one; so are ``recovery`` and ``needs``.
    ``broken_rules`` are objects that a restore leaves loose, for the source's own rows break them:
    all rows come back all the same.
    """

    level: Level
    at: datetime
    seconds: float
    tables: int = 0
    rows: int = 0
    differences: tuple[Difference, ...] = ()
    server_version: str | None = None
    restore_seconds: float | None = None
    pgvow_version: str | None = None
    broken_rules: tuple[LoosenedObject, ...] = ()
    recovery: RecoveryTime | None = None
    needs: RecoveryNeeds | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Unreadable:
    """When a dump could not be read, and why: a state of the file, and no evidence of its data."""

    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class Proof:
    """All evidence of one dump so far: the contents of its ``.proof.json``.

    ``passed`` has the last check that passed of each level, lowest level first. ``failed`` is the
    last that did not, unless one of its level or a higher one has passed since. ``unreadable`` is
    set if the file could not be read when a check was last made.
    """

    backup_file: str
    checksum_sha256: str
    passed: tuple[Evidence, ...] = ()
    failed: Evidence | None = None
    unreadable: Unreadable | None = None

    @property
    def level(self) -> Level | None:
        """The highest level that was ever reached; no failure lowers it."""
        return max(
            (evidence.level for evidence in self.passed), key=lambda level: level.rank, default=None
        )

    @property
    def restore_seconds(self) -> float | None:
        """The seconds that a recovery takes at least, as last measured; None if it never was."""
        return self.passed[-1].restore_seconds if self.level is Level.PROVEN else None

    @property
    def broken_rules(self) -> tuple[LoosenedObject, ...]:
        """The objects that a restore leaves loose, as the last proof says."""
        return self.passed[-1].broken_rules if self.level is Level.PROVEN else ()

    def after(self, evidence: Evidence) -> Proof:
        """Return the proof with the evidence of one check more."""
        if not evidence.passed:
            return replace(self, failed=evidence, unreadable=None)
        others = [older for older in self.passed if older.level is not evidence.level]
        passed = sorted([*others, evidence], key=lambda each: each.level.rank)
        failed = self.failed
        if failed is not None and failed.level.rank <= evidence.level.rank:
            failed = None
        return replace(self, passed=tuple(passed), failed=failed, unreadable=None)


def level_reached(metadata: Metadata | None, proof: Proof | None) -> Level | None:
    """The highest level that a backup ever reached, from its making on; None: listed only.

    One of ours is verified when it is made, and decoded if it was inspected: its checksum is that
    of the file as read back, and its archive was read to the last byte. An archive of the parallel
    engine was read back and compared with the bytes written, but not decoded. An adopted dump has
    the levels that checks have shown since, and none from its making.
    """
    made = None
    if (
        metadata is not None
        and metadata.adopted is None
        and (metadata.toc is not None or metadata.pgvow_version)
    ):
        inspected = metadata.toc is not None and metadata.engine != PARALLEL
        made = Level.DECODED if inspected else Level.VERIFIED
    shown = proof.level if proof else None
    return max(made, shown, key=lambda level: level.rank if level else 0)


class BackupStatus(StrEnum):
    """The state of a backup in a listing, which does not read the dump."""

    OK = "ok"
    SIZE_DIFFERS = "size differs"
    DUMP_MISSING = "dump missing"
    METADATA_MISSING = "no metadata"
    METADATA_BROKEN = "metadata broken"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Backup:
    """A dump with its facts, as listed. ``metadata`` is None if it is missing or broken.

    ``timestamp``, ``environment`` and ``database`` fall back on the file's name if it has our
    shape, and are None if it has not. ``size_bytes`` is the dump's size now, None without one.
    """

    path: Path
    status: BackupStatus
    size_bytes: int | None
    metadata: Metadata | None = None
    timestamp: datetime | None = None
    environment: str | None = None
    database: str | None = None
    complaint: str | None = None
    proof: Proof | None = None
    notes: Notes = NO_NOTES

    @property
    def selection(self) -> tuple[str, ...]:
        """pg_dump's selecting options, in one order; empty for a whole database."""
        return in_one_order(self.metadata.selection) if self.metadata else ()

    @property
    def level(self) -> Level | None:
        """The highest level that was ever reached; None: listed only."""
        return level_reached(self.metadata if self.status is BackupStatus.OK else None, self.proof)

    @property
    def trusted(self) -> Level | None:
        """The level without evidence against it: below the one that a check failed to show."""
        level, failed = self.level, self.proof.failed if self.proof else None
        if level is None or failed is None or level.rank < failed.level.rank:
            return level
        return next((lower for lower in reversed(Level) if lower.rank < failed.level.rank), None)
