"""Ask the server how many rows every table has in the snapshot."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from pgvow.model import RecordedTable
from pgvow.postgres.connection import readable, translate
from pgvow.postgres.counting import count_by_copy
from pgvow.postgres.filters import counted
from pgvow.postgres.planned_code import planned_code
from pgvow.postgres.snapshot import BeginAnewError, LockTableFullError
from pgvow.postgres.sql import query
from pgvow.postgres.watched_sessions import doing, ending_socket
from pgvow.postgres.wide_rows import RowTooWideError, is_too_wide, row_too_wide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.postgres.snapshot import CatalogTable, HeldSnapshot

_CANCEL_WITHIN = 2.0
_CANCEL_AGAIN = 0.2
_PATIENCE = 5.0
_PAUSE = 0.05
_TOGETHER = 100
_SMALL = 256 << 10
"""Bytes of a table that is counted together with so many others: table by table, 5,000 empty ones
took four seconds."""


def count_rows(session: Session, table: CatalogTable) -> int:
    """Count the rows of one table in the session's snapshot, as pg_dump will copy them."""
    (rows,) = count_together(session, [table])
    return rows


def count_together(session: Session, tables: Sequence[CatalogTable]) -> list[int]:
    """Count the rows of each of these tables by one message, as ``count_rows`` does.

    Without a plan, unless a table has the filter of an extension's configuration table: that is SQL
    text from the catalog, and pg_dump has it planned likewise. Or all its columns vary in length,
    and a plan would run no code of others: a column of 100 MB would be as much memory here.
    Planning, and reading from TOAST, locks indexes: the savepoint gives those locks back at once,
    for the server's lock table is everybody's.
    """
    others = f" and {len(tables) - 1} others" if tables[1:] else ""
    doing(session, f"while counting table {readable(session, tables[0].name)}{others}")
    with session.transaction(force_rollback=True):
        planned = _to_plan(session, tables)
        copied = [table for table in tables if table not in planned]
        counts = dict(zip(copied, _copied(session, copied), strict=True)) if copied else {}
        if planned:
            counts |= zip(planned, _planned(session, planned), strict=True)
        return [counts[table] for table in tables]


def _to_plan(session: Session, tables: Sequence[CatalogTable]) -> list[CatalogTable]:
    """Choose the tables that are counted by a query."""
    varying = {table.oid for table in tables if table.narrowest_varies and not table.filter}
    harmless = varying - {code.oid for code in planned_code(session, varying)} if varying else ()
    return [table for table in tables if table.filter or table.oid in harmless]


def _copied(session: Session, tables: Sequence[CatalogTable]) -> list[int]:
    try:
        return count_by_copy(session, tables)
    except psycopg.Error as error:
        # A table may have no column but those that a message cannot hold.
        if len(tables) == 1 and is_too_wide(str(error), error.sqlstate):
            raise RowTooWideError(tables[0].oid, str(error).strip()) from error
        raise


def _planned(session: Session, tables: Sequence[CatalogTable]) -> list[int]:
    counts = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, ({})").format(
            sql.Literal(position), counted(table.identifier, table.filter)
        )
        for position, table in enumerate(tables)
    )
    by_position: dict[int, int] = dict(session.execute(counts).fetchall())
    return [int(by_position[position]) for position in range(len(tables))]


def _batches(tables: Iterable[CatalogTable]) -> Iterator[list[CatalogTable]]:
    """Put small tables together, to be counted by one statement; others come alone, in between."""
    together: list[CatalogTable] = []
    for table in tables:
        if table.size_bytes > _SMALL or table.filter:
            yield [table]
            continue
        together.append(table)
        if len(together) == _TOGETHER:
            yield together
            together = []
    if together:
        yield together


