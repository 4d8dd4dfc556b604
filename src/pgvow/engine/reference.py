"""The reference engine: one pg_dump, while a session of ours counts every table beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.engine.filled import Filled
from pgvow.engine.pg_dump import PgDump
from pgvow.errors import BackupFailed
from pgvow.postgres.snapshot import LockTableFullError, hold_snapshot, lock_table_steps
from pgvow.postgres.witness import Witness

if TYPE_CHECKING:
    from pgvow.engine.command import DumpCommand
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import Chosen, Deadline
    from pgvow.progress import Progress
    from pgvow.spool import OpenedFile


class Reference:
    """Fills an archive by pg_dump itself; ``monitor`` is any session of ours."""

    name = PgDump.name

    def __init__(
        self,
        command: DumpCommand,
        monitor: Session,
        progress: Progress,
        *,
        chosen: Chosen | None = None,
    ) -> None:
        self._command = command
        self._engine = PgDump(command, monitor, progress)
        self._progress = progress
        self._chosen = chosen
        self._locked = True

    def dump(self, archive: OpenedFile, *, deadline: Deadline) -> Filled:
        """Lock, take a snapshot, and fill the open file ``archive``.

        Raises BeginAnewError, LockNotGranted, BackupFailed, NoSpace, AccessDenied.
        """
        try:
            return self._dump(archive, deadline)
        except LockTableFullError as full:
            if not self._locked:
                raise BackupFailed(
                    str(full), facts=self._command.target.facts, steps=lock_table_steps()
                ) from None
        self._locked = False  # the two of us are too many: pg_dump's own locks have to do
        return self.dump(archive, deadline=deadline)

    def _dump(self, archive: OpenedFile, deadline: Deadline) -> Filled:
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
            self._engine.fill(
                held, archive, on_locked=witness.dump_holds_locks, check=witness.check
            )
            return Filled(witness.facts(), snapshot=held.facts)
