"""Restore one entry again in a session of ours, for the SQLSTATE that pg_restore does not print."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, copy_text
from pgvow.errors import UnreadableFile
from pgvow.finished_file import open_finished
from pgvow.postgres.sql import query
from pgvow.postgres.tool_stderr import quoted_statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.archive import Entry, TableOfContents
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import RestoreError

_OF_ROWS = re.compile(r'COPY failed for table "(.*?)": ')


def failed_entry(error: RestoreError, entries: Sequence[Entry]) -> Entry | None:
    """Find the entry that pg_restore failed at; None if that is not certain.

    It is named by its number, or else known by the statement or the table that a worker of a
    parallel restore quotes, if only one entry has it.
    """
    if error.dump_id is not None:
        return next((entry for entry in entries if entry.dump_id == error.dump_id), None)
    if statement := quoted_statement(error.complaint):
        fitting = [one for one in entries if one.defn.strip().startswith(statement)]
    else:
        table = _OF_ROWS.search(error.complaint)
        fitting = [one for one in entries if table and one.is_table_data and one.tag == table[1]]
    return fitting[0] if len(fitting) == 1 else None


def sqlstate_again(session: Session, dump: Path, toc: TableOfContents, entry: Entry) -> str | None:
    """Restore an entry again and return the SQLSTATE of its refusal; nothing of it stays.

    None if it is not refused this time, or the server answers no more.
    """
    try:
        session.execute(query("session_settings"))
        session.execute("SET check_function_bodies = off; SET xmloption = content")
        session.execute(query("set_setting"), {"name": "client_encoding", "value": toc.encoding})
        session.execute("BEGIN")
        _restore(session, dump, toc, entry)
    except psycopg.Error as error:
        return error.sqlstate
    except (ArchiveError, UnreadableFile, OSError):
        return None
    finally:
        with suppress(psycopg.Error):
            session.execute("ROLLBACK")
    return None


def _restore(session: Session, dump: Path, toc: TableOfContents, entry: Entry) -> None:
    if not entry.is_table_data:
        session.execute(_bytes(entry.defn))
        return
    statement = _bytes(entry.copy_stmt.strip().removesuffix(";"))
    with open_finished(dump) as file, session.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy_text(file, toc, entry):
            copy.write(piece)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
