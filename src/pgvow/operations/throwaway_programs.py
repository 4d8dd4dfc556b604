"""The programs of a throw-away server: a local installation's, else the embedded package's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.errors import ToolUnsuitable
from pgvow.postgres.binaries import examine, find_installations
from pgvow.postgres.embedded import embedded_bin, embedded_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.postgres.binaries import Installation

_PROGRAMS = ("initdb", "postgres", "pg_dump", "pg_restore")


def find_server_programs(environ: Mapping[str, str]) -> Installation:
    """Find the newest installation that has a server: a local one, else the embedded package's.

    A folder that PGVOW_PG_BIN names must be one of PostgreSQL's, if only of its clients. Raises
    ToolUnsuitable where there is none.
    """
    whole = _local(_named(environ), environ)
    found = max(whole, key=lambda one: one.major) if whole else _embedded(environ)
    if found is None:
        raise _none("no PostgreSQL server programs (initdb, postgres) on this machine")
    return found


def programs_for_archive(
    pg_dump_major: int, *, pg_bin: Path | None, environ: Mapping[str, str]
) -> Installation:
    """Find the oldest server that can be given an archive: no older than the pg_dump that made it.

    Local ones first, else the embedded package's. Raises ToolUnsuitable where there is none.
    """
    local = [one for one in _local(pg_bin, environ) if one.major >= pg_dump_major]
    if local:
        return min(local, key=lambda one: one.major)
    embedded = _embedded(environ)
    if embedded is None or embedded.major < pg_dump_major:
        raise _none(
            f"no PostgreSQL server programs (initdb, postgres) of {pg_dump_major} or newer on this"
            " machine: a server must not be older than the pg_dump that made the archive"
        )
    return embedded


def lent_vectors(installation: Installation, environ: Mapping[str, str]) -> Path | None:
    """Find the tree whose pgvector a server may use: the embedded package's, if of its major."""
    folder = embedded_bin()
    embedded = examine(folder, environ) if folder and folder != installation.bin else None
    return embedded_vectors() if embedded and embedded.major == installation.major else None


def _named(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("PGVOW_PG_BIN")
    return Path(named) if named else None


def _local(pg_bin: Path | None, environ: Mapping[str, str]) -> list[Installation]:
    try:
        found = find_installations(pg_bin=pg_bin, environ=environ)
    except ToolUnsuitable:
        if pg_bin:
            raise
        found = ()
    return [one for one in found if all((one.bin / name).exists() for name in _PROGRAMS)]


def _embedded(environ: Mapping[str, str]) -> Installation | None:
    folder = embedded_bin()
    return examine(folder, environ) if folder else None


def _none(cause: str) -> ToolUnsuitable:
    return ToolUnsuitable(
        cause,
        steps=[
            # Not by pgvow's name: it is not published, and that name may be a stranger's.
            (
                "In a clone of pgvow, get a server in a Python package:"
                " python3 -m pip install '.[embedded]'"
            ),
            "Or install PostgreSQL: apt install postgresql, brew install postgresql@18",
        ],
    )
