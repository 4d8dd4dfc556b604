"""The reference engine: one pg_dump, while a session of ours counts every table beside it."""

from __future__ import annotations

import time
from itertools import accumulate
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, read_toc
from pgvow.engine.pg_dump import dump_failure
from pgvow.engine.protocol import FilledArchive
from pgvow.errors import BackupFailed
from pgvow.postgres.process import RunningTool
from pgvow.postgres.snapshot import LockTableFullError, hold_snapshot, lock_table_steps
from pgvow.postgres.sql import query
from pgvow.postgres.witness import Witness
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.engine.pg_dump import DumpCommand
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import CatalogTable, Deadline, HeldSnapshot, SelectedTables
    from pgvow.progress import Progress
    from pgvow.spool import OpenedFile

_NAME = "pg_dump"
_POLL_SECONDS = 0.05
_PROGRESS_SECONDS = 0.5


class Reference:
    """Fills an archive by pg_dump itself; ``monitor`` is a session that reads its progress."""

    def __init__(
        self,
        command: DumpCommand,
        monitor: Session,
        progress: Progress,
        *,
        chosen: SelectedTables | None = None,
    ) -> None:
        self._command = command
        self._monitor = monitor
        self._progress = progress
        self._chosen = chosen
        self._locked = True

    def dump(self, archive: OpenedFile, *, deadline: Deadline) -> FilledArchive:
        """Fill the open file; raises the errors of ``Engine.dump``, but not LockTableFullError."""
        try:
            return self._dump(archive, deadline)
        except LockTableFullError as full:
            if not self._locked:
                raise BackupFailed(
                    str(full), facts=self._command.target.facts, steps=lock_table_steps()
                ) from None
        self._locked = False  # no room for our locks beside pg_dump's, which have to do
        return self.dump(archive, deadline=deadline)

    def _dump(self, archive: OpenedFile, deadline: Deadline) -> FilledArchive:
        target = self._command.target
        with (
            hold_snapshot(
                target,
                deadline=deadline,
                warn=self._progress.warn,
                locked=self._locked,
                chosen=self._chosen,
            ) as held,
            Witness(target, held) as witness,
        ):
            self._run_pg_dump(held, archive, witness)
            return FilledArchive(_NAME, witness.facts(), held.facts)

    def _run_pg_dump(self, held: HeldSnapshot, archive: OpenedFile, witness: Witness) -> None:
        """Run ``pg_dump -Fc --snapshot=ID`` to its end; an error of the witness ends it."""
        argv = self._command.argv(held, f"--file={archive.for_programs}")
        environment = self._command.environment(held)
        copying = _CopyProgress(
            held.tables, archive, monitor=self._monitor, progress=self._progress
        )
        archive.empty()
        # Not by redirecting standard output: 16 and newer then append a second table of contents,
        # and the first one never has the offsets of the data.
        with RunningTool(argv, env=environment, stdout=DEVNULL, pass_fds=[archive.fd]) as tool:
            locked = False
            next_update = 0.0
            while (ended := tool.poll(_POLL_SECONDS)) is None:
                witness.check()
                # pg_dump writes the first byte after it has read the schema, all locks taken.
                if not locked and archive.size:
                    locked = True
                    witness.dump_holds_locks()
                if locked and time.monotonic() >= next_update:
                    copying.update()
                    next_update = time.monotonic() + _PROGRESS_SECONDS
        if ended.returncode != 0:
            raise dump_failure(ended, self._command, directory=archive.directory)
        witness.dump_holds_locks()
        for line in ended.stderr.splitlines():
            self._progress.warn(line)


class _CopyProgress:
    """Computes progress from pg_dump's table of contents and the server's view of its COPY.

    pg_dump writes its table of contents before the first row, so the order of the tables is known;
    ``pg_stat_progress_copy`` names the table that is being copied; everything before it is done.
    An error of either leaves the progress as it was, and never fails the backup.
    """

    def __init__(
        self,
        tables: Sequence[CatalogTable],
        archive: OpenedFile,
        *,
        monitor: Session,
        progress: Progress,
    ) -> None:
        self._sizes = {table.oid: table.size_bytes for table in tables if table.has_rows}
        self._total = sum(self._sizes.values())
        self._archive = archive
        self._monitor = monitor
        self._progress = progress
        self._before: dict[int, int] = {}
        self._done = 0

    def update(self) -> None:
        """Report the bytes that are done."""
        self._before = self._before or self._sizes_before()
        oid, copied = self._copying()
        if oid in self._before:
            done = self._before[oid] + min(copied, self._sizes.get(oid, 0))
            self._done = max(self._done, done)
        self._progress.update(Step(Phase.DUMP, self._done, self._total))

    def _sizes_before(self) -> dict[int, int]:
        """Map each table to the bytes of those before it; empty while pg_dump still plans."""
        try:
            with self._archive.reader() as file:
                order = [entry.oid for entry in read_toc(file).table_data]
        except (OSError, ArchiveError):
            return {}
        sizes = [self._sizes.get(oid, 0) for oid in order]
        return dict(zip(order, accumulate(sizes, initial=0), strict=False))

    def _copying(self) -> tuple[int, int]:
        """Return the oid of the table being copied and the bytes of it, or zeros."""
        try:
            row = self._monitor.execute(query("copy_progress")).fetchone()
        except psycopg.Error:
            return (0, 0)
        return (0, 0) if row is None else (int(row[0]), int(row[1]))
