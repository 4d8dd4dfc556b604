"""pg_restore: which one, how it is run, and how far it has come."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import NoSpace, RestoreFailed, ToolUnsuitable
from pgvow.postgres.binaries import install_steps
from pgvow.postgres.connection import watch_for_our_death
from pgvow.postgres.databases import on_database
from pgvow.postgres.process import Tool
from pgvow.postgres.sql import query
from pgvow.progress import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvow.model import Metadata
    from pgvow.operations.restore_list import Selection
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session, Target
    from pgvow.postgres.process import Ended
    from pgvow.progress import Progress

PHASE = "restoring"
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_LONGEST_CAUSE = 4000
# From 17 on pg_restore begins with SET transaction_timeout, which older servers do not know.
_TRANSACTION_TIMEOUT_SINCE = 17
_MAJOR = re.compile(r"\d+")


def major_of(version: str) -> int:
    """The major version: 15 for ``15.18``, 18 for ``18beta1``."""
    match = _MAJOR.match(version)
    return int(match[0]) if match else 0


def choose_pg_restore(
    installations: Iterable[Installation], *, server_major: int, made_by: int
) -> Installation:
    """Choose a pg_restore that reads the archive and writes what the server understands.

    The server's own major is preferred, then an older one, then a newer one. Raises RestoreFailed
    where the server is older than the pg_dump that made the archive, ToolUnsuitable where there is
    no pg_restore that fits.
    """
    if server_major < made_by:
        raise RestoreFailed(
            f"the archive was made by pg_dump {made_by}, and the server is PostgreSQL"
            f" {server_major}: it may not understand what stands in the archive",
            steps=[f"Restore into a server of PostgreSQL {made_by} or newer"],
        )
    found = list(installations)
    fitting = [
        one
        for one in found
        if one.major >= made_by
        and (one.major <= server_major or _speaks_alike(one.major, server_major))
    ]
    if not fitting:
        have = ", ".join(f"{one.version} in {one.bin}" for one in found)
        raise ToolUnsuitable(
            f"no pg_restore fits an archive of pg_dump {made_by}"
            f" and a PostgreSQL {server_major} server",
            facts={"Found": have},
            steps=install_steps(server_major),
        )
    return min(fitting, key=lambda one: (abs(one.major - server_major), one.major))


def _speaks_alike(newer: int, server_major: int) -> bool:
    since = _TRANSACTION_TIMEOUT_SINCE
    return (newer >= since) == (server_major >= since)


@dataclass(frozen=True, slots=True)
class PgRestore:
    """Runs pg_restore into one database, in a way that keeps the order of rows."""

    target: Target
    installation: Installation
    jobs: int
    schema_only: bool = False
    no_owner: bool = False

    def run(self, archive: Path, selection: Selection, watch: RowsWatch) -> None:
        """Restore what is selected; raises RestoreFailed at the first error."""
        environment = self.installation.environment(
            self.target.tool_environment(notice_our_death=True)
        )
        with tempfile.TemporaryDirectory(prefix="pgvow-restore-") as folder:
            listed = Path(folder) / "list"
            listed.write_text(selection.text(), encoding="ascii")
            with Tool(self._argv(archive, listed), env=environment, stdout=DEVNULL) as tool:
                while (ended := tool.poll(_POLL_SECONDS)) is None:
                    watch.look()
        if ended.returncode != 0:
            raise self._failure(ended)
        for line in ended.stderr.splitlines():
            watch.progress.warn(line)

    def _argv(self, archive: Path, listed: Path) -> list[str]:
        return [
            str(self.installation.program("pg_restore")),
            "--exit-on-error",
            "--no-password",
            *self._order_keeping(),
            *(["--schema-only"] if self.schema_only else []),
            *(["--no-owner"] if self.no_owner else []),
            f"--use-list={listed}",
            f"--dbname={self.target.conninfo('pgvow restore')}",
            str(archive.absolute()),
        ]

    def _order_keeping(self) -> Sequence[str]:
        """A plain serial restore moves rows: the free space map refills earlier pages."""
        return ["--single-transaction"] if self.jobs == 1 else [f"--jobs={self.jobs}"]

    def _failure(self, ended: Ended) -> RestoreFailed | NoSpace:
        cause = ended.stderr[-_LONGEST_CAUSE:] or f"pg_restore ended with {ended.returncode}"
        facts = {
            **self.target.facts,
            "pg_restore": f"{self.installation.version} in {self.installation.bin}",
        }
        if "No space left on device" in cause:
            return NoSpace(cause, facts=facts, steps=["See what fills the server's disk: df -h"])
        return RestoreFailed(cause, facts=facts, steps=_steps(cause))


def _steps(cause: str) -> list[str]:
    """Steps by what pg_restore said; it quotes the server, which may speak any language."""
    if "role " in cause and "does not exist" in cause:
        return role_steps()
    if "max_locks_per_transaction" in cause:
        return ["Restore with --jobs 2 or more: --jobs 1 locks all tables in one transaction"]
    if "CREATE EXTENSION" in cause:
        return ["Install the extension's package on the server, of the same major as the server"]
    return [
        "Read what pg_restore said above: it names the object and the statement",
        (
            "A function that leans on search_path fails under the empty one of a restore: write"
            " its schema into it, or ALTER FUNCTION … SET search_path, and back up again"
        ),
        "What was half restored has been dropped; nothing else was touched",
    ]


def role_steps() -> list[str]:
    """Steps when a role that the archive names is not there."""
    return [
        "Create the roles that were kept beside the dump: --globals",
        "Or give what they own to other roles: --owner-map FILE, a line old=new each",
        "Or let everything belong to the role that restores: --no-owner (grants are kept)",
    ]


class RowsWatch:
    """Tells how many of the rows are there, from what the server says of itself.

    A failure to find out is never a failure of the restore.
    """

    def __init__(
        self, session: Session, database: str, metadata: Metadata, progress: Progress
    ) -> None:
        self.progress = progress
        self._session = session
        self._database = database
        self._rows = sum(table.rows for table in metadata.tables)
        self._bytes = sum(table.bytes or table.size_bytes for table in metadata.tables)
        self._next = 0.0
        self._done = 0

    def look(self) -> None:
        """Find out how far it is and tell, twice a second at most."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        try:
            row = self._session.execute(
                query("restore_progress"), {"name": self._database}
            ).fetchone()
        except psycopg.Error:
            return
        self._done = min(max(self._done, row[0] if row else 0), self._rows)
        share = self._done / self._rows if self._rows else 0
        detail = f"{self._done:,} of {self._rows:,} rows"
        self.progress.update(Step(PHASE, int(self._bytes * share), self._bytes, detail))


def open_restored(target: Target, name: str) -> Session:
    """Open a session in a database that was restored; the server notices if we die."""
    session = on_database(target, name).open("restore")
    watch_for_our_death(session)
    session.execute("SET client_encoding TO UTF8")
    return session
