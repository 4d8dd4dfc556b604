"""What pg_dump meant by its end: our own errors, by its words and its signal."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from pgvow.errors import (
    AccessDenied,
    BackupFailed,
    ConnectionFailed,
    NoSpace,
    NothingMatches,
    PgvowError,
    ToolUnsuitable,
)
from pgvow.postgres.binaries import install_steps
from pgvow.postgres.next_steps import connection_steps
from pgvow.postgres.snapshot import BeginAnewError, LockTableFullError
from pgvow.postgres.tool_stderr import without_statement
from pgvow.postgres.wide_rows import RowTooWideError, is_too_wide, row_too_wide

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.engine.command import DumpCommand
    from pgvow.postgres.process import Ended

_LONGEST_LINE = 500  # pg_dump quotes its LOCK TABLE with the names of thousands of tables
# pg_dump's and libpq's own words: their language is ours to set, the server's is not.
_NOTHING_MATCHES = "error: no matching "
_NOT_CONNECTED = "error: connection to server "
_NOT_BUILT_WITH = "this build does not support compression"
_DISK_FULL = ("No space left on device", "Disk quota exceeded")
# "Command was: COPY public.t (a, b) TO stdout;", or a query of the same through a filter.
_PART = r'(?:"(?:[^"]|"")+"|[^\s".(]+)'
_COPIED = re.compile(r"\bCOPY (?:\(SELECT .* FROM (?:ONLY )?)?" + rf"({_PART}\.{_PART})")  # noqa: S608 - read, not run
_FILE_TOO_LARGE = "File too large"


def dump_failure(ended: Ended, command: DumpCommand, *, directory: Path | None = None) -> Exception:
    """Make of what pg_dump ended with what it means; ``directory`` is where it wrote."""
    text = _shortened(ended.stderr) or f"pg_dump ended with status {ended.returncode}"
    facts = command.facts()
    if full := _full(ended, text, directory):
        return full
    # The server's message may be in any language; what it quotes of statements and settings
    # is not.
    if "max_locks_per_transaction" in text:
        return LockTableFullError(text)
    if _NOTHING_MATCHES in text:
        return NothingMatches(text, facts=facts, steps=["Check the patterns: -n, -t and the like"])
    if cause := _too_wide(text, command) or _before_any_statement(text, command):
        return cause
    denied = "permission denied" in text
    if "LOCK TABLE" in text and not denied:
        return BeginAnewError(text)
    kind: type[PgvowError] = AccessDenied if denied else BackupFailed
    return kind(text, facts=facts, steps=_failure_steps(text))


def _too_wide(text: str, command: DumpCommand) -> PgvowError | None:
    """Name the table whose COPY met a row that is too long, and the row."""
    copied = _COPIED.search(text)
    if copied is None or not is_too_wide(text):
        return None
    wide = RowTooWideError(copied[1], without_statement(text))
    return row_too_wide(command.target, wide)


def _before_any_statement(text: str, command: DumpCommand) -> PgvowError | None:
    facts = command.facts()
    if _NOT_BUILT_WITH in text:
        return ToolUnsuitable(text, facts=facts, steps=_other_build_steps(command))
    if _NOT_CONNECTED in text:
        steps = connection_steps(text, command.target.connection)
        return ConnectionFailed(text, facts=facts, steps=steps)
    return None


def _other_build_steps(command: DumpCommand) -> list[str]:
    return [
        "Use gzip: --compress gzip",
        f"Or install programs that have it: {install_steps(command.installation.major)[0]}",
    ]


def _full(ended: Ended, text: str, directory: Path | None) -> NoSpace | None:
    facts = {"Directory": str(directory)} if directory else {}
    if ended.returncode == -signal.SIGXFSZ or _FILE_TOO_LARGE in text:
        return NoSpace(
            "the dump reached the largest size that a file may have here",
            facts=facts,
            steps=[
                "See the limit on a file's size: ulimit -f, and that of the file system",
                "Or choose another directory: --output-dir DIR",
            ],
        )
    if any(words in text for words in _DISK_FULL):
        return NoSpace(text, facts=facts, steps=disk_full_steps())
    return None


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
    if "permission denied for large object" in text:
        return [
            (
                "Let the role read it: GRANT SELECT ON LARGE OBJECT … TO the_role (pg_read_all_data"
                " does not cover large objects)"
            ),
            "See how many it may not read: pgvow doctor",
        ]
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
