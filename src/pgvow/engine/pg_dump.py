"""The reference engine: pg_dump itself, one process, in the snapshot that we hold."""

from __future__ import annotations

import time
from subprocess import DEVNULL
from typing import TYPE_CHECKING

from pgvow.engine.copying import CopyProgress
from pgvow.engine.failure import dump_failure
from pgvow.postgres.process import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgvow.engine.command import DumpCommand
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import HeldSnapshot
    from pgvow.progress import Progress
    from pgvow.spool import OpenedFile

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.5


class PgDump:
    """Runs ``pg_dump -Fc -Z 6 --snapshot=ID`` into a file, and tells how far it is."""

    name = "pg_dump"

    def __init__(self, command: DumpCommand, monitor: Session, progress: Progress) -> None:
        self._command = command
        self._monitor = monitor
        self._progress = progress

    def fill(
        self,
        held: HeldSnapshot,
        archive: OpenedFile,
        *,
        on_locked: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        """Fill the open file ``archive`` from the snapshot.

        ``on_locked`` is called once pg_dump holds all its locks; ``check`` again and again, and
        what it raises ends pg_dump. Raises BeginAnewError, LockTableFullError, BackupFailed,
        NoSpace, AccessDenied.
        """
        argv = self._command.argv(held, f"--file={archive.for_programs}")
        environment = self._command.environment(held)
        copying = CopyProgress(held.tables, archive, monitor=self._monitor, progress=self._progress)
        archive.empty()
        # Not by redirecting standard output: 16 and newer then append a second table of contents,
        # and the first one never learns where the data lies.
        with Tool(argv, env=environment, stdout=DEVNULL, pass_fds=[archive.fd]) as tool:
            locked = False
            next_look = 0.0
            while (ended := tool.poll(_POLL_SECONDS)) is None:
                check()
                # pg_dump writes the first byte after it has read the schema, all locks taken.
                if not locked and archive.size:
                    locked = True
                    on_locked()
                if locked and time.monotonic() >= next_look:
                    copying.look()
                    next_look = time.monotonic() + _LOOK_SECONDS
        if ended.returncode != 0:
            raise dump_failure(ended, self._command, directory=archive.directory)
        on_locked()
        for line in ended.stderr.splitlines():
            self._progress.warn(line)
