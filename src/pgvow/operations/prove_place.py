"""Where a backup is proven: a throw-away server, or one that the user names."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import CannotBeProven, ToolUnsuitable
from pgvow.operations.server_programs import lent_vectors, programs_for_archive
from pgvow.postgres.binaries import find_installations, install_steps
from pgvow.postgres.restoring import Tools
from pgvow.postgres.scratch_database import GivenServer, open_session
from pgvow.postgres.throwaway import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.postgres.binaries import Installation

_SETTINGS = {
    # No checkpoint comes between: what the server writes need not survive it.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
}
_LOCKS_OF_CONNECTIONS = (
    100  # max_connections' default: the lock table has so many times its setting
)
_LEAST_LOCKS = 64


@dataclass(frozen=True, slots=True)
class Chosen:
    """A server that is there, its tools, and a database of it that sessions can be opened to."""

    tools: Tools
    database: str
    version: str
    description: str
    is_throwaway: bool


@contextmanager
def chosen_place(
    toc: TableOfContents,
    *,
    on: str | None,
    pg_bin: Path | None,
    environ: Mapping[str, str],
) -> Iterator[Chosen]:
    """Provide a server for an archive, no older than the pg_dump that made it.

    Raises ToolUnsuitable where programs are missing, ConnectionFailed, CannotBeProven.
    """
    if on is not None:
        yield _given(toc, GivenServer(on), pg_bin, environ)
        return
    made_by = _major(toc.header.pg_dump_version)
    installation = programs_for_archive(made_by, pg_bin=pg_bin, environ=environ)
    settings = {**_SETTINGS, **_locks(toc), **lent_vectors(installation, environ)}
    # libpq's variables are the user's, and mean another server.
    outside = {name: text for name, text in environ.items() if not name.startswith("PG")}
    with ThrowawayServer(installation.bin, settings=settings) as server:
        yield Chosen(
            tools=Tools(installation, server, outside),
            database="postgres",
            version=installation.version,
            description=f"a throw-away PostgreSQL {installation.version} ({installation.bin})",
            is_throwaway=True,
        )


def _locks(toc: TableOfContents) -> dict[str, str]:
    """Make room in the lock table: pg_dump locks every table, and a restore every large object."""
    needed = 2 * len(toc.entries) // _LOCKS_OF_CONNECTIONS
    return {"max_locks_per_transaction": str(_LEAST_LOCKS + needed)}


def _given(
    toc: TableOfContents, place: GivenServer, pg_bin: Path | None, environ: Mapping[str, str]
) -> Chosen:
    with open_session(place, place.database) as session:
        version = session.info.parameter_status("server_version") or ""
        host = session.info.host
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
