"""The reference engine: pg_dump itself, one process, in the snapshot that we hold."""

from __future__ import annotations

import os
import time
from subprocess import DEVNULL
from typing import TYPE_CHECKING

from pgvow.engine.copying import CopyProgress
from pgvow.engine.failure import dump_failure
from pgvow.postgres.process import Tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pgvow.engine.command import DumpCommand
    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import HeldSnapshot
    from pgvow.progress import Progress

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
        archive: Path,
        *,
        on_locked: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        """Fill the file ``archive``, which exists, from the snapshot.

        ``on_locked`` is called once pg_dump holds all its locks; ``check`` again and again, and
        what it raises ends pg_dump. Raises BeginAnewError, LockTableFullError, BackupFailed,
        NoSpace, AccessDenied.
        """
        argv = self._command.argv(held, f"--file={archive.absolute()}")
        environment = self._command.environment(held)
        copying = CopyProgress(held.tables, archive, monitor=self._monitor, progress=self._progress)
        os.truncate(archive, 0)
        # Not by redirecting standard output: 16 and newer then append a second table of contents,
        # and the first one never learns where the data lies.
        with Tool(argv, env=environment, stdout=DEVNULL) as tool:
            locked = False
            next_look = 0.0
            while (ended := tool.poll(_POLL_SECONDS)) is None:
                check()
                # pg_dump writes the first byte after it has read the schema, all locks taken.
                if not locked and archive.stat().st_size:
                    locked = True
                    on_locked()
                if locked and time.monotonic() >= next_look:
                    copying.look()
                    next_look = time.monotonic() + _LOOK_SECONDS
        if ended.returncode != 0:
            raise dump_failure(ended, self._command, directory=archive.parent)
        on_locked()
        for line in ended.stderr.splitlines():
            self._progress.warn(line)
