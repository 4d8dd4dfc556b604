"""Choose an engine, and have it fill the archive, as often as migrations get in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import ArchiveError, read_toc
from pgvow.engine.parallel import Parallel
from pgvow.engine.pg_dump import choose_tables, disk_full_steps
from pgvow.engine.reference import Reference
from pgvow.errors import (
    BackupFailed,
    LockNotGranted,
    NoSpace,
    NothingMatches,
    PgvowError,
    ToolUnsuitable,
)
from pgvow.postgres.snapshot import (
    BeginAnewError,
    Deadline,
    LockTableFullError,
    lock_steps,
    lock_table_steps,
)
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgvow.archive import TableOfContents
    from pgvow.engine.pg_dump import DumpCommand
    from pgvow.engine.protocol import DumpOptions, Engine, FilledArchive
    from pgvow.model import RecordedTable
    from pgvow.postgres.connection import Session
    from pgvow.progress import Progress
    from pgvow.spool import OpenedFile

_DISK_IS_FULL = 64 << 10
"""With fewer bytes free than this, a file that is cut short was cut by the disk."""


@dataclass(frozen=True, slots=True)
class Dumping:
    """A dump to make; ``session`` is the caller's, ``free_bytes`` returns the disk's free bytes."""

    command: DumpCommand
    session: Session
    options: DumpOptions
    lock_wait_timeout: float
    free_bytes: Callable[[], int]
    progress: Progress

    def run(self, archive: OpenedFile) -> FilledArchive:
        """Dump and count in one snapshot, beginning anew while migrations get in between.

        Without a psql, and if the server's lock table is too small for several workers, pg_dump
        does it alone. Raises the errors of ``Engine.dump`` that are final.
        """
        deadline = Deadline.after(self.lock_wait_timeout, self.progress.warn)
        parallel = self.options.parallel and self._can_be_parallel()
        while True:
            self.progress.update(Step(Phase.LOCK))
            try:
                return self._dump(self._engine(parallel=parallel), archive, deadline)
            except LockTableFullError as full:
                if not parallel:  # too small for pg_dump even to list its tables
                    raise BackupFailed(
                        str(full), facts=self.command.target.facts, steps=lock_table_steps()
                    ) from None
                self.progress.warn(
                    "the server's lock table is too small for several workers"
                    " (max_locks_per_transaction): using pg_dump alone"
                )
                parallel = False
                # The error may come late: the first lock refused after it must not end the run.
                deadline = Deadline.after(self.lock_wait_timeout, self.progress.warn)
            except BeginAnewError as queued:
                if deadline.passed:
                    raise LockNotGranted(
                        f"a table stayed locked for {deadline.seconds:g} s: {queued}",
                        facts={**self.command.target.facts, **deadline.watch.facts},
                        steps=lock_steps(deadline.watch),
                    ) from None

    def _dump(self, engine: Engine, archive: OpenedFile, deadline: Deadline) -> FilledArchive:
        """Dump once, and check that the archive has the tables that were counted."""
        try:
            filled = engine.dump(archive, deadline=deadline)
            toc = filled.contents.toc if filled.contents else self._whole_toc(archive)
            same_tables(filled.facts, toc)
        except (NothingMatches, TablesDifferError) as differ:
            if self.options.selection:  # chosen before the locks: tables may have changed since
                raise BeginAnewError(differ.cause) from None
            raise
        return filled

    def _engine(self, *, parallel: bool) -> Engine:
        chosen = choose_tables(self.command) if self.options.selection else None
        if parallel:
            jobs = self.options.jobs
            return Parallel(self.command, self.session, self.progress, workers=jobs, chosen=chosen)
        return Reference(self.command, self.session, self.progress, chosen=chosen)

    def _can_be_parallel(self) -> bool:
        """Return whether there is a psql, without which pg_dump does it alone."""
        try:
            self.command.installation.program("psql")
        except ToolUnsuitable as missing:
            self.progress.warn(f"{missing.cause}: using pg_dump alone")
            return False
        return True

    def _whole_toc(self, archive: OpenedFile) -> TableOfContents:
        """Read the table of contents, and check that it was written again, with the offsets.

        If its last buffer does not fit on the disk, pg_dump ignores that: it writes no offsets,
        leaves a file that is cut short, and ends with success.
        """
        try:
            with archive.reader() as file:
                toc = read_toc(file)
        except ArchiveError as error:
            raise self._cut_short(archive, str(error)) from error
        if any(entry.data_offset is None for entry in toc.with_data):
            raise self._cut_short(archive, "its table of contents does not say where the data is")
        return toc

    def _cut_short(self, archive: OpenedFile, complaint: str) -> PgvowError:
        cause = f"what was written is not whole: {complaint}"
        if self.free_bytes() < _DISK_IS_FULL:
            facts = {"Directory": str(archive.directory)}
            return NoSpace(cause, facts=facts, steps=disk_full_steps())
        steps = ["Check the disk: df -h, dmesg | tail", "Then run it again"]
        return BackupFailed(cause, steps=steps)


class TablesDifferError(BackupFailed):
    """Raised if the archive has other tables than those that were counted."""


def same_tables(facts: Mapping[int, RecordedTable], toc: TableOfContents) -> None:
    """Raise TablesDifferError unless the archive has the rows of the tables that were counted."""
    dumped = {entry.oid: entry.name for entry in toc.table_data}
    counted = {oid: table.key for oid, table in facts.items()}
    if dumped.keys() == counted.keys():
        return
    uncounted = [name for oid, name in dumped.items() if oid not in counted]
    undumped = [name for oid, name in counted.items() if oid not in dumped]
    raise TablesDifferError(
        "the archive and the count do not have the same tables"
        + (f"; in the archive only: {', '.join(uncounted)}" if uncounted else "")
        + (f"; counted only: {', '.join(undumped)}" if undumped else ""),
        steps=["Run it again; if it happens again, please report it with these names"],
    )
