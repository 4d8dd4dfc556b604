"""How far pg_restore has come: rows, from what the server says of itself.

Every reading is of rows that are there: it may be behind by what finished in the last seconds, and
is never ahead.
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

    from pgvow.archive import Entry
    from pgvow.model import Metadata, TableFacts
    from pgvow.postgres.connection import Session
    from pgvow.progress import Progress

PHASE = Phase.RESTORE
# What pg_restore makes when all rows are there; nobody knows how long that takes.
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
class Copying:
    """A COPY under way: the beginning of its statement, and how much it has read."""

    statement: str
    done: Amount


def total(tables: Iterable[TableFacts]) -> Amount:
    """Add up what tables hold."""
    return sum((_held(table) for table in tables), Amount())


def _held(table: TableFacts) -> Amount:
    return Amount(table.rows, table.size_bytes if table.bytes is None else table.bytes)


def in_turn(
    order: Sequence[tuple[str, Amount]], start: int, copying: Copying
) -> tuple[int, Amount]:
    """Tell how much is there where tables are loaded one after the other, in this order.

    ``order`` has each table's COPY statement and all it holds, ``start`` is the place of the last
    one seen; returns the place of this one as well. All before it are done.
    """
    beginning = copying.statement.strip()
    for place in range(start, len(order)):
        if beginning and order[place][0].startswith(beginning):
            return place, sum((held for _, held in order[:place]), copying.done)
    return start, Amount()


class RowsWatch:
    """Tells how many of the rows are there; a failure to find out is no failure of the restore.

    ``session`` is one into the database. In a single transaction (``one_by_one``) nobody else sees
    what is finished, but the tables come in the order of their entries.
    """

    def __init__(
        self,
        session: Session,
        metadata: Metadata,
        entries: Iterable[Entry],
        *,
        one_by_one: bool,
        progress: Progress,
    ) -> None:
        self.progress = progress
        self._session = session
        self._tables = {(one.schema, one.name): one for one in metadata.tables}
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
        """Find out how far it is and tell, twice a second at most."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        try:
            copying = self._copying()
            found = self._in_turn(copying) if self._one_by_one else self._side_by_side(copying)
        except psycopg.Error:
            return
        self._done = Amount(
            min(max(self._done.rows, found.rows), self._total.rows),
            min(max(self._done.bytes, found.bytes), self._total.bytes),
        )
        self._tell(is_copying=bool(copying))

    def _tell(self, *, is_copying: bool) -> None:
        done, whole = self._done, self._total
        if whole.rows and (is_copying or done.rows < whole.rows):
            detail = f"{done.rows:,} of {whole.rows:,} rows"
            self.progress.update(Step(PHASE, done.bytes, whole.bytes, detail))
        else:
            self.progress.update(Step(AFTER_ROWS if whole.rows else PHASE))

    def _copying(self) -> list[Copying]:
        rows = self._session.execute(query("restore_copying")).fetchall()
        return [Copying(statement, Amount(*done)) for statement, *done in rows]

    def _in_turn(self, copying: Sequence[Copying]) -> Amount:
        if copying:
            self._place, found = in_turn(self._order, self._place or 0, copying[0])
            return found
        # Between two tables, or behind the last of them.
        return self._total if self._place == len(self._order) - 1 else Amount()

    def _side_by_side(self, copying: Iterable[Copying]) -> Amount:
        found = sum((one.done for one in copying), Amount())
        for schema, name, rows in self._session.execute(query("restore_loaded")).fetchall():
            found += self._finished(schema, name, rows)
        return found

    def _finished(self, schema: str, name: str, rows: int) -> Amount:
        facts = self._carried().get((schema, name))
        if facts is None or not facts.rows:
            return Amount()
        rows = min(rows, facts.rows)
        return Amount(rows, _held(facts).bytes * rows // facts.rows)

    def _carried(self) -> dict[tuple[str, str], TableFacts]:
        """The tables by the names that the session knows them by."""
        if self._session.info.parameter_status("server_encoding") != "SQL_ASCII":
            return self._tables
        return {
            (carried(self._session, schema), carried(self._session, name)): facts
            for (schema, name), facts in self._tables.items()
        }
