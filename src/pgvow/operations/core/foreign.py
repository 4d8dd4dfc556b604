"""Metadata of a dump that has none: made of its header and of every row decoded from it.

The source was never seen: counts, fingerprints and checksum are those of the file as it is now.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.adoption import Adopted
from pgvow.archive import kinds
from pgvow.errors import ConfigurationError
from pgvow.model import Metadata, RecordedTable
from pgvow.operations.verify.inspect import (
    inspect_file,
    large_object_facts,
    readable,
    sequence_facts,
    toc_facts,
)
from pgvow.settings.values import selecting_options

if TYPE_CHECKING:
    from pgvow.archive import ArchivedTable, Header, TableOfContents, TocEntry
    from pgvow.operations.context import Context
    from pgvow.operations.verify.inspect import Inspection
    from pgvow.store import StoredBackup

SCHEMA_ONLY = "--schema-only"
DATA_ONLY = "--data-only"
_UNKNOWN = "unknown"
_ALWAYS = kinds.PREAMBLE | kinds.OF_DATABASE
_SECTION_NAMES = {2: "pre-data", 3: "data", 4: "post-data"}
_OF_EVERY_DATABASE = frozenset({"", "public", "pg_catalog"})
_PARTITIONED = "\nPARTITION BY "
_MOST_NAMED = 8


class RowsAsInserts(ConfigurationError):
    """The rows of a dump are INSERT commands, which are neither counted nor compared."""

    title = "The rows are INSERT commands"


@dataclass(frozen=True, slots=True)
class Origin:
    """The names that metadata of a dump get, its timestamp, and the origin of each."""

    database: str
    environment: str
    timestamp: datetime
    facts: dict[str, str]


def described(backup: StoredBackup, context: Context) -> Metadata:
    """Read the metadata of a dump, or make them of the file if none are beside it.

    A warning says so then. Raises MetadataError for broken ones, ArchiveError if the dump does not
    decode, and ConfigurationError if its rows cannot be compared, or it has nothing but rows.
    """
    metadata = described_alone(backup, context)
    if metadata is None:
        metadata = backup.metadata()
        require_definitions(metadata)
    return metadata


def described_alone(backup: StoredBackup, context: Context) -> Metadata | None:
    """Make the metadata of a dump of itself, with a warning; None if it has some, or is missing.

    Raises as ``described`` does.
    """
    if backup.has_metadata or not backup.has(backup.name):
        return None
    metadata = _made_of_file(backup, context)
    require_definitions(metadata)
    return metadata


def _made_of_file(backup: StoredBackup, context: Context) -> Metadata:
    with backup.at_hand() as fetched, fetched.open_dump() as file:
        inspection = inspect_file(file, context.reporter)
    require_comparable(inspection)
    context.reporter.warn(
        f"no metadata are beside {backup.name}: it is compared with the rows decoded from itself,"
        " and nothing shows that they are all that the source had"
    )
    stem, header, now = backup.stem, inspection.contents.toc.header, context.now()
    origin = Origin(
        header.database or _UNKNOWN,
        stem.environment if stem else _UNKNOWN,
        stem.moment if stem else created(header) or now,
        {},
    )
    return metadata_of(inspection, backup.name, "", origin, now)


def metadata_of(
    inspection: Inspection, name: str, given: str, origin: Origin, now: datetime
) -> Metadata:
    """Make the metadata of a dump called ``name``, and ``given`` before, from all its contents."""
    contents = inspection.contents
    header, level = contents.toc.header, contents.toc.header.level
    tables = tuple(map(_recorded, contents.tables))
    facts = {
        "database_name": "header",
        "pg_dump_version": "header",
        "postgresql_version": "header",
        "checksum_sha256": "file",
        "table_counts": "file",
        "selection": "file",
        **origin.facts,
    }
    return Metadata(
        backup_timestamp=origin.timestamp,
        environment=origin.environment,
        database_name=origin.database,
        backup_file=name,
        backup_size_bytes=inspection.size,
        checksum_sha256=inspection.checksum_sha256,
        table_counts={table.key: table.rows for table in tables},
        pg_dump_version=header.pg_dump_version or _UNKNOWN,
        postgresql_version=header.server_version or _UNKNOWN,
        tables=tables,
        toc=toc_facts(contents),
        large_objects=large_object_facts(contents),
        sequences=sequence_facts(contents),
        pgvow_version=__version__,
        compression=f"{header.compression}:{level}" if (level or 0) > 0 else header.compression,
        selection=selection_of(contents.toc),
        adopted=Adopted(given, now, facts, sections_of(contents.toc)),
    )


def _recorded(table: ArchivedTable) -> RecordedTable:
    return RecordedTable(
        schema=readable(table.entry.namespace),
        name=readable(table.entry.tag),
        rows=table.rows or 0,
        size_bytes=0,
        bytes=table.size,
        fingerprint=table.fingerprint,
        stored=table.stored.digest,
    )


def require_comparable(inspection: Inspection) -> None:
    """Raise RowsAsInserts if some rows are INSERT commands: their number is not known."""
    tables = [table.entry.key for table in inspection.contents.tables if table.rows is None]
    if not tables:
        return
    others = f" and {len(tables) - _MOST_NAMED} more" if len(tables) > _MOST_NAMED else ""
    raise RowsAsInserts(
        "the dump was made with --inserts: its rows are commands, which are neither counted nor"
        f" compared: {', '.join(tables[:_MOST_NAMED])}{others}",
        steps=[
            "See that every byte decodes: pgvow verify --deep FILE",
            "Restore it: createdb NAME, then pg_restore --exit-on-error --dbname NAME FILE",
            "Then back that database up: pgvow backup",
        ],
    )


def require_definitions(metadata: Metadata) -> None:
    """Raise ConfigurationError if a dump has rows alone, which no new database can take."""
    if metadata.adopted is None or DATA_ONLY not in metadata.selection:
        return
    raise ConfigurationError(
        "the dump has rows and no definitions of their tables, as of pg_dump --data-only:"
        " a new database cannot be made of it",
        facts={"File": metadata.backup_file},
        steps=[
            "Load it where the tables are: pg_restore --data-only --exit-on-error -d NAME FILE",
            "Take the rows of one table: pgvow extract FILE --table NAME",
        ],
    )


def created(header: Header) -> datetime | None:
    """Return the time in a header, read in the zone of this machine, as pg_restore does.

    None if it is none. A header does not have the zone in which it was written.
    """
    at = header.created
    for daylight_saving in (int(at.daylight_saving), -1):  # glibc refuses one that is not to be
        fields = (at.year, at.month, at.day, at.hour, at.minute, at.second, 0, 0, daylight_saving)
        with suppress(ValueError, OverflowError):
            return datetime.fromtimestamp(time.mktime(fields), UTC)
    return None


def sections_of(toc: TableOfContents) -> tuple[str, ...]:
    """Name the sections of a restore that an archive has entries of, in their order."""
    present = {entry.section for entry in toc.entries if entry.desc not in _ALWAYS}
    return tuple(name for section, name in _SECTION_NAMES.items() if section in present)


def selection_of(toc: TableOfContents) -> tuple[str, ...]:
    """Return the options of pg_dump that left something out, as far as an archive shows that.

    A table that was left out whole leaves no trace, unless its schema is missing as well.
    """
    entries = toc.entries
    rows = {(entry.namespace, entry.tag) for entry in toc.table_data}
    kinds_present = {entry.desc for entry in entries}
    if rows and not kinds_present & {*kinds.RELATIONS, kinds.EXTENSION, kinds.SCHEMA}:
        return (DATA_ONLY,)
    tables = [entry for entry in entries if _has_rows_of_its_own(entry)]
    without = [entry.key for entry in tables if (entry.namespace, entry.tag) not in rows]
    is_positioned = kinds.SEQUENCE_SET in kinds_present
    is_bare = len(without) == len(tables) and not is_positioned
    if is_bare and (tables or kinds.SEQUENCE in kinds_present):
        return (*_tables_chosen(toc), SCHEMA_ONLY)
    return (*_tables_chosen(toc), *selecting_options({"exclude_table_data": without}))


def _has_rows_of_its_own(entry: TocEntry) -> bool:
    return entry.desc == kinds.TABLE and _PARTITIONED not in entry.defn


def _tables_chosen(toc: TableOfContents) -> tuple[str, ...]:
    """Return ``--table`` for each relation if their schemas are missing: -t leaves those out.

    A schema of an extension is missing too: with extensions nothing is known.
    """
    relations = [entry for entry in toc.entries if entry.desc in kinds.RELATIONS]
    schemas = {entry.tag for entry in toc.entries if entry.desc == kinds.SCHEMA}
    missing = {entry.namespace for entry in relations} - schemas - _OF_EVERY_DATABASE
    if not missing or any(entry.desc == kinds.EXTENSION for entry in toc.entries):
        return ()
    return selecting_options({"table": [entry.key for entry in relations]})
