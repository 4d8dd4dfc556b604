"""Where a backup is proven: a throw-away server, or one that the user names."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.errors import CannotBeProven, NoSpace, ToolUnsuitable
from pgvow.operations.server_programs import lent_vectors, programs_for_archive
from pgvow.postgres.binaries import find_installations, install_steps
from pgvow.postgres.pg_restore import Tools
from pgvow.postgres.proof_server import GivenServer, open_session
from pgvow.postgres.restorer import ENGLISH
from pgvow.postgres.throwaway import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Metadata
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session

_SETTINGS = {
    # No checkpoint comes between: what the server writes need not survive it.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
}
_PARALLEL = "max_parallel_maintenance_workers"
_MOST_HELPERS = 2
# What a restored database needs, in sizes of the source's tables: indexes, and sorting for them.
_ROOMY = 2
_LOCKS_OF_CONNECTIONS = (
    100  # max_connections' default: the lock table has so many times its setting
)
_LEAST_LOCKS = 64
_CONNECTIONS = "max_connections"
_LEAST_CONNECTIONS = 100
# Each worker restores, compares, and dumps a schema for reference; and then there is us.
_CONNECTIONS_A_WORKER = 3
_MOST_JOBS = 8
_LEAST_JOBS = 2  # a serial pg_restore refills the free space of earlier pages: another order


@dataclass(frozen=True, slots=True)
class ProveOptions:
    """What may be chosen for one proof.

    ``on`` is the connection string of a server to prove it on, instead of a throw-away one;
    ``jobs`` how many workers restore, 2 at least, by default as many as there are processors.
    """

    on: str | None = field(default=None, repr=False)  # there may be a password in it
    jobs: int | None = None

    @property
    def workers(self) -> int:
        """How many workers restore."""
        return max(_LEAST_JOBS, self.jobs or min(os.cpu_count() or 1, _MOST_JOBS))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A server that is there, its tools, and a database of it that sessions can be opened to.

    ``folder`` is where a throw-away one has its files, ``log`` its log; ``make_pipe`` makes a pipe
    that it writes into.
    """

    tools: Tools
    database: str
    version: str
    description: str
    is_throwaway: bool
    folder: Path | None = None
    make_pipe: Callable[[], Path] | None = None
    log: Path | None = None


@contextmanager
def chosen_place(
    toc: TableOfContents,
    options: ProveOptions,
    *,
    pg_bin: Path | None,
    environ: Mapping[str, str],
) -> Iterator[Chosen]:
    """Provide a server for an archive, no older than the pg_dump that made it.

    Raises ToolUnsuitable where programs are missing, ConnectionFailed, CannotBeProven.
    """
    if options.on is not None:
        yield _given(toc, GivenServer(options.on), pg_bin, environ)
        return
    made_by = _major(toc.header.pg_dump_version)
    installation = programs_for_archive(made_by, pg_bin=pg_bin, environ=environ)
    settings = {
        **_SETTINGS,
        **_locks(toc),
        **_helpers(options.workers),
        _CONNECTIONS: str(_LEAST_CONNECTIONS + _CONNECTIONS_A_WORKER * options.workers),
    }
    # libpq's variables are the user's, and mean another server.
    outside = {name: text for name, text in environ.items() if not name.startswith("PG")}
    vectors = lent_vectors(installation, environ)
    with ThrowawayServer(installation.bin, settings=settings, vectors=vectors) as server:
        yield Chosen(
            tools=Tools(installation, server, outside),
            database="postgres",
            version=installation.version,
            description=f"a throw-away PostgreSQL {installation.version} ({installation.bin})",
            is_throwaway=True,
            folder=server.data_directory,
            make_pipe=server.make_pipe,
            log=server.log_path,
        )


def _locks(toc: TableOfContents) -> dict[str, str]:
    """Make room in the lock table: pg_dump locks every table, and a restore every large object."""
    needed = 3 * len(toc.entries) // _LOCKS_OF_CONNECTIONS
    return {"max_locks_per_transaction": str(_LEAST_LOCKS + needed)}


def _helpers(workers: int) -> dict[str, str]:
    """Let what builds an index have helpers only where there are processors to spare.

    Where there are none they made a restore slower by a fifth.
    """
    spare = (os.cpu_count() or 1) // workers - 1
    return {_PARALLEL: str(max(0, min(_MOST_HELPERS, spare)))}


def require_space(chosen: Chosen, metadata: Metadata, *, warn: Callable[[str], None]) -> None:
    """Raise NoSpace where a throw-away server has less room than the tables had at the source.

    Indexes come on top, of a size that nobody knows: ``warn`` where it could become tight.
    """
    if chosen.folder is None:
        return
    tables = sum(table.size_bytes for table in metadata.tables)
    objects = metadata.large_objects.bytes if metadata.large_objects else 0
    needed = max(tables + objects, metadata.backup_size_bytes)
    free = shutil.disk_usage(chosen.folder).free
    if free < needed:
        raise NoSpace(
            f"a restore needs {needed:,} bytes at least, and {free:,} are free in {chosen.folder}",
            steps=[
                "Name a larger disk: TMPDIR=/path pgvow prove FILE",
                "Or prove it on another server: pgvow prove FILE --on DSN",
            ],
        )
    if free < _ROOMY * needed:
        warn(
            f"{free:,} bytes are free for the restore: enough for the tables ({needed:,}),"
            " perhaps not for their indexes"
        )


def _given(
    toc: TableOfContents, place: GivenServer, pg_bin: Path | None, environ: Mapping[str, str]
) -> Chosen:
    with open_session(place, place.database) as session:
        version = session.info.parameter_status("server_version") or ""
        host = session.info.host
        _ask_for_english(session, place)
    made_by = toc.header.pg_dump_version
    if _major(version) < _major(made_by):
        raise CannotBeProven(
            f"the server is PostgreSQL {version}, older than the pg_dump {made_by} of the archive",
            steps=["Prove it on a newer server, or on a throw-away one: without --on"],
        )
    installation = _of_major(_major(version), pg_bin, environ)
    return Chosen(
        tools=Tools(installation, place, environ),
        database=place.database,
        version=version.split()[0],
        description=f"PostgreSQL {version} at {host}",
        is_throwaway=False,
    )


def _ask_for_english(session: Session, place: GivenServer) -> None:
    """Have the server speak English to the tools, where we may: what it refuses is read.

    Only a superuser may; for anybody else the option would refuse the connection.
    """
    if session.info.parameter_status("is_superuser") != "on":
        return
    given = next((one.val for one in session.pgconn.info if one.keyword == b"options"), None) or b""
    place.options = f"{given.decode()} {ENGLISH}".strip()


def _of_major(major: int, pg_bin: Path | None, environ: Mapping[str, str]) -> Installation:
    """Find the tools of just this major: newer ones set what it does not know."""
    found = find_installations(pg_bin=pg_bin, environ=environ)
    for installation in found:
        if installation.major == major:
            installation.program("pg_restore")
            return installation
    raise ToolUnsuitable(
        f"a pg_restore of major {major} is needed, the server's own",
        facts={"Found": ", ".join(f"{one.version} in {one.bin}" for one in found)},
        steps=install_steps(major),
    )


def _major(version: str) -> int:
    """Return 15 for ``15.18 (Debian 15.18-1)``."""
    digits = re.match(r"[0-9]+", version)
    return int(digits[0]) if digits else 0
