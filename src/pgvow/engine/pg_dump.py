"""The reference engine: pg_dump itself, one process, in the snapshot that we hold."""

from __future__ import annotations

import os
import signal
import time
from subprocess import DEVNULL
from typing import TYPE_CHECKING

from pgvow.engine.copying import CopyProgress
from pgvow.errors import AccessDenied, BackupFailed, NoSpace, NothingMatches, PgvowError
from pgvow.postgres.process import Tool
from pgvow.postgres.snapshot import BeginAnewError, LockTableFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pgvow.engine.command import DumpCommand
    from pgvow.postgres.connection import Session
    from pgvow.postgres.process import Ended
    from pgvow.postgres.snapshot import HeldSnapshot
    from pgvow.progress import Progress

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_LONGEST_LINE = 500  # pg_dump quotes its LOCK TABLE with the names of thousands of tables
_NOTHING_MATCHES = "error: no matching "  # pg_dump's own words, and its language is ours to set
_DISK_FULL = ("No space left on device", "File too large", "Disk quota exceeded")


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
            raise dump_failure(ended, self._command.facts())
        on_locked()
        for line in ended.stderr.splitlines():
            self._progress.warn(line)


def dump_failure(ended: Ended, facts: Mapping[str, str]) -> Exception:
    """Make of what pg_dump ended with what it means."""
    text = _shortened(ended.stderr) or f"pg_dump ended with status {ended.returncode}"
    if ended.returncode == -signal.SIGXFSZ or any(words in text for words in _DISK_FULL):
        return NoSpace(text, facts=facts, steps=disk_full_steps())
    # The server's message may be in any language; what it quotes of statements and settings
    # is not.
    if "max_locks_per_transaction" in text:
        return LockTableFullError(text)
    if _NOTHING_MATCHES in text:
        return NothingMatches(text, facts=facts, steps=["Check the patterns: -n, -t and the like"])
    denied = "permission denied" in text
    if "LOCK TABLE" in text and not denied:
        return BeginAnewError(text)
    kind: type[PgvowError] = AccessDenied if denied else BackupFailed
    return kind(text, facts=facts, steps=_failure_steps(text))


def _shortened(text: str) -> str:
    """Cut long lines."""
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
        for line in text.splitlines()
    )


def disk_full_steps() -> list[str]:
    """Steps when the disk is full."""
    return [
        "See what fills the disk: df -h, then du -sh * | sort -h",
        "Remove backups that are no longer needed, or choose another disk: --output-dir",
        "What was half written has been removed; earlier backups are untouched",
    ]


def _failure_steps(text: str) -> list[str]:
    if "permission denied" in text or "row-level security" in text:
        return [
            "Let the role read everything: GRANT pg_read_all_data TO the_role",
            "Where row security hides rows from it: ALTER ROLE the_role BYPASSRLS",
        ]
    if "SET TRANSACTION SNAPSHOT" in text:
        return [
            "Name one server as the host: what stands there sends each connection to another",
            "Then run it again: earlier backups are untouched",
        ]
    if "conflict with recovery" in text:
        return [
            (
                "On a standby, let queries finish: raise max_standby_streaming_delay there,"
                " or set hot_standby_feedback = on"
            ),
            "Or back up the primary instead",
        ]
    return [
        "Read what pg_dump said above; the server's log has the other half",
        "Check that the server still runs: pg_isready",
        "Then run it again: earlier backups are untouched",
    ]
