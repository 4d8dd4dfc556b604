"""Load the rows of a table that the server takes, and keep those that it refuses, with the reason.

Rows come in pieces, each behind a savepoint. The server says which line of a piece it refuses;
without that the piece is halved.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from pgvow.postgres.restore_messages import of_surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pgvow.postgres.connection import Session

_MOST_ROWS = 5_000
_MOST_BYTES = 1 << 20
_FEW_ROWS = 64
_LINE = re.compile(r"^COPY .*?, line (\d+)", re.MULTILINE)
_SAVEPOINT = "pgvow_rows"


@dataclass
class RejectedRows:
    """The rows of one table that were refused: ``path`` as COPY takes them, and why beside it.

    ``first`` is the server's reason for the first of them.
    """

    path: Path
    count: int = 0
    first: str | None = None
    sqlstate: str | None = None
    _row: int = field(default=0)

    @property
    def reasons_path(self) -> Path:
        """The path of the reasons: one JSON object a line, of the row with that number."""
        return self.path.with_suffix(".reasons.jsonl")

    def keep(self, row: bytes, number: int, reason: str, sqlstate: str | None) -> None:
        """Keep one row; raises OSError."""
        self.count += 1
        if self.first is None:
            self.first, self.sqlstate = reason, sqlstate
        with self.path.open("ab") as rows, self.reasons_path.open("a", encoding="utf-8") as reasons:
            rows.write(row)
            record = {"row": number, "sqlstate": sqlstate, "reason": reason}
            reasons.write(json.dumps(record) + "\n")

    def keep_all(self, pieces: Iterable[bytes], reason: str) -> None:
        """Keep all rows of a text for one reason; raises OSError."""
        self.first = reason
        with self.path.open("wb") as rows:
            for piece in pieces:
                rows.write(piece)
                self.count += piece.count(b"\n")
        record = {"row": None, "sqlstate": None, "reason": reason}
        self.reasons_path.write_text(json.dumps(record) + "\n", encoding="utf-8")

    def discard(self) -> None:
        """Forget the rows and remove the files."""
        self.path.unlink(missing_ok=True)
        self.reasons_path.unlink(missing_ok=True)
        self.count, self.first, self.sqlstate = 0, None, None


def load_taken(
    session: Session, statement: bytes, pieces: Iterable[bytes], rejected: RejectedRows
) -> None:
    """Load rows in the session's transaction; those that the server refuses are kept.

    Raises psycopg.Error if the surroundings fail, ArchiveError and OSError.
    """
    number = 1
    for rows in _in_groups(pieces):
        _load(session, statement, rows, number, rejected)
        number += len(rows)


def _load(
    session: Session,
    statement: bytes,
    rows: Sequence[bytes],
    number: int,
    rejected: RejectedRows,
) -> None:
    waiting = [(number, rows)]
    while waiting:
        number, rows = waiting.pop()
        if not rows:
            continue
        error = _refusal(session, statement, rows)
        if error is None:
            continue
        reason = str(error).strip()
        if of_surroundings(reason, error.sqlstate):
            raise error
        if len(rows) == 1:
            rejected.keep(rows[0], number, reason, error.sqlstate)
            continue
        line = _LINE.search(error.diag.context or "")
        place = int(line[1]) if line else 0
        if 1 <= place <= len(rows):
            few = place + _FEW_ROWS  # where many are refused, little is sent in vain
            parts = [rows[: place - 1], rows[place - 1 : place], rows[place:few], rows[few:]]
        else:
            parts = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        starts = [number]
        for part in parts[:-1]:
            starts.append(starts[-1] + len(part))
        waiting += reversed(list(zip(starts, parts, strict=True)))


def _refusal(session: Session, statement: bytes, rows: Sequence[bytes]) -> psycopg.Error | None:
    session.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        with session.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(b"".join(rows))
    except psycopg.Error as error:
        if session.closed:
            raise
        session.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return error
    session.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return None


def _in_groups(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a text that is cut anywhere, some thousand at a time."""
    group: list[bytes] = []
    size = 0
    for line in _lines(pieces):
        group.append(line)
        size += len(line)
        if len(group) >= _MOST_ROWS or size >= _MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join([*held, line, b"\n"])
            held.clear()
        if rest:
            held.append(rest)
    if held:
        yield b"".join([*held, b"\n"])