class Witness:
    """Counts every table in the held snapshot while the dump is being made, on its own thread.

    One session is enough: counting a table takes a few per cent of the time that pg_dump takes to
    compress it, so the last count is there long before the last byte (docs/decisions/0004).
    """

    def __init__(self, target: ConnectionTarget, held: HeldSnapshot) -> None:
        self._target = target
        self._held = held
        self._facts: dict[int, RecordedTable] = {}
        self._error: Exception | None = None
        self._dump_holds_locks = threading.Event()
        self._dump_ended = threading.Event()
        self._stopped = threading.Event()
        self._counting: Session = held.session
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._dump_holds_locks.set()
        deadline = time.monotonic() + _PATIENCE
        # Again and again: a request that comes between two statements cancels nothing.
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._counting.cancel_safe(timeout=_CANCEL_WITHIN)
            except psycopg.Error:
                ending_socket(self._counting)()  # the server does not answer
            self._thread.join(_CANCEL_AGAIN)
        # Not closed: that frees memory which the thread may be at work in, and the process crashes.
        # It needs no server any more, only processor time: 100 MB of an error, say.
        while self._thread.is_alive():
            ending_socket(self._counting)()
            self._thread.join(_CANCEL_AGAIN)

    def dump_holds_locks(self) -> None:
        """Take note that pg_dump has locked every table itself."""
        self._dump_holds_locks.set()

    def check(self) -> None:
        """Raise the error of the counting, if it failed."""
        if self._error is not None:
            raise self._error

    def facts(self) -> dict[int, RecordedTable]:
        """Wait for the last count after the dump has ended; by oid, in the catalog's order."""
        self._dump_ended.set()
        while self._thread.is_alive():
            self._thread.join(0.1)  # short: a signal's handler runs between two of these
        self.check()
        return {table.oid: self._facts[table.oid] for table in self._held.tables if table.has_rows}

    def _run(self) -> None:
        try:
            if self._held.locked:
                self._count_under_our_locks()
            else:
                self._count_under_the_locks_of_the_dump()
        except psycopg.errors.OutOfMemory as error:
            self._error = LockTableFullError(str(error).strip())
        except RowTooWideError as error:
            self._error = row_too_wide(self._target, error)
        except psycopg.Error as error:
            self._error = translate(error, self._target.facts)
        except Exception as error:  # noqa: BLE001 - raised by check(), on the owner's thread
            self._error = error

    def _count_under_our_locks(self) -> None:
        session = self._held.session
        for tables in _batches(self._to_count()):
            self._note(tables, self._counts(session, tables))
        # Kept until pg_dump has its own, and no longer: a counted table's indexes are locked too,
        # and a REINDEX that waits for them would make the table's readers wait behind it.
        self._dump_holds_locks.wait()
        self._held.release()

    def _counts(self, session: Session, tables: list[CatalogTable]) -> list[int]:
        try:
            return count_together(session, tables)
        except psycopg.errors.OutOfMemory:
            if len(tables) == 1:
                raise
            # A lock table that is nearly full: with the indexes of one table it may do.
            return [count_rows(session, table) for table in tables]

    def _count_under_the_locks_of_the_dump(self) -> None:
        """Count table by table, each in a transaction of its own that imports the snapshot.

        NOWAIT is refused when a TRUNCATE so much as waits for the table; it may give up, so such a
        table's turn comes again until the dump has ended. Whether pg_dump or we come first, a
        table that still is where the snapshot saw it was neither emptied nor rewritten since.
        """
        self._dump_holds_locks.wait()
        with self._target.connect("witness") as self._counting:
            waiting = deque(self._to_count())
            while waiting and not self._stopped.is_set():
                table = waiting.popleft()
                is_last_time = self._dump_ended.is_set()
                try:
                    self._note([table], [self._count_in_adopted_snapshot(table)])
                except psycopg.errors.LockNotAvailable as error:
                    if is_last_time:
                        raise BeginAnewError(str(error).strip()) from error
                    waiting.append(table)
                    self._dump_ended.wait(_PAUSE)

    def _count_in_adopted_snapshot(self, table: CatalogTable) -> int:
        session = self._counting
        with session.transaction():
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            session.execute(
                sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._held.id))
            )
            session.execute(
                sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT").format(table.identifier)
            )
            row = session.execute(query("unmoved"), {"oid": table.oid}).fetchone()
            if row is None or not row[0]:
                raise BeginAnewError(f"{table.name} was emptied or rewritten since the snapshot")
            try:
                return count_rows(session, table)
            except psycopg.errors.UndefinedColumn as error:
                raise BeginAnewError(str(error).strip()) from error

    def _to_count(self) -> Iterator[CatalogTable]:
        for table in self._held.tables:
            if self._stopped.is_set():
                return
            if table.has_rows:
                yield table

    def _note(self, tables: Sequence[CatalogTable], counts: Sequence[int]) -> None:
        readable = self._held.readable
        for table, rows in zip(tables, counts, strict=True):
            self._facts[table.oid] = RecordedTable(
                readable(table.schema), readable(table.name), rows, table.size_bytes
            )
