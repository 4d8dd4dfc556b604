"""Find the SQLSTATE of a tool's failure: pg_restore prints none, and its messages are translated.

The log of a throw-away server has it, with database and program, because ``log_line_prefix`` is
ours. On any other server the entry is restored once more, in a session of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.postgres.entry_session import refusal
from pgvow.postgres.restore_order import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.connection import Session
    from pgvow.store import StoredBackup

LOG_SETTINGS = {
    "log_line_prefix": "%q%e|%a|%d| ",  # SQLSTATE, program and database, on lines of sessions
    "log_min_error_statement": "panic",
    "lc_messages": "C",
}
"""Settings of a server whose log is to be read here."""

_LONGEST_LINE = 4096
_LAST_LINES = 20
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


def sqlstate_again(
    session: Session, backup: StoredBackup, toc: TableOfContents, entry: TocEntry
) -> str | None:
    """Restore an entry again and return the SQLSTATE of its refusal; nothing of it stays.

    None if it is not refused this time, or the server answers no more.
    """
    stage = Stage.ROWS if entry.is_table_data else Stage.CONDITIONS
    error = refusal(session, backup, toc, entry, stage)
    return error.sqlstate if error else None
