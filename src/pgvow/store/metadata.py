"""Metadata as it is written beside a dump: one JSON object, strict in both directions.

The contract's nine keys are always there. Ours follow: ``metadata_version``, ``pgvow_version``,
``engine``, ``seconds``, ``tables``, ``globals``. A reader ignores the keys it does not know, and,
in metadata newer than itself, also those of our own whose meaning has changed since.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import UTC
from typing import TYPE_CHECKING, Any

from pgvow.adoption import Adopted
from pgvow.errors import VerificationFailed
from pgvow.json_reader import JsonReader, is_count, is_digest, is_text, parse, quoted
from pgvow.model import (
    GlobalsFacts,
    Metadata,
    RecordedLargeObjects,
    RecordedSequence,
    RecordedTable,
    SnapshotFacts,
    TocFacts,
)
from pgvow.store import names
from pgvow.store.port import read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pgvow.store.port import Store

METADATA_VERSION = 1
# 150 bytes or so for each table: room for more than a million of them.
_LARGEST = 256 << 20
_SHA256_DIGITS = 64
_XXH3_DIGITS = 32
_TABLE_KEYS = frozenset(field.name for field in fields(RecordedTable))
_REQUIRED_TABLE_KEYS = frozenset({"schema", "name", "rows", "size_bytes"})


class MetadataError(VerificationFailed):
    """Metadata that cannot be used; ``complaints`` has everything wrong with it."""

    def __init__(
        self, complaints: Sequence[str], *, facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            "; ".join(complaints),
            facts=facts,
            steps=[
                "Look at the metadata file: it is JSON and can be read by eye",
                "The dump may still be good: pg_restore --list shows what it holds",
                "Make a new backup",
            ],
        )
        self.complaints = tuple(complaints)


class MetadataMissingError(MetadataError):
    """Raised if the metadata file is missing, as opposed to broken."""


def encode(metadata: Metadata) -> bytes:
    """Write metadata as UTF-8 JSON, and read it back before anybody relies on it.

    Raises MetadataError for metadata that a reader would refuse or understand differently.
    """
    try:
        text = json.dumps(_as_json(metadata), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise MetadataError([f"cannot be written as JSON: {error}"]) from error
    # A name that is not UTF-8 arrives as lone surrogates; "\udcff" is how JSON spells them.
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if decode(data) != metadata:
        raise MetadataError(["would not read back as it was written"])
    return data


def read_metadata(store: Store, name: str) -> Metadata:
    """Read a metadata file of a store.

    Raises MetadataError if it is missing or broken, UnreadableFile or AccessDenied if it cannot be
    read, and PgvowError for other errors of the system. Whose it is is for the caller to compare.
    """
    try:
        data = read_whole(store, name, largest=_LARGEST)
    except FileNotFoundError:
        raise MetadataMissingError([f"there is no {name}"]) from None
    if data is None:
        raise MetadataError([f"is too large for metadata: more than {_LARGEST} bytes"])
    return decode(data)


def decode(data: bytes) -> Metadata:
    """Read metadata; raises MetadataError, with all that is wrong, and nothing else."""
    complaints: list[str] = []
    parsed = parse(data, complaints)
    if not isinstance(parsed, dict):
        raise MetadataError(complaints or ["is not a JSON object"])
    reader = JsonReader(parsed, complaints)
    metadata = _metadata(reader)
    if complaints:
        raise MetadataError(complaints)
    return metadata


def moment_text(moment: datetime) -> str:
    """Write a moment as the metadata has it: ``2025-01-27T14:30:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def _as_json(metadata: Metadata) -> dict[str, object]:
    ours = {
        "pgvow_version": metadata.pgvow_version,
        "engine": metadata.engine,
        "seconds": metadata.seconds,
        "globals": metadata.globals and asdict(metadata.globals),
        "toc": metadata.toc and asdict(metadata.toc),
        "large_objects": metadata.large_objects and asdict(metadata.large_objects),
        "sequences": [asdict(sequence) for sequence in metadata.sequences] or None,
        "settings": dict(metadata.settings) or None,
        "compression": metadata.compression,
        "selection": list(metadata.selection) or None,
        "snapshot": metadata.snapshot and asdict(metadata.snapshot),
        "database_size_bytes": metadata.database_size_bytes,
        "adopted": metadata.adopted and _adopted_object(metadata.adopted),
    }
    return {
        "metadata_version": METADATA_VERSION,
        "backup_timestamp": moment_text(metadata.backup_timestamp),
        "environment": metadata.environment,
        "database_name": metadata.database_name,
        "backup_file": metadata.backup_file,
        "backup_size_bytes": metadata.backup_size_bytes,
        "checksum_sha256": metadata.checksum_sha256,
        "table_counts": dict(metadata.table_counts),
        "pg_dump_version": metadata.pg_dump_version,
        "postgresql_version": metadata.postgresql_version,
        **_known(ours),
        "tables": [_known(asdict(table)) for table in metadata.tables],
    }


def _adopted_object(adopted: Adopted) -> dict[str, object]:
    return {**asdict(adopted), "at": moment_text(adopted.at)}


def _known(items: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in items.items() if value is not None}


