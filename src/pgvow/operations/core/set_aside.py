"""Load the rows of one table without the conditions on them, and lay those on again.

Checks, conditions of domains and NOT NULL are set aside in one transaction with the load. Those
that hold again are as they were; only the others stay loose. A generated column is set aside if
rows are refused with it that are taken without it. Rows that are refused all the same are kept in
a file: they come in pieces, each behind a savepoint, and the server says which line it refuses.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import copy_target, copy_text
from pgvow.postgres.connection import carried
from pgvow.postgres.entry_session import as_archived, prepare_for_entry
from pgvow.postgres.restore_messages import of_surroundings
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import CopyTarget, TocEntry
    from pgvow.operations.core.stages import CheckedBackup
    from pgvow.postgres.connection import Session

_SAVEPOINT = "pgvow_condition"
_MOST_ROWS = 5_000
_MOST_BYTES = 1 << 20
_FEW_ROWS = 64
_LINE = re.compile(r"^COPY .*?, line (\d+)", re.MULTILINE)
_OF_ROWS = "pgvow_rows"


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
        with _private(self.path) as rows:
            rows.write(row)
        self._note(number, reason, sqlstate)

    def keep_all(self, pieces: Iterable[bytes], reason: str) -> None:
        """Keep all rows of a text for one reason; raises OSError."""
        self.first = reason
        with _private(self.path) as rows:
            for piece in pieces:
                rows.write(piece)
                self.count += piece.count(b"\n")
        self._note(None, reason, None)

    def _note(self, number: int | None, reason: str, sqlstate: str | None) -> None:
        record = {"row": number, "sqlstate": sqlstate, "reason": reason}
        with _private(self.reasons_path) as reasons:
            reasons.write(json.dumps(record).encode() + b"\n")

    def discard(self) -> None:
        """Forget the rows and remove the files."""
        self.path.unlink(missing_ok=True)
        self.reasons_path.unlink(missing_ok=True)
        self.count, self.first, self.sqlstate = 0, None, None


def _private(path: Path) -> BinaryIO:
    """Open a file of ours to append to it; readable by its owner only."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "ab")


def _load_taken(
    session: Session, statement: bytes, pieces: Iterable[bytes], rejected: RejectedRows
) -> None:
    """Load rows in the session's transaction; those that the server refuses are kept.

    Raises psycopg.Error if the surroundings fail, ArchiveError and OSError.
    """
    number = 1
    for rows in _in_groups(pieces):
        _load_group(session, statement, rows, number, rejected)
        number += len(rows)


