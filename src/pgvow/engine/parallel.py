"""The parallel engine: pg_dump decides what is dumped, several sessions copy the rows of it.

pg_dump is run for its table of contents alone. The tables' rows are read by one psql a worker in
the same snapshot, compressed by a thread a worker, and laid by this one into a single archive.
"""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, ArchiveWriter, encoder_for, read_toc
from pgvow.engine.batch import batch
from pgvow.engine.failure import dump_failure
from pgvow.engine.filled import Filled
from pgvow.engine.flow import Flow
from pgvow.engine.plan import Dispatcher, Tasks, Work, measured, share_out
from pgvow.engine.selecting import read_head
from pgvow.engine.telling import Telling
from pgvow.engine.worker import PIECE_BYTES, Worker
from pgvow.errors import BackupFailed
from pgvow.file_errors import refusals
from pgvow.model import PARALLEL, TableFacts
from pgvow.postgres.connection import translate
from pgvow.postgres.next_steps import is_lock_table_full
from pgvow.postgres.process import Tool
from pgvow.postgres.psql_session import CopySession, prepared
from pgvow.postgres.shared_locks import SharedLocks
from pgvow.postgres.snapshot import (
    BeginAnewError,
    LockTableFullError,
    end_transaction,
    persist,
    watchable,
)
from pgvow.postgres.sql import query
from pgvow.postgres.wide_rows import RowTooWideError, row_too_wide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import Contents, Encoder
    from pgvow.engine.command import DumpCommand
    from pgvow.engine.plan import Relation
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import Chosen, Deadline, HeldSnapshot, Table
    from pgvow.progress import Progress
    from pgvow.spool import OpenedFile

_AHEAD_BYTES = 12 << 20
"""How much text a worker may have on its way to the file, on an average."""
_JOIN_SECONDS = 5.0


