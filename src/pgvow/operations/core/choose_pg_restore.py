"""Choose the pg_restore that fits an archive and a server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.errors import RestoreFailed, ToolUnsuitable
from pgvow.postgres.binaries import install_steps
from pgvow.postgres.majors import TRANSACTION_TIMEOUT_SINCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgvow.postgres.binaries import Installation

_MAJOR = re.compile(r"[0-9]+")


def major_of(version: str) -> int:
    """Return 15 for ``15.18 (Debian 15.18-1)``, 18 for ``18beta1``, 0 if there is no number."""
    match = _MAJOR.match(version)
    return int(match[0]) if match else 0


def choose_pg_restore(
    installations: Iterable[Installation], *, server_major: int, made_by: int
) -> Installation:
    """Choose a pg_restore that reads the archive and writes commands that the server knows.

    The server's own major is preferred, then an older one, then a newer one. Raises RestoreFailed
    if the server is older than the pg_dump that made the archive, ToolUnsuitable if no pg_restore
    fits.
    """
    if server_major < made_by:
        raise RestoreFailed(
            f"the archive was made by pg_dump {made_by}, and the server is PostgreSQL"
            f" {server_major}: it may not understand what stands in the archive",
            steps=[f"Restore into a server of PostgreSQL {made_by} or newer"],
        )
    installations = tuple(installations)
    fitting = [
        each
        for each in installations
        if each.major >= made_by
        and (each.major <= server_major or _speaks_alike(each.major, server_major))
    ]
    if not fitting:
        raise ToolUnsuitable(
            f"no pg_restore fits an archive of pg_dump {made_by}"
            f" and a PostgreSQL {server_major} server",
            facts={"Found": _named(installations)},
            steps=install_steps(server_major),
        )
    return min(fitting, key=lambda each: (abs(each.major - server_major), each.major))


def pg_restore_of_major(installations: Iterable[Installation], major: int) -> Installation:
    """Choose the pg_restore of just this major; raises ToolUnsuitable if there is none.

    Newer ones set parameters that the server does not know.
    """
    installations = tuple(installations)
    for installation in installations:
        if installation.major == major:
            installation.program("pg_restore")
            return installation
    raise ToolUnsuitable(
        f"a pg_restore of major {major} is needed, the server's own",
        facts={"Found": _named(installations)},
        steps=install_steps(major),
    )


def _named(installations: Iterable[Installation]) -> str:
    return ", ".join(f"{each.version} in {each.bin}" for each in installations)


def _speaks_alike(newer: int, server_major: int) -> bool:
    since = TRANSACTION_TIMEOUT_SINCE
    return (newer >= since) == (server_major >= since)
