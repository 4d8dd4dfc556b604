"""The time that a recovery takes, and the things that it needs, as a proof records them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """The seconds of a recovery by its parts, as one proof measured them, and of how much.

    ``estimated_seconds`` is the restore and the comparison one after the other, as ``pgvow
    restore`` does them, on a machine like the one of the proof. ``stages`` has the seconds of each
    stage of the restore. The comparison ran beside the building of indexes. ``jobs`` workers
    restored, and the machine of pgvow has so many ``processors``; a ``throwaway`` server runs there
    too, without fsync. ``database_bytes`` is the size of the restored database, None if the server
    did not say.
    """

    estimated_seconds: float
    stages: Mapping[str, float]
    compare_seconds: float
    jobs: int
    processors: int
    throwaway: bool
    rows: int
    dump_bytes: int
    database_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NeededExtension:
    """An extension; ``version`` is that of the server of the proof: a dump names none.

    ``contrib``: it comes with PostgreSQL itself.
    """

    name: str
    contrib: bool
    version: str | None = None


@dataclass(frozen=True, slots=True)
class NeededRole:
    """A role; ``archive``: it owns or was granted something there; ``globals``: it is kept."""

    name: str
    archive: bool
    globals: bool


@dataclass(frozen=True, slots=True)
class NeededTablespace:
    """A tablespace; ``location`` is the source's directory, None if it was not kept."""

    name: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class RecoveryNeeds:
    """The things that a server needs before a backup can be restored on it.

    ``postgresql_major`` is the oldest server, ``pg_restore_major`` the oldest program. ``icu``:
    the server is built with ICU. ``superuser_for`` has the kinds of objects that only a superuser
    restores; without any, ``superuser`` is false. ``database_bytes`` is the size of the restored
    database as measured, else of the source's; None if neither is known.
    """

    postgresql_major: int
    pg_restore_major: int
    encoding: str
    locale: Mapping[str, str]
    icu: bool
    superuser: bool
    superuser_for: tuple[str, ...]
    extensions: tuple[NeededExtension, ...]
    roles: tuple[NeededRole, ...]
    tablespaces: tuple[NeededTablespace, ...]
    preload_libraries: tuple[str, ...]
    dump_bytes: int
    database_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LoosenedObject:
    """An object that cannot be restored as it was, though the rows are back.

    ``reason`` is the server's; ``instead`` is the state that it has in the restored database, in
    words. ``rows`` is the number of rows that break its rule, and ``query`` lists them; both are
    None if that cannot be told by a query.
    """

    name: str
    reason: str
    instead: str
    rows: int | None = None
    query: str | None = None
