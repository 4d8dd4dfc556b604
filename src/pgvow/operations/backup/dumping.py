"""Have an engine fill the archive: which one, from which tables, and as often as it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pgvow.archive import ArchiveError, read_toc
from pgvow.engine.failure import disk_full_steps
from pgvow.engine.parallel import Parallel
from pgvow.engine.reference import Reference
from pgvow.engine.selecting import choose_tables
from pgvow.errors import (
    BackupFailed,
    LockNotGranted,
    NoSpace,
    NothingMatches,
    PgvowError,
    ToolUnsuitable,
)
from pgvow.model import Compress
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
    from pgvow.engine.command import DumpCommand
    from pgvow.engine.filled import Filled
    from pgvow.model import TableFacts
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import Chosen
    from pgvow.progress import Progress
    from pgvow.store import OpenedFile

_DISK_IS_FULL = 64 << 10
"""With fewer bytes free than this, a file that is cut short was cut by the disk."""


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """How to dump: ``jobs`` workers, by the parallel engine or by pg_dump itself.

    ``selection`` are options of pg_dump's that say what is dumped and what is not. ``statistics``
    asks for the planner's statistics too, which pg_dump has from 18 on.
    """

    parallel: bool = False
    jobs: int = 1
    compress: Compress = Compress()  # noqa: RUF009 - frozen
    selection: tuple[str, ...] = ()
    statistics: bool = False


class Engine(Protocol):
    """A way to fill an archive from a snapshot that it takes itself."""

    @property
    def name(self) -> str:
        """What the metadata calls it."""

    def dump(self, archive: OpenedFile, *, deadline: Deadline) -> Filled:
        """Fill the file; raises BeginAnewError where a migration got in between."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """An archive that is there, and the name of the engine that filled it."""

    filled: Filled
    engine: str


@dataclass(frozen=True, slots=True)
class Dumping:
    """One dump to be made; ``session`` is the run's own, ``free_bytes`` asks the disk."""

    command: DumpCommand
    session: Session
    options: DumpOptions
    lock_wait_timeout: float
    free_bytes: Callable[[], int]
    progress: Progress

    def run(self, archive: OpenedFile) -> Dumped:
        """Dump and count in one snapshot, beginning anew while migrations get in between."""
        deadline = Deadline.after(self.lock_wait_timeout)
        parallel = self.options.parallel and self._can_be_parallel()
        while True:
            self.progress.update(Step(Phase.LOCK))
            try:
                return self._dump(self._engine(parallel=parallel), archive, deadline)
            except LockTableFullError as full:
                if not parallel:  # it was too small for pg_dump to say what it would take
                    raise BackupFailed(
                        str(full), facts=self.command.target.facts, steps=lock_table_steps()
                    ) from None
                self.progress.warn(
                    "the server's lock table is too small for several workers"
                    " (max_locks_per_transaction): using pg_dump alone"
                )
                parallel = False
                # It may come late, and the first lock that is refused is then no reason to end.
                deadline = Deadline.after(self.lock_wait_timeout)
            except BeginAnewError as queued:
                if deadline.passed:
                    raise LockNotGranted(
                        f"a table stayed locked for {deadline.seconds:g} s: {queued}",
                        facts=self.command.target.facts,
                        steps=lock_steps(),
                    ) from None

    def _dump(self, engine: Engine, archive: OpenedFile, deadline: Deadline) -> Dumped:
        """Dump once, and see that the archive has what was counted."""
        try:
            filled = engine.dump(archive, deadline=deadline)
            toc = filled.contents.toc if filled.contents else self._whole_toc(archive)
            same_tables(filled.facts, toc)
        except (NothingMatches, TablesDifferError) as differ:
            if self.options.selection:  # chosen before the locks: it has grown old meanwhile
                raise BeginAnewError(differ.cause) from None
            raise
        return Dumped(filled, engine.name)

    def _engine(self, *, parallel: bool) -> Engine:
        chosen: Chosen | None = None
        if self.options.selection:
            chosen = choose_tables(self.command)
        if parallel:
            return Parallel(
                self.command,
                self.session,
                self.progress,
                workers=self.options.jobs,
                chosen=chosen,
            )
        return Reference(self.command, self.session, self.progress, chosen=chosen)

    def _can_be_parallel(self) -> bool:
        """See that there is a psql; without one pg_dump does it alone."""
        try:
            self.command.installation.program("psql")
        except ToolUnsuitable as missing:
            self.progress.warn(f"{missing.cause}: using pg_dump alone")
            return False
        return True

    def _whole_toc(self, archive: OpenedFile) -> TableOfContents:
        """Read the table of contents, and see that it was written again, with the offsets.

        Where its last buffer does not fit on the disk, pg_dump passes over that: it writes no
        offsets, leaves a file that is cut short, and ends with success.
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
        what = f"what was written is not whole: {complaint}"
        if self.free_bytes() < _DISK_IS_FULL:
            return NoSpace(
                what, facts={"Directory": str(archive.directory)}, steps=disk_full_steps()
            )
        return BackupFailed(
            what, steps=["Check the disk: df -h, dmesg | tail", "Then run it again"]
        )


class TablesDifferError(BackupFailed):
    """The archive has other tables than those that were counted."""


def same_tables(facts: Mapping[int, TableFacts], toc: TableOfContents) -> None:
    """Make sure that the archive has the rows of just those tables that were counted."""
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
