"""The metadata of a sound archive, as a backup would have recorded it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.model import Metadata, RecordedTable
from pgvow.operations.verify.inspect import inspect_file, large_object_facts, toc_facts
from pgvow.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path


def recorded(path: Path, *, database: str) -> Metadata:
    """Read the archive and tell what there is, for verification to compare with."""
    with path.open("rb") as file:
        inspection = inspect_file(file, Silent())
    contents = inspection.contents
    tables = tuple(
        RecordedTable(
            *(table.entry.namespace, table.entry.tag, table.rows or 0, 0),
            *(table.size, table.fingerprint, table.stored.digest),
        )
        for table in contents.tables
    )
    return Metadata(
        backup_timestamp=datetime.now(UTC).replace(microsecond=0),
        environment="dev",
        database_name=database,
        backup_file=path.name,
        backup_size_bytes=inspection.size,
        checksum_sha256=inspection.checksum_sha256,
        table_counts={table.key: table.rows for table in tables},
        pg_dump_version=contents.toc.header.pg_dump_version,
        postgresql_version=contents.toc.header.server_version,
        tables=tables,
        toc=toc_facts(contents),
        large_objects=large_object_facts(contents),
    )
