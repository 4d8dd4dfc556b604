"""The progress of pg_restore in rows, read from the server's own views.

A reading counts rows that are loaded: it may lack those of the last seconds, and never has too
many.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgvow.postgres.connection import carried
from pgvow.postgres.sql import query
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvow.archive import TocEntry
    from pgvow.model import Metadata, RecordedTable
    from pgvow.postgres.connection import Session
    from pgvow.progress import Progress

PHASE = Phase.RESTORE
# The phase after the last row; there is no way to know how long it takes.
AFTER_ROWS = Phase.INDEXES
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Amount:
    """Rows, and bytes of their COPY text."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.rows + other.rows, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class RunningCopy:
    """A COPY under way: the beginning of its statement, and how much it has read."""

    statement: str
    done: Amount


def total(tables: Iterable[RecordedTable]) -> Amount:
    """Add up the rows and bytes of tables."""
    return sum((_held(table) for table in tables), Amount())


def _held(table: RecordedTable) -> Amount:
    return Amount(table.rows, table.size_bytes if table.bytes is None else table.bytes)


def in_turn(
    order: Sequence[tuple[str, Amount]], start: int, copying: RunningCopy
) -> tuple[int, Amount]:
    """Return how much is loaded if tables are loaded one after the other, in this order.

    ``order`` has each table's COPY statement and its amount, ``start`` is the place of the last
    table seen. The place of this one is returned as well; all before it are done.
    """
    beginning = copying.statement.strip()
    for place in range(start, len(order)):
        if beginning and order[place][0].startswith(beginning):
            return place, sum((held for _, held in order[:place]), copying.done)
    return start, Amount()


class RowsWatch:
    """Report how many of the rows are loaded; an error of its queries does not end the restore.

    ``session`` is one into the database. A single transaction (``one_by_one``) hides its finished
    tables from other sessions, but loads them in the order of their entries.
    """

    def __init__(
        self,
        session: Session,
        metadata: Metadata,
        entries: Iterable[TocEntry],
        *,
        one_by_one: bool,
        progress: Progress,
    ) -> None:
        self.progress = progress
        self._session = session
        self._tables = {(table.schema, table.name): table for table in metadata.tables}
        self._total = total(metadata.tables)
        self._one_by_one = one_by_one
        self._order = [
            (entry.copy_stmt.strip(), _held(facts))
            for entry in entries
            if entry.is_table_data and (facts := self._tables.get((entry.namespace, entry.tag)))
        ]
        self._place: int | None = None
        self._next = 0.0
        self._done = Amount()

    def look(self) -> None:
        """Read how far the restore is and report it, twice a second at most."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        try:
            copying = self._copying()
            loaded = self._in_turn(copying) if self._one_by_one else self._side_by_side(copying)
        except psycopg.Error:
            return
        self._done = Amount(
            min(max(self._done.rows, loaded.rows), self._total.rows),
            min(max(self._done.bytes, loaded.bytes), self._total.bytes),
        )
        self._report(is_copying=bool(copying))

    def _report(self, *, is_copying: bool) -> None:
        done, whole = self._done, self._total
        if whole.rows and (is_copying or done.rows < whole.rows):
            detail = f"{done.rows:,} of {whole.rows:,} rows"
            self.progress.update(Step(PHASE, done.bytes, whole.bytes, detail))
        else:
            self.progress.update(Step(AFTER_ROWS if whole.rows else PHASE))

    def _copying(self) -> list[RunningCopy]:
        rows = self._session.execute(query("restore_copying")).fetchall()
        return [RunningCopy(statement, Amount(*done)) for statement, *done in rows]

    def _in_turn(self, copying: Sequence[RunningCopy]) -> Amount:
        if copying:
            self._place, loaded = in_turn(self._order, self._place or 0, copying[0])
            return loaded
        # Between two tables, or behind the last of them.
        return self._total if self._place == len(self._order) - 1 else Amount()

    def _side_by_side(self, copying: Iterable[RunningCopy]) -> Amount:
        loaded = sum((each.done for each in copying), Amount())
        for schema, name, rows in self._session.execute(query("restore_loaded")).fetchall():
            loaded += self._finished(schema, name, rows)
        return loaded

    def _finished(self, schema: str, name: str, rows: int) -> Amount:
        facts = self._carried().get((schema, name))
        if facts is None or not facts.rows:
            return Amount()
        rows = min(rows, facts.rows)
        return Amount(rows, _held(facts).bytes * rows // facts.rows)

    def _carried(self) -> dict[tuple[str, str], RecordedTable]:
        """The tables by their names in the encoding of the session."""
        if self._session.info.parameter_status("server_encoding") != "SQL_ASCII":
            return self._tables
        return {
            (carried(self._session, schema), carried(self._session, name)): facts
            for (schema, name), facts in self._tables.items()
        }
