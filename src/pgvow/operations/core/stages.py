"""The stages of bringing a backup into an empty database, which ``restore`` and ``prove`` share.

``CheckedBackup`` → ``FilledDatabase`` → ``ComparedDatabase`` (``core.compare``): each is frozen,
and made of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Metadata
    from pgvow.operations.core.fill import Filling
    from pgvow.operations.core.set_aside import Condition
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import RestoreError, ServerTools
    from pgvow.postgres.restorer import Restorer
    from pgvow.recovery import LoosenedObject
    from pgvow.store import StoredBackup


def open_restored(tools: ServerTools, dbname: str) -> Session:
    """Open a session in a database that is restored, with an empty search_path.

    Operators that the backup has in ``public`` could take the place of the catalog's in our own
    queries, and run with our rights.
    """
    session = tools.open(dbname)
    session.execute("SET client_encoding TO UTF8")
    session.execute("SET search_path TO ''")
    return session


@dataclass(frozen=True, slots=True)
class CheckedBackup:
    """The first stage: a backup that a server can take; nothing has been made there yet.

    ``stored`` is at hand, for pg_restore reads its dump many times. ``entries`` are those to
    restore; they may name other owners than the dump does, and then ``owners_later`` is set.
    ``tools`` connect as the role that was asked to restore.
    """

    stored: StoredBackup
    metadata: Metadata
    toc: TableOfContents
    entries: tuple[TocEntry, ...]
    tools: ServerTools
    owners_later: bool = False


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """A refusal of the server; ``entry`` is None if it is not certain which one it is of.

    ``ends`` is set if nothing was restored after it: the surroundings failed, or the program.
    """

    entry: TocEntry | None
    error: RestoreError
    ends: bool = False


@dataclass(frozen=True, slots=True)
class RetriedEntry:
    """An entry that failed first and was restored later; ``manner`` is the difference, in words."""

    entry: TocEntry
    manner: str


@dataclass(frozen=True, slots=True)
class LoosenedEntry:
    """An entry in a looser form, and the statements that make it whole.

    ``rejected`` are files of rows that no table took, with their number.
    """

    entry: TocEntry
    shown: LoosenedObject
    finish: tuple[str, ...]
    rejected: Path | None = None
    rejected_rows: int = 0
    is_left_out: bool = False
    condition: Condition | None = None
    sqlstate: str | None = None

    def names(self) -> Iterator[str]:
        """Yield the names, as entries of a schema have them, of all that has another form."""
        yield self.entry.shown
        if self.condition is not None:
            name = f"{self.condition.schema}.{self.condition.name}"
            yield from (f"TABLE {name}", f"DOMAIN {name}")
            yield f"{kinds.CHECK_CONSTRAINT} {name} {self.condition.part}"
        for place, letter in enumerate(self.entry.tag):
            if letter == " " and self.entry.desc == kinds.CONSTRAINT:
                yield f"{kinds.INDEX} {self.entry.namespace}.{self.entry.tag[place + 1 :]}"


@dataclass(frozen=True, slots=True)
class FilledDatabase:
    """The second stage: a database that has all entries but those of ``failures``."""

    filling: Filling
    failures: tuple[FailedEntry, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RestorerTools:
    """The role that restores in the place of a superuser, and the tools that connect as it.

    One fills one database: the end of a filling takes all its grants, in every database.
    """

    name: str
    tools: ServerTools

    @classmethod
    def of(cls, restorer: Restorer | None, tools: ServerTools) -> RestorerTools | None:
        """Let a role restore on the server that the tools are for; None without a role."""
        return cls(restorer.name, tools.as_role(restorer)) if restorer else None
