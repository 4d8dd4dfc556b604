"""The parallel engine: pg_dump chooses the objects, several sessions copy their rows.

pg_dump is run for its table of contents alone. A source of segments, today the server, supplies the
rows, read and compressed by several threads, and this one writes them into a single archive.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import ArchiveError, ArchiveWriter, encoder_for, read_toc
from pgvow.engine.pg_dump import dump_failure, read_head
from pgvow.engine.plan import Tasks, measured, share_out
from pgvow.engine.protocol import FilledArchive
from pgvow.engine.segments import write_segments
from pgvow.engine.server_source import ServerSource, sched_batch
from pgvow.errors import BackupFailed
from pgvow.file_errors import refusals
from pgvow.model import PARALLEL, RecordedTable
from pgvow.postgres.connection import translate
from pgvow.postgres.next_steps import is_lock_table_full
from pgvow.postgres.planned_code import planned_code
from pgvow.postgres.process import RunningTool
from pgvow.postgres.psql_session import CopySession, prepared
from pgvow.postgres.snapshot import (
    BeginAnewError,
    LockTableFullError,
    end_transaction,
    lock_statement,
    persist,
    watchable,
)
from pgvow.postgres.sql import query
from pgvow.postgres.wide_rows import RowTooWideError, row_too_wide
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive import Encoder
    from pgvow.engine.pg_dump import DumpCommand
    from pgvow.engine.plan import TableStorage, Task
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import CatalogTable, Deadline, HeldSnapshot, SelectedTables
    from pgvow.progress import Progress
    from pgvow.spool import OpenedFile

    Share = Callable[[Sequence[CatalogTable], int], Sequence[Sequence[CatalogTable]]]


class Parallel:
    """Fills an archive through ``workers`` sessions; ``session`` exports the snapshot."""

    def __init__(
        self,
        command: DumpCommand,
        session: Session,
        progress: Progress,
        *,
        workers: int,
        chosen: SelectedTables | None = None,
    ) -> None:
        self._command = command
        self._session = session
        self._progress = progress
        self._workers = workers
        self._chosen = chosen
        self._warnings: list[str] = []
        self._encoder: Encoder = encoder_for(command.compress.algorithm, command.compress.level)

    def dump(self, archive: OpenedFile, *, deadline: Deadline) -> FilledArchive:
        """Fill the open file; raises the errors of ``Engine.dump``."""
        try:
            with (
                sched_batch(),
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
            try:
                yield held, locks
            except BeginAnewError:
                deadline.watch.look(self._session, held.keys(), now=True)  # with our locks
                raise
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
    ) -> FilledArchive:
        whole = {code.oid for code in planned_code(self._session, locks.relations)}
        relations = measured(held.tables, locks.relations, whole=whole)
        entries = {entry.oid: entry for entry in writer.toc.table_data}
        self._require_locked(entries, relations)
        tasks = Tasks(list(entries), relations)
        tables = {table.oid: table for table in held.tables}
        segments = SegmentProgress(
            self._progress,
            {oid: relations[oid].bytes for oid in entries},
            {oid: held.readable(tables[oid].name) for oid in entries},
        )
        source = ServerSource(
            self._session, sessions, tasks, locks.shares,
            tables=tables, entries=entries, encoder=self._encoder,
        )  # fmt: skip
        with source.running():
            write_segments(writer, tasks, source, written=segments.written)
            counts = source.counts()
        self._copy_large_objects(writer, held, folder, segments)
        contents = writer.finish()
        facts = {oid: _facts(held, tables[oid], relations[oid], counts[oid]) for oid in entries}
        return FilledArchive(PARALLEL, facts, held.facts, contents, writer.body_digest)

    def _require_locked(
        self, entries: Mapping[int, object], relations: Mapping[int, TableStorage]
    ) -> None:
        """Raise BackupFailed, or BeginAnewError, if pg_dump would copy tables without our lock."""
        unknown = ", ".join(str(oid) for oid in entries if oid not in relations)
        if not unknown:
            return
        cause = f"pg_dump would copy tables that were not locked: oid {unknown}"
        if self._chosen is not None:  # before the locks: there may be new tables since
            raise BeginAnewError(cause)
        raise BackupFailed(cause, steps=["Run it again; if it happens again, please report it"])

    def _copy_large_objects(
        self, writer: ArchiveWriter, held: HeldSnapshot, folder: Path, segments: SegmentProgress
    ) -> None:
        """Copy their blocks from a second pg_dump in the snapshot, matched by tag and owner."""
        wanted = {
            (entry.tag, entry.owner): entry
            for entry in writer.toc.with_data
            if entry.is_large_objects
        }
        if not wanted:
            return
        # Beside the dump, on the disk that has room; without a name, so that it goes with us.
        with tempfile.TemporaryFile(dir=folder) as file:
            self._dump_large_objects(held, file, folder, segments)
            toc = read_toc(file)
            for entry in toc.with_data:
                if entry.is_large_objects and (entry.tag, entry.owner) in wanted:
                    place = wanted[entry.tag, entry.owner]
                    writer.add_large_objects(place.dump_id, file, entry)

    def _dump_large_objects(
        self, held: HeldSnapshot, file: BinaryIO, folder: Path, segments: SegmentProgress
    ) -> None:
        number = file.fileno()
        # Not the tables: it would wait for their locks behind migrations that wait for ours.
        argv = self._command.argv(held, "-b", "--exclude-table=*.*", f"--file=/dev/fd/{number}")
        environment = self._command.environment(held)
        with RunningTool(argv, env=environment, stdout=DEVNULL, pass_fds=[number]) as tool:
            while (ended := tool.poll(0.1)) is None:
                segments.large_objects()
        if ended.returncode != 0:
            raise dump_failure(ended, self._command, directory=folder)
        lines = ended.stderr.splitlines()
        self._warnings += [line for line in lines if line not in self._warnings]
        file.seek(0)


class SegmentProgress:
    """Adds up the segments that are written; ``sizes`` and ``names`` are the tables', by oid."""

    def __init__(
        self, progress: Progress, sizes: Mapping[int, int], names: Mapping[int, str]
    ) -> None:
        self._progress = progress
        self._sizes = sizes
        self._names = names
        self._total = sum(sizes.values())
        self._done = 0
        self._table = 0
        self._of_table = 0

    def written(self, task: Task) -> None:
        """Add a segment, and report the total and the share of its table."""
        if task.oid != self._table:
            self._table, self._of_table = task.oid, 0
        self._done += task.bytes
        self._of_table += task.bytes
        share = 100 * self._of_table // max(1, self._sizes[task.oid])
        # The name last: it is cut if the line is too long.
        self._update(f"{share} % of {self._names[task.oid]}")

    def large_objects(self) -> None:
        """Report that large objects are copied; their size is not known, so the figures stay."""
        self._done = self._total
        self._update("large objects")

    def _update(self, detail: str) -> None:
        self._progress.update(Step(Phase.DUMP, self._done, self._total, detail))


