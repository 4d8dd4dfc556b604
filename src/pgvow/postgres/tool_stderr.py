"""Keep as much of a program's standard error as tells why it failed."""

from __future__ import annotations

import re
from collections import deque
from threading import Lock

from pgvow.quoted_texts import masked

_FIRST_LINES = 100
_LAST_LINES = 200
_LINES_OF_A_STATEMENT = 10
_LEFT_OUT = "…\n"
# PostgreSQL's programs quote the statement that failed behind the server's words, all of it.
_STATEMENT = re.compile(r"(?:pg_\w+: (?:detail|error): )?(?:Command|Query) was: ")
# Where a server quotes the rows that it was at.
_QUOTED = re.compile(r"^(?:CONTEXT: |DETAIL:  Failing row).*", re.DOTALL | re.MULTILINE)
_BEFORE_THE_SERVER = re.compile(
    r"^(?:could not execute query: |COPY failed for table \"[^\n]*\": )?(?:ERROR:  )?"
)
_OF_THE_PROGRAM = re.compile(r"(?:pg_\w+|psql): ")


class StderrExcerpt:
    """The first lines and the last, and of a statement that is quoted its beginning.

    A server's words stand before the statement they are of, and that may be a table of a thousand
    columns: its end alone says nothing. Safe for one thread that adds and one that takes.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._clear()

    def _clear(self) -> None:
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._dropped = False
        self._quoted: int | None = None

    def add(self, line: str) -> None:
        """Add a line, with its end."""
        with self._lock:
            if _STATEMENT.match(line):
                self._quoted = 0
            elif _OF_THE_PROGRAM.match(line):
                self._quoted = None
            if self._quoted is not None:
                self._quoted += 1
            if self._quoted is None or self._quoted <= _LINES_OF_A_STATEMENT:
                self._keep(line)
            elif self._quoted == _LINES_OF_A_STATEMENT + 1:
                self._keep(_LEFT_OUT)

    def _keep(self, line: str) -> None:
        if len(self._first) < _FIRST_LINES:
            self._first.append(line)
            return
        self._dropped = self._dropped or len(self._last) == _LAST_LINES
        self._last.append(line)

    def text(self) -> str:
        """Return the kept text."""
        with self._lock:
            return self._text()

    def take(self) -> str:
        """Return the kept text, and forget it."""
        with self._lock:
            text = self._text()
            self._clear()
            return text

    def _text(self) -> str:
        between = [_LEFT_OUT] if self._dropped else []
        return masked("".join([*self._first, *between, *self._last]).strip())


def without_statement(complaint: str) -> str:
    """Return the words of a program and a server without the statement that they are of."""
    lines = complaint.splitlines(keepends=True)
    end = next((n for n, line in enumerate(lines) if _STATEMENT.match(line)), len(lines))
    return "".join(lines[:end]).strip()


def server_words(complaint: str) -> str:
    """Return the server's own message: without the program's words and the severity before it."""
    return _BEFORE_THE_SERVER.sub("", without_statement(complaint))


def own_words(complaint: str) -> str:
    """Return the words of a program and a server without statement and rows that they quote."""
    return _QUOTED.sub("", without_statement(complaint))


def quoted_statement(complaint: str) -> str | None:
    """Return the beginning of the statement that a program quotes, as much as was kept of it."""
    quoted = _STATEMENT.search(complaint)
    if quoted is None:
        return None
    kept, *_ = complaint[quoted.end() :].split(f"\n{_LEFT_OUT}")
    return re.split(r"\npg_\w+: ", kept)[0].strip()
