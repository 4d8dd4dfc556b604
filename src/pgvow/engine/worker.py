"""A worker: takes tasks, has its psql do them, and hands on what comes back."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import copy_target, count_rows
from pgvow.engine.flow import Part, StoppedError
from pgvow.engine.plan import Work
from pgvow.postgres.filters import applied, counted
from pgvow.postgres.wide_rows import RowTooWideError, is_too_wide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import ThreadPoolExecutor

    from pgvow.archive import Encoder, TocEntry
    from pgvow.engine.flow import Flow
    from pgvow.engine.plan import Dispatcher, Task
    from pgvow.postgres.psql_session import CopySession
    from pgvow.postgres.snapshot import Table

PIECE_BYTES = 2 << 20
"""Text is compressed in pieces of so many bytes: always cut at the same places of a segment."""
_AHEAD_BATCHES = 2
_SMALL = 1 << 15  # not worth waking another thread
# In one message with what it ends: a round trip more for each of 5,000 tables would be felt. The
# savepoint stays, so it is made but once.
_SAVEPOINT = b"SAVEPOINT planned;\n"
_BACK = "ROLLBACK TO SAVEPOINT planned"


class Worker:
    """Copies and counts on a thread of its own; ``counts`` has rows by oid, once it is ``done``."""

    def __init__(
        self,
        number: int,
        session: CopySession,
        dispatcher: Dispatcher,
        flow: Flow,
        *,
        tables: Mapping[int, Table],
        entries: Mapping[int, TocEntry],
        encoder: Encoder,
        pool: ThreadPoolExecutor,
        encoding: str,
    ) -> None:
        self._number = number
        self._session = session
        self._dispatcher = dispatcher
        self._flow = flow
        self._tables = tables
        self._entries = entries
        self._encoder = encoder
        self._pool = pool
        self._encoding = encoding
        self.counts: dict[int, int] = {}
        self.done = threading.Event()

    def run(self) -> None:
        """Work until there is nothing left to do, or it is called off."""
        try:
            self._work()
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised on the writer's thread
            self._flow.fail(error)
        finally:
            self.done.set()

    def _work(self) -> None:
        """Do one batch while the commands of the next are already with psql."""
        self._session.end_at_errors()
        self._session.send(_SAVEPOINT)
        ahead = self._session.ahead_bytes
        sent: deque[list[Task]] = deque()
        batches = self._batches()
        waiting = next(batches, None)
        while sent or waiting:
            if waiting and (not sent or (len(sent) < _AHEAD_BATCHES and len(waiting[1]) <= ahead)):
                self._session.send(waiting[1])
                sent.append(waiting[0])
                waiting = next(batches, None)
                continue
            for task in sent.popleft():
                self._do(task)

    def _batches(self) -> Iterator[tuple[list[Task], bytes]]:
        """Yield tasks and their commands: one alone, or several whose commands are short.

        More could neither be written, while psql does not read, nor read while we write.
        """
        while tasks := self._dispatcher.take(self._number):
            batch: list[Task] = []
            commands = b""
            for task in tasks:
                command = self._command(task)
                if batch and len(commands) + len(command) > self._session.ahead_bytes:
                    yield batch, commands
                    batch, commands = [], b""
                batch.append(task)
                commands += command
            yield batch, commands

    def _do(self, task: Task) -> None:
        table = self._tables[task.oid].name
        self._session.doing(f"worker {self._number + 1} on table {table} ({task.work})")
        try:
            self._receive(task)
        except psycopg.Error as error:
            if is_too_wide(str(error), error.sqlstate):
                raise RowTooWideError(task.oid, str(error).strip()) from error
            raise

    def _receive(self, task: Task) -> None:
        if task.work is Work.COUNT:
            self.counts[task.oid] = int(self._session.answer())
            return
        for text in self._session.receive(PIECE_BYTES):
            self._flow.put(task.number, self._part(text))
        self._flow.end(task.number)

    def _part(self, text: memoryview) -> Part:
        rows = count_rows(text)
        if len(text) <= _SMALL:
            return Part(text, self._encoder.encode(text), rows)
        return Part(text, self._pool.submit(self._encoder.encode, text), rows)

    def _command(self, task: Task) -> bytes:
        """Compose what is to be done.

        Planning a query locks the table's indexes, to the end of the transaction: so many entries
        in a lock table that is everybody's, and a REINDEX that waits for one makes the table's
        readers wait behind it. What is planned is therefore rolled back at once, as pg_dump never
        opens an index; the table's own lock is older than the savepoint, and stays.
        """
        table = self._tables[task.oid]
        if task.work is Work.COPY and task.blocks is None and not table.filter:
            return self._session.command(self._copy(self._whole(table)))
        query = self._counted(table) if task.work is Work.COUNT else self._selected(task, table)
        return self._session.command(self._copy(query), then=_BACK)

    def _copy(self, source: sql.Composed) -> sql.Composed:
        return sql.SQL("COPY {} TO STDOUT (ENCODING {})").format(source, self._encoding)

    def _whole(self, table: Table) -> sql.Composed:
        """As pg_dump does it: whatever a table may be, COPY knows how to read it; unplanned."""
        names = self._columns(table.oid)
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        listed = sql.SQL("({})").format(columns) if names else sql.SQL("")
        return sql.SQL("{} {}").format(table.identifier, listed)

    def _counted(self, table: Table) -> sql.Composed:
        # By COPY as well: a psql before 15 prints no other result than the last of a message.
        return sql.SQL("({})").format(counted(table.identifier, table.filter))

    def _selected(self, task: Task, table: Table) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self._columns(task.oid)))
        where = _range(*task.blocks) if task.blocks else applied(table.filter)
        return sql.SQL("(SELECT {} FROM ONLY {} {})").format(columns, table.identifier, where)

    def _columns(self, oid: int) -> tuple[str, ...]:
        target = copy_target(self._entries[oid].copy_stmt or "")
        return tuple(self._session.carried(name) for name in target.columns)


def _range(begin: int, end: int | None) -> sql.Composed:
    first = sql.SQL("WHERE ctid >= {}").format(sql.Literal(f"({begin},0)"))
    if end is None:
        return first
    return sql.SQL("{} AND ctid < {}").format(first, sql.Literal(f"({end},0)"))
