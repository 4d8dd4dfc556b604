"""Run pg_dump: its command line, its table of contents alone, and the errors that it ends with."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass
from subprocess import PIPE
from typing import TYPE_CHECKING

from pgvow.archive import Compression, Head, IncompleteArchive, kinds
from pgvow.errors import (
    AccessDenied,
    BackupFailed,
    ConnectionFailed,
    NoSpace,
    NothingMatches,
    PgvowError,
    ToolUnsuitable,
)
from pgvow.model import Compress
from pgvow.postgres.binaries import install_steps
from pgvow.postgres.next_steps import connection_steps
from pgvow.postgres.process import RunningTool
from pgvow.postgres.snapshot import BeginAnewError, LockTableFullError, SelectedTables
from pgvow.postgres.tool_stderr import without_statement
from pgvow.postgres.wide_rows import RowTooWideError, is_too_wide, row_too_wide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import ConnectionTarget
    from pgvow.postgres.process import ToolExit
    from pgvow.postgres.snapshot import HeldSnapshot

LOCK_WAIT_SECONDS = 2
"""How long pg_dump may wait for a lock before everything is released and begun anew.

A TRUNCATE or ALTER that queues between our lock and pg_dump's makes pg_dump wait behind it, while
it waits for us: no deadlock that the server could detect, so it has to be short.
"""
_DEFAULT_COMPRESS = Compress()
_FIRST_WITH_CHOICE = 16
_GZIP_DEFAULT = 6


@dataclass(frozen=True, slots=True)
class DumpCommand:
    """pg_dump of an installation, for a target; ``selection`` are options that include or exclude.

    ``encoding`` is the database's own, for a run without a snapshot of ours. ``statistics`` are the
    planner's.
    """

    target: ConnectionTarget
    installation: Installation
    compress: Compress = _DEFAULT_COMPRESS
    selection: Sequence[str] = ()
    encoding: str | None = None
    statistics: bool = False

    def argv(self, held: HeldSnapshot | None, *extra: str) -> list[str]:
        """Compose its arguments for a snapshot; None lets it take one of its own."""
        watched = held is not None and held.watched
        return [
            str(self.installation.program("pg_dump")),
            "--format=custom",
            compress_option(self.compress, self.installation),
            "--no-password",
            *self.selection,
            *(["--statistics"] if self.statistics else ()),
            *extra,
            *self._in_own_encoding(held),
            *([f"--snapshot={held.id}"] if held else ()),
            f"--lock-wait-timeout={LOCK_WAIT_SECONDS * 1000}",
            "--dbname=" + self.target.conninfo("pgvow dump", notice_our_death=watched),
        ]

    def environment(self, held: HeldSnapshot | None) -> dict[str, str]:
        """Compose its environment, which has the password."""
        watched = held is not None and held.watched
        return self.installation.environment(self.target.tool_environment(notice_our_death=watched))

    def facts(self) -> dict[str, str]:
        """Return the facts for an error: those of the target, and the version."""
        return {**self.target.facts, "pg_dump": self.installation.version}

    def _in_own_encoding(self, held: HeldSnapshot | None) -> list[str]:
        # A client_encoding set for the database or its role cannot hold everything, names included.
        encoding = self.encoding
        if held:
            encoding = held.session.info.parameter_status("server_encoding")
        return [f"--encoding={encoding}"] if encoding else []


def compress_option(compress: Compress, installation: Installation) -> str:
    """Return pg_dump's option for a compression; raises ToolUnsuitable if it has none.

    The pg_restore of the same installation must be able to read the archive.
    """
    level = _GZIP_DEFAULT if compress.level is None else compress.level
    if compress.algorithm is Compression.NONE:
        return "--compress=0"
    if compress.algorithm is Compression.GZIP:
        return f"--compress={level}"
    if installation.major < _FIRST_WITH_CHOICE:
        raise ToolUnsuitable(
            f"pg_dump and pg_restore {installation.version} know nothing of {compress.algorithm}:"
            f" it came with {_FIRST_WITH_CHOICE}",
            steps=[
                "Use gzip: --compress gzip",
                f"Or install newer programs: {install_steps(_FIRST_WITH_CHOICE)[0]}",
            ],
        )
    name = str(compress.algorithm)
    return f"--compress={name}" if compress.level is None else f"--compress={name}:{compress.level}"


_PAUSES = (0.1, 0.3)
_OF_ITS_END = ("pg_dump: terminated", "pg_dump: error")
_TABLES = {kinds.TABLE, kinds.TABLE_DATA, kinds.FOREIGN_TABLE}


def read_head(command: DumpCommand, held: HeldSnapshot | None) -> tuple[Head, list[str]]:
    """Have pg_dump write its table of contents alone; return it, and the lines of its warnings.

    Raises BeginAnewError, LockTableFullError, BackupFailed, AccessDenied, ArchiveError.
    """
    with RunningTool(command.argv(held), env=command.environment(held), stdout=PIPE) as tool:
        try:
            head = Head.read(tool.stdout)
        except IncompleteArchive:
            raise dump_failure(tool.wait(), command) from None
    lines = tool.take_complaints().splitlines()  # some about its end, which we caused
    return head, [line for line in lines if not line.startswith(_OF_ITS_END)]


def choose_tables(command: DumpCommand) -> SelectedTables:
    """Return the tables that pg_dump chooses by its own options, from its table of contents.

    Raises NothingMatches only after several attempts: a table that others are replacing is for an
    instant neither the one that its snapshot knows nor visible.
    """
    for pause in _PAUSES:
        try:
            return _chosen(command)
        except NothingMatches:
            time.sleep(pause)
    return _chosen(command)


def _chosen(command: DumpCommand) -> SelectedTables:
    toc = read_head(command, None)[0].toc
    return SelectedTables(
        locked=frozenset(entry.oid for entry in toc.entries if entry.desc in _TABLES),
        copied=frozenset(entry.oid for entry in toc.table_data),
    )


_LONGEST_LINE = 500  # pg_dump quotes its LOCK TABLE with the names of thousands of tables
# pg_dump's and libpq's own words: their language is ours to set, the server's is not.
_NOTHING_MATCHES = "error: no matching "
_NOT_CONNECTED = "error: connection to server "
_NOT_BUILT_WITH = "this build does not support compression"
_DISK_FULL = ("No space left on device", "Disk quota exceeded")
# "Command was: COPY public.t (a, b) TO stdout;", or a filtered query of the same table.
_PART = r'(?:"(?:[^"]|"")+"|[^\s".(]+)'
_COPIED = re.compile(r"\bCOPY (?:\(SELECT .* FROM (?:ONLY )?)?" + rf"({_PART}\.{_PART})")  # noqa: S608 - read, not run
_FILE_TOO_LARGE = "File too large"


def dump_failure(
    ended: ToolExit, command: DumpCommand, *, directory: Path | None = None
) -> Exception:
    """Return the error that a pg_dump has ended with; it wrote into ``directory``."""
    text = _shortened(ended.stderr) or f"pg_dump ended with status {ended.returncode}"
    facts = command.facts()
    if full := _full(ended, text, directory):
        return full
    # The server's message may be in any language; names of settings and statements are not.
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
    """Return the error for a row that is too long for COPY, with its table; else None."""
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


def _full(ended: ToolExit, text: str, directory: Path | None) -> NoSpace | None:
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
    """Return a text with its long lines cut."""
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
        for line in text.splitlines()
    )


def disk_full_steps() -> list[str]:
    """Return the steps for a full disk."""
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