def _metadata(reader: JsonReader) -> Metadata:
    version = reader.optional("metadata_version", lambda key: reader.count(key, at_least=1))
    ours = reader.lenient(when=version is not None and version > METADATA_VERSION)
    metadata = Metadata(
        backup_timestamp=reader.moment("backup_timestamp"),
        environment=reader.named("environment", names.is_environment, "an environment's name"),
        database_name=reader.text("database_name"),
        backup_file=reader.file("backup_file"),
        backup_size_bytes=reader.count("backup_size_bytes", at_least=1),
        checksum_sha256=reader.digest("checksum_sha256", _SHA256_DIGITS),
        table_counts=reader.counts("table_counts"),
        pg_dump_version=reader.text("pg_dump_version"),
        postgresql_version=reader.text("postgresql_version"),
        pgvow_version=ours.optional("pgvow_version", ours.text),
        engine=ours.optional("engine", ours.text),
        seconds=ours.optional("seconds", ours.seconds),
        tables=ours.optional("tables", lambda key: _tables(ours, key)) or (),
        globals=ours.optional("globals", lambda key: ours.nested(key, _globals)),
        toc=ours.optional("toc", lambda key: ours.nested(key, _toc)),
        large_objects=ours.optional("large_objects", lambda key: ours.nested(key, _large_objects)),
        sequences=ours.optional("sequences", lambda key: ours.objects(key, _sequence)) or (),
        settings=ours.optional("settings", ours.texts) or {},
        compression=ours.optional("compression", ours.text),
        selection=ours.optional("selection", ours.text_list) or (),
        snapshot=ours.optional("snapshot", lambda key: ours.nested(key, _snapshot)),
        database_size_bytes=ours.optional("database_size_bytes", ours.count),
        adopted=ours.optional("adopted", lambda key: ours.nested(key, _adopted)),
    )
    if not ours.is_lenient:
        _compare(metadata, reader)
    return metadata


def _compare(metadata: Metadata, reader: JsonReader) -> None:
    """Compare the rows, which stand there twice: a flipped bit in either shows."""
    stated = {table.key: table.rows for table in metadata.tables}
    if not reader.complaints and metadata.tables and stated != metadata.table_counts:
        differing = sorted(
            key
            for key in stated.keys() | metadata.table_counts.keys()
            if stated.get(key) != metadata.table_counts.get(key)
        )
        reader.complaints.append(
            f"tables and table_counts disagree on {', '.join(map(quoted, differing))}"
        )


def _globals(reader: JsonReader) -> GlobalsFacts:
    return GlobalsFacts(
        file=reader.file("file"),
        size_bytes=reader.count("size_bytes"),
        checksum_sha256=reader.digest("checksum_sha256", _SHA256_DIGITS),
        role_passwords=reader.flag("role_passwords"),
    )


def _snapshot(reader: JsonReader) -> SnapshotFacts:
    return SnapshotFacts(
        wal_position=reader.text("wal_position"),
        xmin=reader.count("xmin"),
        xmax=reader.count("xmax"),
        timeline=reader.count("timeline"),
        system_identifier=reader.text("system_identifier"),
    )


def _adopted(reader: JsonReader) -> Adopted:
    return Adopted(
        file=reader.text("file"),
        at=reader.moment("at"),
        facts=reader.texts("facts"),
        sections=reader.text_list("sections"),
    )


def _toc(reader: JsonReader) -> TocFacts:
    return TocFacts(reader.digest("digest", _XXH3_DIGITS), reader.count("entries"))


def _large_objects(reader: JsonReader) -> RecordedLargeObjects:
    return RecordedLargeObjects(
        count=reader.count("count"),
        bytes=reader.count("bytes"),
        fingerprint=reader.digest("fingerprint", _XXH3_DIGITS),
        stored=reader.digests("stored", _XXH3_DIGITS),
    )


def _sequence(reader: JsonReader) -> RecordedSequence:
    return RecordedSequence(
        schema=reader.text("schema"),
        name=reader.text("name"),
        last_value=reader.whole("last_value"),
        is_called=reader.flag("is_called"),
    )


def _tables(reader: JsonReader, key: str) -> tuple[RecordedTable, ...]:
    return reader.objects(key, _table, quick=_good_table)


def _table(reader: JsonReader) -> RecordedTable:
    return RecordedTable(
        schema=reader.text("schema"),
        name=reader.text("name"),
        rows=reader.count("rows"),
        size_bytes=reader.count("size_bytes"),
        bytes=reader.optional("bytes", reader.count),
        fingerprint=reader.optional("fingerprint", _xxh3(reader)),
        stored=reader.optional("stored", _xxh3(reader)),
        filenode=reader.optional("filenode", reader.count),
        blocks=reader.optional("blocks", reader.count),
        segment_blocks=reader.optional("segment_blocks", reader.count),
    )


def _xxh3(reader: JsonReader) -> Callable[[str], str]:
    return lambda key: reader.digest(key, _XXH3_DIGITS)


def _good_table(item: dict[str, object]) -> RecordedTable | None:
    """Read a table nothing is wrong with: faster, and a listing reads thousands."""
    if not _REQUIRED_TABLE_KEYS <= item.keys() <= _TABLE_KEYS:
        return None
    facts = RecordedTable(**item)  # type: ignore[arg-type]
    # Spelt out: loops over these took a tenth of a long listing.
    sound = (
        is_text(facts.schema)
        and is_text(facts.name)
        and is_count(facts.rows)
        and is_count(facts.size_bytes)
        and (facts.bytes is None or is_count(facts.bytes))
        and (facts.filenode is None or is_count(facts.filenode))
        and (facts.blocks is None or is_count(facts.blocks))
        and (facts.segment_blocks is None or is_count(facts.segment_blocks))
        and (facts.fingerprint is None or is_digest(facts.fingerprint, _XXH3_DIGITS))
        and (facts.stored is None or is_digest(facts.stored, _XXH3_DIGITS))
    )
    return facts if sound else None
