"""Rows of a report on the time that a recovery takes, and on the things that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.cli.words import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.model import Evidence
    from pgvow.recovery import RecoveryNeeds, RecoveryTime


def recovery_rows(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield labels and values of the recovery that a proof measured; none of older proofs."""
    if evidence.recovery is not None:
        yield "Recovery", _time(evidence.recovery)
    if evidence.needs is not None:
        yield "Needs", "; ".join(_needs(evidence.needs))


def _time(time: RecoveryTime) -> str:
    database = f"{size(time.database_bytes)}, " if time.database_bytes else ""
    place = "without fsync" if time.throwaway else "on the server named"
    return (
        f"about {duration(time.estimated_seconds)} on a machine like this, compared and all"
        f" ({database}{counted(time.jobs, 'worker')}, {place})"
    )


def _needs(needs: RecoveryNeeds) -> Iterator[str]:
    yield f"PostgreSQL {needs.postgresql_major} or newer"
    yield needs.encoding
    if needs.icu:
        yield "ICU"
    if needs.database_bytes:
        yield f"{size(needs.database_bytes)} of disk"
    if needs.superuser:
        yield "a superuser"
    lists = {
        "extensions not of PostgreSQL's own": [
            each.name for each in needs.extensions if not each.contrib
        ],
        "preloaded": needs.preload_libraries,
        "tablespaces": [each.name for each in needs.tablespaces],
        "roles not kept": [role.name for role in needs.roles if not role.globals],
    }
    yield from (f"{label}: {', '.join(names)}" for label, names in lists.items() if names)
