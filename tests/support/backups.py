"""Backups made of nothing, for tests of everything around them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.model import GlobalsFacts, Metadata, RecordedTable
from pgvow.store import encode, names
from tests.support.archives import Spec, build

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.spool import Draft

MOMENT = datetime(2025, 1, 27, 14, 30, tzinfo=UTC)


def clock() -> datetime:
    """Return the time of a backup, whenever it is asked for."""
    return MOMENT


DUMP = build(Spec())
"""An archive without tables."""
GLOBALS = b"CREATE ROLE app;\n"


def metadata(
    moment: datetime = MOMENT,
    *,
    database: str = "shop",
    environment: str = "dev",
    dump: bytes = DUMP,
    globals_facts: GlobalsFacts | None = None,
) -> Metadata:
    """Describe a backup whose dump holds these bytes."""
    return Metadata(
        backup_timestamp=moment,
        environment=environment,
        database_name=database,
        backup_file=names.stem(database, environment, moment) + names.DUMP,
        backup_size_bytes=len(dump),
        checksum_sha256=hashlib.sha256(dump).hexdigest(),
        table_counts={"orders": 3, "audit.log": 12},
        pg_dump_version="15.18",
        postgresql_version="15.18",
        tables=(
            RecordedTable("public", "orders", 3, 8192),
            RecordedTable("audit", "log", 12, 16384),
        ),
        globals=globals_facts,
        pgvow_version="0.1.0",
        engine="pg_dump",
        seconds=1.5,
    )


def place(directory: Path, facts: Metadata, dump: bytes = DUMP) -> Path:
    """Put a finished backup into a directory, and return its dump's path."""
    path = directory / facts.backup_file
    path.write_bytes(dump)
    (directory / names.metadata_name(path.name)).write_bytes(encode(facts))
    return path


def fill(draft: Draft, *, with_globals: bool = True) -> Metadata:
    """Write everything of a draft but its metadata, and return that."""
    with draft.open_dump() as file:
        file.write(DUMP)
    facts = draft.write_globals(GLOBALS, role_passwords=True) if with_globals else None
    return metadata(
        draft.moment,
        database=draft.database,
        environment=draft.environment,
        globals_facts=facts,
    )


def contents(directory: Path) -> set[str]:
    """Name everything that is in a directory."""
    return {path.name for path in directory.iterdir()}
