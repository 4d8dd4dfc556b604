"""Find the SQLSTATE of a tool's failure: pg_restore prints none, and its messages are translated.

The log of a throw-away server has it, with database and program, because ``log_line_prefix`` is
ours. On any other server the entry is restored once more, in a session of ours.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, copy_text
from pgvow.errors import UnreadableFile
from pgvow.postgres.database_settings import settings_for
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.sql import query
from pgvow.postgres.tool_stderr import quoted_statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import RestoreError
    from pgvow.store import StoredBackup

LOG_SETTINGS = {
    "log_line_prefix": "%q%e|%a|%d| ",  # SQLSTATE, program and database, on lines of sessions
    "log_min_error_statement": "panic",
    "lc_messages": "C",
}
"""Settings of a server whose log is to be read here."""

_LONGEST_LINE = 4096
_LAST_LINES = 20
_OF_ROWS = re.compile(r'COPY failed for table "(.*?)": ')
# Lines that continue a message begin with a tab, so no text of a message is taken for a line.
_ERROR = re.compile(
    rb"(?P<sqlstate>[0-9A-Z]{5})\|(?P<program>[^|\n]*)\|(?P<database>[^|\n]*)\| +"
    rb"(?:ERROR|FATAL|PANIC): "
)


def first_error(log: Path, database: str, *, program: str = "pg_restore") -> str | None:
    """Return the SQLSTATE of a program's first error in a database; None if the log has none.

    The first, for pg_restore stops there: later errors are those of workers that it cancels.
    """
    wanted = (program.encode(), database.encode())
    try:
        with log.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                error = _ERROR.match(line)
                if error and (error["program"], error["database"]) == wanted:
                    return error["sqlstate"].decode()
    except OSError:
        return None
    return None


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, none if it cannot be read."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []


def failed_entry(error: RestoreError, entries: Sequence[TocEntry]) -> TocEntry | None:
    """Find the entry that pg_restore failed at; None if that is not certain.

    It is named by its number, or else known by the statement or the table that a worker of a
    parallel restore quotes, if only one entry has it.
    """
    if error.dump_id is not None:
        return next((entry for entry in entries if entry.dump_id == error.dump_id), None)
    if statement := quoted_statement(error.complaint):
        fitting = [entry for entry in entries if entry.defn.strip().startswith(statement)]
    else:
        table = _OF_ROWS.search(error.complaint)
        fitting = [
            entry for entry in entries if table and entry.is_table_data and entry.tag == table[1]
        ]
    return fitting[0] if len(fitting) == 1 else None


def sqlstate_again(
    session: Session, backup: StoredBackup, toc: TableOfContents, entry: TocEntry
) -> str | None:
    """Restore an entry again and return the SQLSTATE of its refusal; nothing of it stays.

    None if it is not refused this time, or the server answers no more.
    """
    try:
        session.execute(query("restore_settings"))
        stage = Stage.ROWS if entry.is_table_data else Stage.CONDITIONS
        settings = {**settings_for(stage), "client_encoding": toc.encoding}
        for name, value in settings.items():
            session.execute(query("set_setting"), {"name": name, "value": value})
        session.execute("BEGIN")
        _restore(session, backup, toc, entry)
    except psycopg.Error as error:
        return error.sqlstate
    except (ArchiveError, UnreadableFile, OSError):
        return None
    finally:
        with suppress(psycopg.Error):
            session.execute("ROLLBACK")
    return None


def _restore(session: Session, backup: StoredBackup, toc: TableOfContents, entry: TocEntry) -> None:
    if not entry.is_table_data:
        session.execute(_bytes(entry.defn))
        return
    statement = _bytes(entry.copy_stmt.strip().removesuffix(";"))
    with backup.open_dump() as file, session.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy_text(file, toc, entry):
            copy.write(piece)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
