"""Read the SQLSTATE of a tool's failure from the log of a throw-away server.

pg_restore prints no SQLSTATE, and its words are of any language. The log of a server that is ours
has it, with database and program, for we set its ``log_line_prefix``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
