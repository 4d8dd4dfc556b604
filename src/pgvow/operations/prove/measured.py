"""The parts of a proof that tell of a recovery: seconds, sizes, versions, as they become known."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from pgvow.operations.core.needs import needs_of
from pgvow.postgres.sql import query
from pgvow.recovery import RecoveryTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgvow.operations.core.compare import ComparedDatabase
    from pgvow.operations.prove.run import ProofRequest
    from pgvow.postgres.connection import Session
    from pgvow.recovery import NeededRole, RecoveryNeeds

_MOST_ROLES = 1000


@dataclass(slots=True)
class Measured:
    """Filled during one proof; a server that does not answer leaves a value as it was."""

    compare_seconds: float = 0.0
    database_bytes: int | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def comparing(self, session: Session) -> Iterator[None]:
        """Take the time of the block, and the versions of the extensions of a session's database.

        There is no event trigger yet, which might act on another session.
        """
        with suppress(psycopg.Error):
            self.versions = dict(session.execute(query("extensions")).fetchall())
        started = time.monotonic()
        yield
        self.compare_seconds = time.monotonic() - started

    def size(self, session: Session, dbname: str) -> None:
        """Ask for the size of a database, in a session into another one."""
        with suppress(psycopg.Error):
            row = session.execute(query("database_bytes"), {"name": dbname}).fetchone()
            self.database_bytes = int(row[0]) if row else None


def recovery_time(
    request: ProofRequest, compared: ComparedDatabase, *, throwaway: bool
) -> RecoveryTime | None:
    """Return the time that a recovery takes; None if not everything was restored and compared."""
    filled, comparison, measured = compared.filled, compared.comparison, request.measured
    if filled.failures or comparison is None:
        return None
    return RecoveryTime(
        estimated_seconds=round(filled.seconds + measured.compare_seconds, 3),
        stages={stage.value: round(each, 3) for stage, each in filled.filling.seconds.items()},
        compare_seconds=round(measured.compare_seconds, 3),
        jobs=request.options.workers,
        processors=os.cpu_count() or 1,
        throwaway=throwaway,
        rows=comparison.rows,
        dump_bytes=request.metadata.backup_size_bytes,
        database_bytes=measured.database_bytes,
    )


def recovery_needs(request: ProofRequest) -> RecoveryNeeds:
    """Return the things that the restore of a backup needs, with all that its proof measured.

    Of very many roles, those that the archive names come first: each proof has them, and listing
    reads every proof.
    """
    needs = needs_of(
        request.backup,
        request.metadata,
        request.toc,
        versions=request.measured.versions,
        database_bytes=request.measured.database_bytes,
    )
    return replace(needs, roles=first_roles(needs.roles))


def first_roles(roles: Sequence[NeededRole]) -> tuple[NeededRole, ...]:
    """Return the roles that a proof keeps, those of the archive before the others of the server."""
    return tuple(sorted(roles, key=lambda role: (not role.archive, role.name))[:_MOST_ROLES])