class Parallel:
    """Fills an archive with ``workers`` sessions; ``session`` exports the snapshot."""

    name = PARALLEL

    def __init__(
        self,
        command: DumpCommand,
        session: Session,
        progress: Progress,
        *,
        workers: int,
        chosen: Chosen | None = None,
    ) -> None:
        self._command = command
        self._session = session
        self._progress = progress
        self._workers = workers
        self._chosen = chosen
        self._warnings: list[str] = []
        self._encoder: Encoder = encoder_for(command.compress.algorithm, command.compress.level)

    def dump(self, archive: OpenedFile, *, deadline: Deadline) -> Filled:
        """Lock, take a snapshot, and fill the open file ``archive``.

        Raises BeginAnewError, LockTableFullError, LockNotGranted, BackupFailed, NoSpace,
        AccessDenied.
        """
        try:
            with (
                batch(),
                self._sessions() as sessions,
                self._snapshot(sessions, deadline) as (held, locks),
            ):
                head, self._warnings = read_head(self._command, held)
                with refusals("write", archive.path), archive.writer() as file:
                    writer = ArchiveWriter(file, head, self._encoder)
                    filled = self._fill(writer, held, locks, sessions, folder=archive.directory)
        except RowTooWideError as error:
            raise row_too_wide(self._command.target, error) from error
        except psycopg.Error as error:
            if is_lock_table_full(error):
                raise LockTableFullError(str(error).strip()) from error
            raise translate(error, self._command.target.facts) from error
        except ArchiveError as error:
            raise BackupFailed(
                f"the archive cannot be put together: {error}",
                facts=self._command.facts(),
                steps=["Use the reference engine: --engine pg_dump", "And please report it"],
            ) from error
        for line in self._warnings:
            self._progress.warn(line)
        return filled

    def _sessions(self) -> AbstractContextManager[Sequence[CopySession]]:
        watched = watchable(self._session)

        def start() -> CopySession:
            return CopySession(
                self._command.target, self._command.installation, self._session, watched=watched
            )

        return prepared(start, self._workers)

    @contextmanager
    def _snapshot(
        self, sessions: Sequence[CopySession], deadline: Deadline
    ) -> Iterator[tuple[HeldSnapshot, SharedLocks]]:
        locks = SharedLocks(sessions, share_out)
        watched = watchable(self._session)
        try:
            held = persist(
                self._session, locks, deadline=deadline, watched=watched, chosen=self._chosen
            )
            yield held, locks
        finally:
            end_transaction(self._session)

    def _fill(
        self,
        writer: ArchiveWriter,
        held: HeldSnapshot,
        locks: SharedLocks,
        sessions: Sequence[CopySession],
        *,
        folder: Path,
    ) -> Filled:
        relations = measured(held.tables, locks.relations)
        copied = {entry.oid: entry for entry in writer.toc.table_data}
        self._see_that_they_are_locked(copied, relations)
        todo = Tasks(list(copied), relations)
        flow = Flow(_AHEAD_BYTES * self._workers, awaited=PIECE_BYTES * (self._workers + 2))
        dispatcher = Dispatcher(todo, locks.shares)
        tables = {table.oid: table for table in held.tables}
        telling = Telling(
            self._progress,
            {oid: relations[oid].bytes for oid in copied},
            {oid: held.readable(tables[oid].name) for oid in copied},
        )
        with ThreadPoolExecutor(self._workers, thread_name_prefix="compress") as pool:
            workers = [
                Worker(
                    number, session, dispatcher, flow,
                    tables=tables, entries=copied, encoder=self._encoder, pool=pool,
                    encoding=self._session.info.parameter_status("server_encoding") or "UTF8",
                )
                for number, session in enumerate(sessions)
            ]  # fmt: skip
            with self._running(workers, sessions, flow, pool):
                self._write(writer, flow, todo, telling)
                counts = self._counts(workers, flow)
        self._copy_large_objects(writer, held, folder, telling)
        contents: Contents = writer.finish()
        facts = {oid: _facts(held, tables[oid], relations[oid], counts[oid]) for oid in copied}
        return Filled(facts, contents, writer.body_digest, held.facts)

    def _see_that_they_are_locked(
        self, copied: Mapping[int, object], relations: Mapping[int, Relation]
    ) -> None:
        unknown = ", ".join(str(oid) for oid in copied if oid not in relations)
        if not unknown:
            return
        what = f"pg_dump would copy tables that were not locked: oid {unknown}"
        if self._chosen is not None:  # before the locks, so there may be new ones since
            raise BeginAnewError(what)
        raise BackupFailed(what, steps=["Run it again; if it happens again, please report it"])

    @contextmanager
    def _running(
        self,
        workers: Sequence[Worker],
        sessions: Sequence[CopySession],
        flow: Flow,
        pool: ThreadPoolExecutor,
    ) -> Iterator[None]:
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
        try:
            for thread in threads:
                thread.start()
            yield
        except BaseException:
            flow.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            for session in sessions:
                session.kill()
            self._end_backends(sessions)
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join(_JOIN_SECONDS)

    def _end_backends(self, sessions: Sequence[CopySession]) -> None:
        """End the server's side at once: one that counts would notice only after seconds."""
        end_transaction(self._session)
        try:
            self._session.execute(
                query("terminate_copies"), {"pids": [session.backend for session in sessions]}
            )
        except psycopg.Error:
            return  # they notice by themselves

    def _write(
        self,
        writer: ArchiveWriter,
        flow: Flow,
        todo: Tasks,
        telling: Telling,
    ) -> None:
        """Lay down every table's parts in order."""
        numbers = {entry.oid: entry.dump_id for entry in writer.toc.table_data}
        current = None
        for task in todo:
            if task.work is Work.COUNT:
                if current is not None:
                    writer.end_table()
                current = task.oid
                writer.begin_table(numbers[current])
                continue
            for part in flow.parts(task.number):
                writer.add(part.text, part.wait(), rows=part.rows)
            telling.written(task)
        if current is not None:
            writer.end_table()

    def _counts(self, workers: Sequence[Worker], flow: Flow) -> dict[int, int]:
        counts: dict[int, int] = {}
        for worker in workers:
            while not worker.done.wait(0.1):
                flow.check()
            counts.update(worker.counts)
        flow.check()
        return counts

    def _copy_large_objects(
        self, writer: ArchiveWriter, held: HeldSnapshot, folder: Path, telling: Telling
    ) -> None:
        """Take their blocks from a second pg_dump in the snapshot, matched by tag and owner."""
        wanted = {
            (entry.tag, entry.owner): entry
            for entry in writer.toc.with_data
            if entry.is_large_objects
        }
        if not wanted:
            return
        # Beside the dump, where there is room; without a name, so that it goes when we do.
        with tempfile.TemporaryFile(dir=folder) as file:
            self._dump_large_objects(held, file, folder, telling)
            toc = read_toc(file)
            for entry in toc.with_data:
                if entry.is_large_objects and (entry.tag, entry.owner) in wanted:
                    place = wanted[entry.tag, entry.owner]
                    writer.add_large_objects(place.dump_id, file, entry)

    def _dump_large_objects(
        self, held: HeldSnapshot, file: BinaryIO, folder: Path, telling: Telling
    ) -> None:
        number = file.fileno()
        # Not the tables: it would wait for their locks behind whoever waits for ours.
        argv = self._command.argv(held, "-b", "--exclude-table=*.*", f"--file=/dev/fd/{number}")
        environment = self._command.environment(held)
        with Tool(argv, env=environment, stdout=DEVNULL, pass_fds=[number]) as tool:
            while (ended := tool.poll(0.1)) is None:
                telling.large_objects()
        if ended.returncode != 0:
            raise dump_failure(ended, self._command, directory=folder)
        said = ended.stderr.splitlines()
        self._warnings += [line for line in said if line not in self._warnings]
        file.seek(0)


def _facts(held: HeldSnapshot, table: Table, relation: Relation, rows: int) -> TableFacts:
    return TableFacts(
        held.readable(table.schema),
        held.readable(table.name),
        rows,
        relation.bytes,
        filenode=relation.filenode,
        blocks=relation.blocks,
        segment_blocks=relation.segment_blocks,
    )
