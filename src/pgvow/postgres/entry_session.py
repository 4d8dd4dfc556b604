"""Restore one entry in a session of ours, under the settings that pg_restore has."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, codec_for, copy_text
from pgvow.errors import UnreadableFile
from pgvow.postgres.database_settings import settings_for
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.connection import Session
    from pgvow.store import StoredBackup


def prepare_for_entry(
    session: Session, toc: TableOfContents, stage: Stage, search_path: str = ""
) -> None:
    """Give a session the settings under which pg_restore restores entries of a stage.

    ``search_path`` is the value of that setting, which pg_restore leaves empty. Raises
    psycopg.Error.
    """
    session.execute(query("restore_settings"))
    # No conversion takes place for SQL_ASCII: LATIN1 on our side carries each byte.
    encoding = "LATIN1" if toc.encoding == "SQL_ASCII" else toc.encoding
    settings = {**settings_for(stage), "client_encoding": encoding, "search_path": search_path}
    for name, value in settings.items():
        session.execute(query("set_setting"), {"name": name, "value": value})


def restore_entry(
    session: Session, backup: StoredBackup, toc: TableOfContents, entry: TocEntry
) -> None:
    """Run the statements of an entry, or load its rows.

    Raises psycopg.Error, ArchiveError, UnreadableFile and OSError.
    """
    if not entry.is_table_data:
        session.execute(as_archived(entry.defn, toc))
        return
    statement = as_archived(entry.copy_stmt.strip().removesuffix(";"), toc)
    with backup.open_dump() as file, session.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy_text(file, toc, entry):
            copy.write(piece)


def as_archived(text: str, toc: TableOfContents) -> bytes:
    """Encode a text of an archive as the archive has it."""
    return text.encode(codec_for(toc.encoding), "surrogateescape")


def refusal(
    session: Session, backup: StoredBackup, toc: TableOfContents, entry: TocEntry, stage: Stage
) -> psycopg.Error | None:
    """Restore an entry again and return the server's refusal; nothing of it stays.

    None if it is not refused this time, or cannot be read.
    """
    try:
        prepare_for_entry(session, toc, stage)
        session.execute("BEGIN")
        restore_entry(session, backup, toc, entry)
    except psycopg.Error as error:
        return error
    except (ArchiveError, UnreadableFile, OSError):
        return None
    finally:
        with suppress(psycopg.Error):
            session.execute("ROLLBACK")
    return None


def sqlstate_again(
    session: Session, backup: StoredBackup, toc: TableOfContents, entry: TocEntry
) -> str | None:
    """Restore an entry again and return the SQLSTATE of its refusal; nothing of it stays.

    None if it is not refused this time, or the server answers no more. pg_restore prints no code,
    and its messages are translated.
    """
    stage = Stage.ROWS if entry.is_table_data else Stage.CONDITIONS
    error = refusal(session, backup, toc, entry, stage)
    return error.sqlstate if error else None
