"""The server as a source of segments: each session reads in a thread, another compresses.

A worker sends the commands of its next tasks while psql is at the last ones, cuts the rows that
come back into pieces, and queues them for the writer.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import copy_target, count_rows
from pgvow.engine.plan import Dispatcher, Work
from pgvow.engine.segments import SegmentPart, SegmentQueue, StoppedError
from pgvow.postgres.counting import narrowest_of
from pgvow.postgres.filters import applied, counted
from pgvow.postgres.snapshot import end_transaction
from pgvow.postgres.sql import query
from pgvow.postgres.wide_rows import RowTooWideError, is_too_wide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgvow.archive import Encoder, TocEntry
    from pgvow.engine.plan import Task, Tasks
    from pgvow.postgres.connection import Session
    from pgvow.postgres.psql_session import CopySession
    from pgvow.postgres.snapshot import CatalogTable

PIECE_BYTES = 2 << 20
"""Text is compressed in pieces of so many bytes: always cut at the same places of a segment."""
_QUEUED_BYTES = 12 << 20
"""How much text a worker may have queued for the writer, on an average."""
_JOIN_SECONDS = 5.0
_BATCHES_AHEAD = 2
_SMALL = 1 << 15  # not worth waking another thread
# In one message with the query that it rolls back: one more round trip for each of 5,000 tables
# would be felt. The savepoint stays, so it is made only once.
_SAVEPOINT = b"SAVEPOINT planned;\n"
_BACK = "ROLLBACK TO SAVEPOINT planned"
# Linux has these; other systems keep their policy.
_BATCH: int | None = getattr(os, "SCHED_BATCH", None)
_ORDINARY: int | None = getattr(os, "SCHED_OTHER", None)


@contextmanager
def sched_batch() -> Iterator[None]:
    """Run this thread, and all that it starts meanwhile, under SCHED_BATCH.

    A server sends 8 KB at a time. A reader that is woken by each, and preempts the server for it,
    makes both slower: a tenth of the whole time (docs/decisions/0014). SCHED_BATCH takes nothing
    of the reader's share. A policy that was chosen for us, as by ``chrt``, stays.
    """
    if _BATCH is None or _ORDINARY is None or os.sched_getscheduler(0) != _ORDINARY:
        yield
        return
    _set_policy(_BATCH)
    try:
        yield
    finally:
        _set_policy(_ORDINARY)


def _set_policy(policy: int) -> None:
    with suppress(OSError):  # a sandbox may forbid it
        os.sched_setscheduler(0, policy, os.sched_param(0))


class ServerSource:
    """Reads segments from ``sessions``, which hold one snapshot and the locks of ``shares``.

    ``session`` is the one that exported the snapshot; ``tables`` and ``entries`` are by oid. It
    works inside ``running`` only.
    """

    def __init__(
        self,
        session: Session,
        sessions: Sequence[CopySession],
        tasks: Tasks,
        shares: Sequence[frozenset[int]],
        *,
        tables: Mapping[int, CatalogTable],
        entries: Mapping[int, TocEntry],
        encoder: Encoder,
    ) -> None:
        self._session = session
        self._sessions = sessions
        count = len(sessions)
        self._queue = SegmentQueue(_QUEUED_BYTES * count, awaited=PIECE_BYTES * (count + 2))
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="compress")
        encoding = session.info.parameter_status("server_encoding") or "UTF8"
        shared = _Shared(
            Dispatcher(tasks, shares), self._queue, tables, entries, encoder, self._pool, encoding
        )
        self._workers = [
            _Worker(number, copying, shared) for number, copying in enumerate(sessions)
        ]

    def parts(self, task: Task) -> Iterator[SegmentPart]:
        """Yield the parts of a segment; raises the first error of any worker."""
        return self._queue.parts(task.number)

    def counts(self) -> dict[int, int]:
        """Wait for all workers, and return the number of rows of each table, by oid."""
        counts: dict[int, int] = {}
        for worker in self._workers:
            while not worker.done.wait(0.1):
                self._queue.check()
            counts.update(worker.counts)
        self._queue.check()
        return counts

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the workers; an error in the block ends them, their psql and their backends."""
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in self._workers]
        with self._pool:
            try:
                for thread in threads:
                    thread.start()
                yield
            except BaseException:
                self._queue.stop()
                self._pool.shutdown(wait=False, cancel_futures=True)
                for session in self._sessions:
                    session.kill()
                self._end_backends()
                raise
            finally:
                for thread in threads:
                    if thread.ident is not None:
                        thread.join(_JOIN_SECONDS)

    def _end_backends(self) -> None:
        """Terminate the backends at once: one that counts would notice only after seconds."""
        end_transaction(self._session)
        pids = [session.backend for session in self._sessions]
        with suppress(psycopg.Error):  # they notice by themselves
            self._session.execute(query("terminate_copies"), {"pids": pids})


@dataclass(frozen=True, slots=True)
class _Shared:
    """Everything that the workers share; ``encoding`` is the server's."""

    dispatcher: Dispatcher
    queue: SegmentQueue
    tables: Mapping[int, CatalogTable]
    entries: Mapping[int, TocEntry]
    encoder: Encoder
    pool: ThreadPoolExecutor
    encoding: str


