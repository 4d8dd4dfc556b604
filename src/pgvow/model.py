"""The nouns: what a backup, its metadata and a server's facts are. Frozen, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

DEV = "dev"
PROD = "prod"

_NEEDS_QUOTES = re.compile(r"""[."'\s]""")


def quote_part(part: str) -> str:
    """Quote one part of a table's key as SQL does, where it would be ambiguous bare."""
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
class TableFacts:
    """One table: what the server held in the snapshot, and what the archive holds of it.

    ``size_bytes`` is heap and TOAST on the server. ``bytes`` and ``fingerprint`` (XXH3-128) are of
    its COPY text in the archive, without the terminator, and ``stored`` is XXH3-128 of its block as
    it lies in the file; None where the archive was not inspected.
    """

    schema: str
    name: str
    rows: int
    size_bytes: int
    bytes: int | None = None
    fingerprint: str | None = None
    stored: str | None = None

    @property
    def key(self) -> str:
        """The table's key in ``table_counts``."""
        return table_key(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class TocFacts:
    """The table of contents: XXH3-128 of header and entries as stored, and how many entries."""

    digest: str
    entries: int


@dataclass(frozen=True, slots=True)
class LargeObjectFacts:
    """All large objects of an archive; ``stored`` has the digest of each of their blocks."""

    count: int
    bytes: int
    fingerprint: str
    stored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """Where the archive sets a sequence; sequences do not heed snapshots."""

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
    """What is written beside a dump, once, after it. The first nine are the contract's.

    ``toc`` and ``large_objects`` are None where the archive was not inspected. ``settings`` are
    those of the dumping session on which the text of its rows depends.
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
    tables: tuple[TableFacts, ...] = ()
    toc: TocFacts | None = None
    large_objects: LargeObjectFacts | None = None
    sequences: tuple[SequenceFacts, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    globals: GlobalsFacts | None = None
    pgvow_version: str | None = None
    engine: str | None = None
    seconds: float | None = None


class DifferenceKind(StrEnum):
    """In what a restored database can differ from its backup."""

    TABLE_MISSING = "table missing"
    TABLE_EXTRA = "table extra"
    ROWS = "rows"
    VALUES = "values"
    SEQUENCE = "sequence"
    LARGE_OBJECTS = "large objects"
    SCHEMA = "schema"
    OBJECT_MISSING = "object missing"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that came back otherwise: ``expected`` is the backup's, ``found`` the restore's."""

    kind: DifferenceKind
    name: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind} of {self.name}: {self.expected} expected, {self.found} found"


class Level(StrEnum):
    """How far a backup has been shown to come back, beyond being listed."""

    VERIFIED = "verified"
    DECODED = "decoded"
    PROVEN = "proven"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a restore of one backup showed: the contents of its ``.proof.json``.

    ``level`` is the highest that was reached, ``checksum_sha256`` the dump's that reached it.
    ``seconds`` is the whole run, ``restore_seconds`` what ``pg_restore`` took of it: the time that
    a recovery takes.
    """

    proved_at: datetime
    level: Level
    backup_file: str
    checksum_sha256: str
    server_version: str
    seconds: float
    restore_seconds: float
    tables: int
    rows: int
    differences: tuple[Difference, ...] = ()
    pgvow_version: str | None = None


class BackupStatus(StrEnum):
    """What a listing can say of a backup without reading the dump."""

    OK = "ok"
    SIZE_DIFFERS = "size differs"
    DUMP_MISSING = "dump missing"
    METADATA_MISSING = "no metadata"
    METADATA_BROKEN = "metadata broken"


@dataclass(frozen=True, slots=True)
class Backup:
    """A dump and what is known of it. ``metadata`` is None where it is missing or broken.

    ``timestamp``, ``environment`` and ``database`` fall back on the file's name where it has our
    shape, and are None where it has not. ``size_bytes`` is the dump's size now, None without one.
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


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself and of one database."""

    version: str
    version_num: int
    database: str
    database_size: int
    user: str
    is_superuser: bool
    bypasses_row_security: bool
    in_recovery: bool
    encoding: str
    tls: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The major version: 15 for 15.18."""
        return self.version_num // 10000
