"""Find the SQLSTATE of a tool's failure: pg_restore prints none, and its messages are translated.

The entry is restored once more, in a session of ours.
"""

from __future__ import annotations

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

_LAST_LINES = 20


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