class _Worker:
    """Copies and counts in a thread of its own; ``counts`` has rows by oid once it is ``done``."""

    def __init__(self, number: int, session: CopySession, shared: _Shared) -> None:
        self._number = number
        self._session = session
        self._shared = shared
        self.counts: dict[int, int] = {}
        self.done = threading.Event()

    def run(self) -> None:
        """Do tasks until none is left; an error of it is raised in the writer's thread."""
        try:
            self._work()
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the writer raises it
            self._shared.queue.fail(error)
        finally:
            self.done.set()

    def _work(self) -> None:
        """Do one batch of tasks after the commands of the next have been sent to psql."""
        self._session.end_at_errors()
        self._session.send(_SAVEPOINT)
        ahead = self._session.ahead_bytes
        sent: deque[list[Task]] = deque()
        batches = self._batches()
        waiting = next(batches, None)
        while sent or waiting:
            if waiting and (not sent or (len(sent) < _BATCHES_AHEAD and len(waiting[1]) <= ahead)):
                self._session.send(waiting[1])
                sent.append(waiting[0])
                waiting = next(batches, None)
                continue
            for task in sent.popleft():
                self._do(task)

    def _batches(self) -> Iterator[tuple[list[Task], bytes]]:
        """Yield tasks and their commands: one alone, or several whose commands are short.

        With longer ones both sides would block: psql does not read while it writes rows, and we do
        not read rows while we write commands.
        """
        while tasks := self._shared.dispatcher.take(self._number):
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
        table = self._shared.tables[task.oid].name
        self._session.doing(f"worker {self._number + 1} on table {table} ({task.work})")
        try:
            self._receive(task)
        except psycopg.Error as error:
            if is_too_wide(str(error), error.sqlstate):
                raise RowTooWideError(task.oid, str(error).strip()) from error
            raise

    def _receive(self, task: Task) -> None:
        if task.work is Work.COUNT:
            self.counts[task.oid] = self._count(task)
            return
        for text in self._session.receive(PIECE_BYTES):
            self._shared.queue.put(task.number, self._part(text))
        self._shared.queue.end(task.number)

    def _count(self, task: Task) -> int:
        if self._is_planned(task):
            return int(self._session.answer())
        return sum(count_rows(text) for text in self._session.receive(PIECE_BYTES))

    def _part(self, text: memoryview) -> SegmentPart:
        rows = count_rows(text)
        if len(text) <= _SMALL:
            return SegmentPart(text, self._shared.encoder.encode(text), rows)
        return SegmentPart(text, self._shared.pool.submit(self._shared.encoder.encode, text), rows)

    def _command(self, task: Task) -> bytes:
        """Compose the command of a task.

        Planning a query locks the table's indexes, to the end of the transaction: they fill the
        server's lock table, and a REINDEX that waits for one makes the table's readers wait behind
        it. So a query is rolled back at once, as pg_dump never opens an index; the table's own lock
        is older than the savepoint, and stays.
        """
        table = self._shared.tables[task.oid]
        if not self._is_planned(task):
            source = narrowest_of(table) if task.work is Work.COUNT else self._whole(table)
            return self._session.command(self._copy(source))
        query = self._counted(table) if task.work is Work.COUNT else self._selected(task, table)
        return self._session.command(self._copy(query), then=_BACK)

    def _is_planned(self, task: Task) -> bool:
        """Whether a task is a query; a table copied whole is counted without one as well."""
        return bool(self._shared.tables[task.oid].filter) or task.is_of_ranges

    def _copy(self, source: sql.Composed) -> sql.Composed:
        return sql.SQL("COPY {} TO STDOUT (ENCODING {})").format(source, self._shared.encoding)

    def _whole(self, table: CatalogTable) -> sql.Composed:
        """Compose the table and its columns, which COPY reads unplanned, whatever its kind."""
        names = self._columns(table.oid)
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        listed = sql.SQL("({})").format(columns) if names else sql.SQL("")
        return sql.SQL("{} {}").format(table.identifier, listed)

    def _counted(self, table: CatalogTable) -> sql.Composed:
        # By COPY as well: a psql before 15 prints no other result than the last of a message.
        return sql.SQL("({})").format(counted(table.identifier, table.filter))

    def _selected(self, task: Task, table: CatalogTable) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self._columns(task.oid)))
        where = _range(*task.blocks) if task.blocks else applied(table.filter)
        return sql.SQL("(SELECT {} FROM ONLY {} {})").format(columns, table.identifier, where)

    def _columns(self, oid: int) -> tuple[str, ...]:
        target = copy_target(self._shared.entries[oid].copy_stmt or "")
        return tuple(self._session.carried(name) for name in target.columns)


def _range(begin: int, end: int | None) -> sql.Composed:
    first = sql.SQL("WHERE ctid >= {}").format(sql.Literal(f"({begin},0)"))
    if end is None:
        return first
    return sql.SQL("{} AND ctid < {}").format(first, sql.Literal(f"({end},0)"))
