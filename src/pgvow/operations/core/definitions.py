"""Restore some entries as they are here, not as the dump has them, by an archive of our own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.archive import definitions_archive, kinds
from pgvow.postgres.pg_restore import restore_wave
from pgvow.postgres.private_directories import temporary_files
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from pgvow.archive import TocEntry
    from pgvow.operations.core.stages import CheckedBackup
    from pgvow.postgres.pg_restore import PgRestoreOptions, ServerTools, WaveErrors
    from pgvow.postgres.restore_order import Wave

_SET_PATH = "SELECT pg_catalog.set_config('search_path', {}, false);\n"


def restore_definitions(
    backup: CheckedBackup,
    tools: ServerTools,
    dbname: str,
    wave: Wave,
    manner: PgRestoreOptions,
    *,
    search_path: str = "",
) -> WaveErrors:
    """Restore entries without rows by one connection, as pg_restore makes and owns objects.

    ``search_path`` is the value of that setting, which is empty in every dump.
    """
    # A grant on many large objects is written for the numbers that another entry has.
    needed = {number for entry in wave.entries for number in entry.dependencies}
    special = [
        _with_path(entry, search_path)
        for entry in backup.toc.entries
        if entry.desc in kinds.PREAMBLE
        or (entry.desc == kinds.BLOB_METADATA and entry.dump_id in needed)
    ]
    with backup.stored.open_dump() as file:
        archive = definitions_archive(file, [*special, *wave.entries], backup.toc.encoding)
    with temporary_files(), temporary_folder("pgvow-restore-") as folder:
        path = folder / "definitions.dump"
        path.write_bytes(archive)
        return restore_wave(tools, path, dbname, wave, replace(manner, alone=True))


def _with_path(entry: TocEntry, search_path: str) -> TocEntry:
    if entry.desc != kinds.SEARCHPATH or not search_path:
        return entry
    return replace(entry, defn=_SET_PATH.format(sql.Literal(search_path).as_string(None)))