def _facts(
    held: HeldSnapshot, table: CatalogTable, relation: TableStorage, rows: int
) -> RecordedTable:
    return RecordedTable(
        held.readable(table.schema),
        held.readable(table.name),
        rows,
        relation.bytes,
        filenode=relation.filenode,
        blocks=relation.blocks,
        segment_blocks=relation.segment_blocks,
    )


_BEGIN = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NOTHING = b""


class SharedLocks:
    """Locks divided among copying sessions; ``share`` says which session locks which tables."""

    def __init__(self, sessions: Sequence[CopySession], share: Share) -> None:
        self._sessions = sessions
        self._share = share
        self._shares: Sequence[frozenset[int]] = ()
        self.relations: dict[int, tuple[int, int, int, bool]] = {}
        """By oid: blocks of heap, bytes of heap and TOAST, number of the file, whether a heap."""

    @property
    def shares(self) -> Sequence[frozenset[int]]:
        """The oids that each session has locked."""
        return self._shares

    def take(self, tables: Sequence[CatalogTable]) -> None:
        """Begin, and lock each session's tables as the first thing: that takes no snapshot yet."""
        shares = self._share(tables, len(self._sessions))
        self._shares = [frozenset(table.oid for table in share) for share in shares]
        self._each([session.constant(_BEGIN) for session in self._sessions])
        self._each(
            [
                session.command(lock_statement(share)) if share else session.constant(_NOTHING)
                for session, share in zip(self._sessions, shares, strict=True)
            ]
        )

    def adopt(self, snapshot: str) -> None:
        """Import the exported snapshot in every session."""
        adopting = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))
        self._each([session.command(adopting) for session in self._sessions])

    def sizes(self, oids: Sequence[int]) -> Mapping[int, int]:
        """Lock again what each session has locked, which cannot wait."""
        wanted = set(oids)
        asked: list[list[int]] = []
        for share in self._shares:
            asked.append(sorted(wanted & share))
            wanted -= share
        statements = [
            session.constant(_relations(some).as_string(None).encode("ascii"))
            for session, some in zip(self._sessions, asked, strict=True)
        ]
        for line in "\n".join(self._each(statements)).split():
            oid, blocks, size, filenode, by_blocks = line.split("|")
            self.relations[int(oid)] = (int(blocks), int(size), int(filenode), by_blocks == "t")
        return {oid: facts[1] for oid, facts in self.relations.items()}

    def release(self) -> None:
        """Release all that is held; repeating it is harmless."""
        self._each([session.constant(b"ROLLBACK") for session in self._sessions])

    def _each(self, commands: Sequence[bytes]) -> list[str]:
        """Have every session work at the same time; raises the first error after all are done."""
        for session, command in zip(self._sessions, commands, strict=True):
            session.send(command)
        answers: list[str] = []
        errors: list[psycopg.Error] = []
        for session in self._sessions:
            try:
                answers.append(session.answer())
            except psycopg.Error as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers


def _relations(oids: Sequence[int]) -> sql.Composed:
    chosen = sql.Literal("{" + ",".join(map(str, oids)) + "}")
    return sql.SQL("{} WHERE class.oid = ANY ({}::pg_catalog.oid[])").format(
        sql.SQL(query("relations")), chosen
    )
