"""One restore: what was asked for, what it knows and holds, and what comes of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Metadata
    from pgvow.operations.compare.database import Comparison
    from pgvow.operations.restore.list import DatabaseDefinition, Selection
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Target
    from pgvow.postgres.databases import ConnectedSession, Databases
    from pgvow.postgres.restorer import Restorer
    from pgvow.postgres.server import ServerFacts
    from pgvow.progress import Progress, Step

_LEAST_JOBS = 2
_MOST_JOBS = 8


def default_jobs() -> int:
    """As many as there are cores, but at least the two that keep the order of rows."""
    return max(_LEAST_JOBS, min(os.cpu_count() or 1, _MOST_JOBS))


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What is restored, and into what.

    ``owner_map`` maps roles of the archive to those that take their place. ``no_tablespaces`` puts
    everything into the server's default one. ``confirmed`` says that whoever asked for it knows
    that ``swap`` replaces a production database.
    """

    file: Path
    database: str
    jobs: int = field(default_factory=default_jobs)
    tables: tuple[str, ...] = ()
    schema_only: bool = False
    no_owner: bool = False
    owner_map: Mapping[str, str] = field(default_factory=dict)
    with_globals: bool = False
    no_tablespaces: bool = False
    swap: bool = False
    terminate: bool = False
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What was restored and compared.

    ``comparison`` is None where this server lacks what makes rows comparable, and ``not_compared``
    says what. ``kept_as`` is the name that the database has now which was swapped out, None where
    there was none; ``sessions`` were connected to it, ``ended`` counts those ended for the swap.
    """

    file: Path
    database: str
    metadata: Metadata
    server: ServerFacts
    pg_restore: str
    entries: int
    comparison: Comparison | None
    not_compared: str | None
    kept_as: str | None
    sessions: tuple[ConnectedSession, ...]
    ended: int
    restore_seconds: float
    seconds: float
    warnings: tuple[str, ...]


@dataclass
class Run:
    """What one run has found out and holds."""

    options: RestoreOptions
    progress: Progress
    target: Target
    databases: Databases
    server: ServerFacts
    installation: Installation
    metadata: Metadata
    toc: TableOfContents
    selection: Selection
    definition: DatabaseDefinition
    sessions: tuple[ConnectedSession, ...] = ()
    replaces: bool = False
    comparison: Comparison | None = None
    not_compared: str | None = None
    made_roles: tuple[str, ...] = ()
    restorer: Restorer | None = None
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Keep a warning for the result, and tell it now."""
        self.warnings.append(message)
        self.progress.warn(message)

    def update(self, step: Step) -> None:
        """Hand on how far the work is."""
        self.progress.update(step)
