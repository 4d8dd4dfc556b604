"""The server that a backup is proven on: a throw-away one, or one that the user names."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.errors import CannotBeProven, NoSpace
from pgvow.operations.core.choose_pg_restore import major_of, pg_restore_of_major
from pgvow.operations.core.fill import FEWEST_JOBS, default_jobs
from pgvow.operations.throwaway_programs import lent_vectors, programs_for_archive
from pgvow.postgres.binaries import find_installations
from pgvow.postgres.pg_restore import ProofTools
from pgvow.postgres.reachable_server import DsnServer, open_session
from pgvow.postgres.restorer import ENGLISH, is_superuser
from pgvow.postgres.server import address_of
from pgvow.postgres.throwaway import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Metadata
    from pgvow.operations.context import Context
    from pgvow.postgres.connection import Session
    from pgvow.postgres.server import Address

_SETTINGS = {
    # No checkpoint during the restore: the files need not survive the server.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
}
_PARALLEL = "max_parallel_maintenance_workers"
_MOST_HELPERS = 2
_ENOUGH = 2
"""Sizes of the source's tables that a restored database needs, for indexes and their sorting."""
_LOCKS_OF_CONNECTIONS = 100
"""max_connections' default: the lock table has so many times its setting."""
_LEAST_LOCKS = 64
_CONNECTIONS = "max_connections"
_LEAST_CONNECTIONS = 100
# Each worker restores, compares, and dumps a schema for reference; our own sessions come on top.
_CONNECTIONS_A_WORKER = 3


@dataclass(frozen=True, slots=True)
class ProveOptions:
    """The options of one proof.

    ``on`` is the connection string of a server to prove it on, instead of a throw-away one;
    ``jobs`` is the number of workers that restore, at least 2, by default one a processor;
    ``pg_bin`` is the directory of PostgreSQL's programs, None: those that are found.
    """

    on: str | None = field(default=None, repr=False)  # there may be a password in it
    jobs: int | None = None
    pg_bin: Path | None = None

    @property
    def workers(self) -> int:
        """The number of workers that restore."""
        return max(FEWEST_JOBS, self.jobs or default_jobs())


@dataclass(frozen=True, slots=True)
class ProofServer:
    """A running server, its tools, and one of its databases to connect to.

    ``folder`` has the files of a throw-away one; ``make_pipe`` makes a pipe that it writes into.
    ``address`` is that of one that the user named.
    """

    tools: ProofTools
    database: str
    version: str
    description: str
    is_throwaway: bool
    folder: Path | None = None
    make_pipe: Callable[[], Path] | None = None
    address: Address | None = None


@contextmanager
def proof_server(
    toc: TableOfContents, options: ProveOptions, context: Context
) -> Iterator[ProofServer]:
    """Provide a server for an archive, no older than the pg_dump that made it.

    Raises ToolUnsuitable if programs are missing, ConnectionFailed, CannotBeProven.
    """
    pg_bin, environ = options.pg_bin, context.environ
    if options.on is not None:
        yield _given(toc, DsnServer(options.on), pg_bin, environ)
        return
    made_by = major_of(toc.header.pg_dump_version)
    installation = programs_for_archive(made_by, pg_bin=pg_bin, environ=environ)
    settings = {
        **_SETTINGS,
        **_locks(toc),
        **_helpers(options.workers),
        _CONNECTIONS: str(_LEAST_CONNECTIONS + _CONNECTIONS_A_WORKER * options.workers),
    }
    # libpq's variables are the user's, for another server.
    outside = {name: text for name, text in environ.items() if not name.startswith("PG")}
    vectors = lent_vectors(installation, environ)
    with ThrowawayServer(installation.bin, settings=settings, vectors=vectors) as server:
        yield ProofServer(
            tools=ProofTools(installation, server, outside),
            database="postgres",
            version=installation.version,
            description=f"a throw-away PostgreSQL {installation.version} ({installation.bin})",
            is_throwaway=True,
            folder=server.data_directory,
            make_pipe=server.make_pipe,
        )


def _locks(toc: TableOfContents) -> dict[str, str]:
    """Make room in the lock table: pg_dump locks every table, and a restore every large object."""
    needed = 3 * len(toc.entries) // _LOCKS_OF_CONNECTIONS
    return {"max_locks_per_transaction": str(_LEAST_LOCKS + needed)}


def _helpers(workers: int) -> dict[str, str]:
    """Set as many parallel workers for each index as there are processors to spare.

    Without spare processors they made a restore slower by a fifth.
    """
    spare = (os.cpu_count() or 1) // workers - 1
    return {_PARALLEL: str(max(0, min(_MOST_HELPERS, spare)))}


def require_space(server: ProofServer, metadata: Metadata, *, warn: Callable[[str], None]) -> None:
    """Raise NoSpace if a throw-away server has less room than the tables had at the source.

    Indexes come on top, of an unknown size: ``warn`` is called if the room may not suffice.
    """
    if server.folder is None:
        return
    tables = sum(table.size_bytes for table in metadata.tables)
    objects = metadata.large_objects.bytes if metadata.large_objects else 0
    needed = max(tables + objects, metadata.backup_size_bytes)
    free = shutil.disk_usage(server.folder).free
    if free < needed:
        raise NoSpace(
            f"a restore needs {needed:,} bytes at least, and {free:,} are free in {server.folder}",
            steps=[
                "Name a larger disk: TMPDIR=/path pgvow prove FILE",
                "Or prove it on another server: pgvow prove FILE --on DSN",
            ],
        )
    if free < _ENOUGH * needed:
        warn(
            f"{free:,} bytes are free for the restore: enough for the tables ({needed:,}),"
            " perhaps not for their indexes"
        )


def _given(
    toc: TableOfContents, place: DsnServer, pg_bin: Path | None, environ: Mapping[str, str]
) -> ProofServer:
    with open_session(place, place.database) as session:
        version = session.info.parameter_status("server_version") or ""
        address = address_of(session)
        _ask_for_english(session, place)
    made_by = toc.header.pg_dump_version
    if major_of(version) < major_of(made_by):
        raise CannotBeProven(
            f"the server is PostgreSQL {version}, older than the pg_dump {made_by} of the archive",
            steps=["Prove it on a newer server, or on a throw-away one: without --on"],
        )
    installations = find_installations(pg_bin=pg_bin, environ=environ)
    installation = pg_restore_of_major(installations, major_of(version))
    return ProofServer(
        tools=ProofTools(installation, place, environ),
        database=place.database,
        version=version.split()[0],
        description=f"PostgreSQL {version} at {address}",
        is_throwaway=False,
        address=address,
    )


def _ask_for_english(session: Session, place: DsnServer) -> None:
    """Set the server's messages to English for the tools, if we may: they are parsed.

    Only a superuser may; with this option the connection of any other role would be refused.
    """
    if not is_superuser(session):
        return
    given = (
        next((each.val for each in session.pgconn.info if each.keyword == b"options"), None) or b""
    )
    place.options = f"{given.decode()} {ENGLISH}".strip()