def _load_group(
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
    session.execute(f"SAVEPOINT {_OF_ROWS}")
    try:
        with session.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(b"".join(rows))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        if not _LINE.search(error.diag.context or ""):
            raise  # the table itself is missing, and takes no row
        session.execute(f"ROLLBACK TO SAVEPOINT {_OF_ROWS}")
        return error
    except psycopg.Error as error:
        if session.closed:
            raise
        session.execute(f"ROLLBACK TO SAVEPOINT {_OF_ROWS}")
        return error
    session.execute(f"RELEASE SAVEPOINT {_OF_ROWS}")
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


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows: ``kind`` is check, domain, not null or generated."""

    kind: str
    schema: str
    name: str
    part: str
    definition: str

    @property
    def _owner(self) -> sql.Composed:
        keyword = sql.SQL("DOMAIN" if self.kind == "domain" else "TABLE")
        return sql.SQL("ALTER {} {}").format(keyword, sql.Identifier(self.schema, self.name))

    def aside(self) -> sql.Composed:
        """Write the statement that sets it aside."""
        part = sql.Identifier(self.part)
        if self.kind == "not null":
            return self._owner + sql.SQL(" ALTER COLUMN {} DROP NOT NULL").format(part)
        if self.kind == "generated":
            return self._owner + sql.SQL(" ALTER COLUMN {} DROP EXPRESSION").format(part)
        return self._owner + sql.SQL(" DROP CONSTRAINT {}").format(part)

    def again(self) -> sql.Composed:
        """Write the statement that lays it on again."""
        part, own_text = sql.Identifier(self.part), sql.SQL(self.definition)
        if self.kind == "not null":
            return self._owner + sql.SQL(" ALTER COLUMN {} SET NOT NULL").format(part)
        if self.kind == "generated":
            return self._owner + sql.SQL(" DROP COLUMN {}, ADD COLUMN {} {}").format(
                part, part, own_text
            )
        return self._owner + sql.SQL(" ADD CONSTRAINT {} {}").format(part, own_text)

    def loose(self) -> sql.Composed | None:
        """Write the statement that lays it on new rows alone; None if there is none."""
        if self.kind in {"not null", "generated"} or self.definition.endswith("NOT VALID"):
            return None
        return self.again() + sql.SQL(" NOT VALID")

    def finish(self) -> sql.Composed:
        """Write the statement that makes it whole when the rows have been mended."""
        if self.loose() is None:
            return self.again()
        return self._owner + sql.SQL(" VALIDATE CONSTRAINT {}").format(sql.Identifier(self.part))

    def broken_by(self) -> sql.Composed | None:
        """Write the query of the rows that break it; None for a domain, which many tables use."""
        table = sql.SQL("SELECT * FROM {}").format(sql.Identifier(self.schema, self.name))
        if self.kind == "not null":  # the server answers IS NULL by the catalog, without a look
            return table + sql.SQL(" WHERE pg_catalog.num_nulls({}) > 0").format(
                sql.Identifier(self.part)
            )
        if self.kind != "check":
            return None
        held = self.definition.removesuffix(" NOT VALID").removesuffix(" NO INHERIT")
        expression = sql.SQL(held.removeprefix("CHECK "))
        return table + sql.SQL(" WHERE NOT {}").format(expression)


@dataclass(frozen=True, slots=True)
class LooseCondition:
    """A condition that does not hold, with the server's reason."""

    condition: Condition
    reason: str
    sqlstate: str | None


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A table whose rows were loaded without its conditions: those that stay loose."""

    target: CopyTarget
    loose: tuple[LooseCondition, ...]
    rejected: RejectedRows


def load_without_conditions(
    session: Session, backup: CheckedBackup, entry: TocEntry, path: Path, search_path: str
) -> LoadedTable:
    """Load a table's rows, and lay its conditions on again; refused rows are kept at ``path``.

    In one transaction. Raises psycopg.Error, ArchiveError and OSError; nothing stays then.
    """
    target = copy_target(entry.copy_stmt)
    rejected = RejectedRows(path)
    with session.transaction():
        prepare_for_entry(session, backup.toc, Stage.ROWS)
        names = {
            "schema": carried(session, target.schema), "table": carried(session, target.name)
        }  # fmt: skip
        rows = session.execute(query("table_conditions"), names).fetchall()
        conditions = [Condition(*row[1:]) for row in rows]
        first = [each for each in conditions if each.kind != "generated"]
        prepare_for_entry(session, backup.toc, Stage.ROWS, search_path)
        aside = _set_aside(session, first)
        generated = [each for each in conditions if each.kind == "generated"]
        session.execute("SAVEPOINT pgvow_loaded")
        _load(session, backup, entry, rejected)
        if rejected.count and generated:
            aside += _with_fewer(session, backup, entry, rejected, generated)
        loose = tuple(_lay_on(session, aside))
    return LoadedTable(target, loose, rejected)


def keep_rows(backup: CheckedBackup, entry: TocEntry, path: Path, reason: str) -> LoadedTable:
    """Keep all rows of a table that is not there; raises ArchiveError and OSError."""
    rejected = RejectedRows(path)
    with backup.stored.open_dump() as file:
        rejected.keep_all(copy_text(file, backup.toc, entry), reason)
    return LoadedTable(copy_target(entry.copy_stmt), (), rejected)


def _with_fewer(
    session: Session,
    backup: CheckedBackup,
    entry: TocEntry,
    rejected: RejectedRows,
    generated: Sequence[Condition],
) -> list[Condition]:
    """Load again without generated columns; returns those that had refused rows."""
    refused = rejected.count
    rejected.discard()
    session.execute("ROLLBACK TO SAVEPOINT pgvow_loaded")
    aside = _set_aside(session, generated)
    _load(session, backup, entry, rejected)
    if rejected.count < refused:
        return aside
    rejected.discard()
    session.execute("ROLLBACK TO SAVEPOINT pgvow_loaded")
    _load(session, backup, entry, rejected)
    return []


def _load(session: Session, backup: CheckedBackup, entry: TocEntry, rejected: RejectedRows) -> None:
    statement = as_archived(entry.copy_stmt.strip().removesuffix(";"), backup.toc)
    with backup.stored.open_dump() as file:
        _load_taken(session, statement, copy_text(file, backup.toc, entry), rejected)


def _set_aside(session: Session, conditions: Sequence[Condition]) -> list[Condition]:
    """Set conditions aside as far as the server lets us."""
    return [each for each in conditions if _tried(session, each.aside()) is None]


def _lay_on(session: Session, aside: Sequence[Condition]) -> list[LooseCondition]:
    """Lay conditions on again, those that do not hold on new rows alone.

    Generated columns first: they bring their NOT NULL with them.
    """
    loose: list[LooseCondition] = []
    generated = {each.part for each in aside if each.kind == "generated"}
    ordered = sorted(aside, key=lambda each: each.kind != "generated")
    for condition in ordered:
        if condition.kind == "not null" and condition.part in generated:
            continue
        error = _tried(session, condition.again())
        if error is None:
            continue
        if (statement := condition.loose()) is not None:
            _tried(session, statement)
        loose.append(LooseCondition(condition, str(error).strip(), error.sqlstate))
    return loose


def _tried(session: Session, statement: sql.Composed) -> psycopg.Error | None:
    """Run a statement; returns its error, after which the transaction goes on."""
    session.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        session.execute(statement)
    except psycopg.Error as error:
        if session.closed or of_surroundings(str(error), error.sqlstate):
            raise
        session.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return error
    session.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return None
