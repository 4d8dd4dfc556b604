"""The names that a restore uses, and how the restored database gets its own.

A database is restored under a temporary name, with a comment that says what it is to become, and
renamed when it is whole and has been compared. So whenever we die, what stands under the final name
is whole; what we leave is known by name and comment, and the next restore into that name clears it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import RestoreFailed
from pgvow.postgres.databases import Renaming, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pgvow.postgres.databases import ConnectedSession, DatabaseName, Databases
    from pgvow.postgres.statements import Statement

_MOMENT = "%Y%m%dT%H%M%SZ"
_MOMENT_PATTERN = r"\d{8}T\d{6}Z"
_TERMINATING_SECONDS = 60.0
_WAITING_SECONDS = 30.0
"""How long to try for a moment in which nobody is connected, without ending anyone."""
_SESSIONS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Names:
    """What one restore calls the database: at first, at last, if it differs, and the old one."""

    final: str
    temporary: str
    differs: str
    before: str

    @classmethod
    def at(cls, database: str, now: datetime) -> Names:
        """Make up the names of a restore that begins now."""
        moment = now.strftime(_MOMENT)
        return cls(
            final=database,
            temporary=shortened(database, f"_pgvow_{moment}"),
            differs=shortened(database, f"_differs_{moment}"),
            before=shortened(database, f"_before_{moment}"),
        )

    @property
    def comment(self) -> str:
        """What the comment of the temporary database says."""
        return f"pgvow: being restored, to become {self.final}"


def _pattern(database: str, infix: str) -> re.Pattern[str]:
    moment = "0" * len("20260101T000000Z")
    stem = shortened(database, f"_{infix}_{moment}").removesuffix(moment)
    return re.compile(re.escape(stem) + _MOMENT_PATTERN)


def claim(databases: Databases, database: str, *, warn: Callable[[str], None]) -> None:
    """Take the lock of restores into a name, and drop what dead ones left of it.

    Raises RestoreFailed where another restore into it is under way.
    """
    if not databases.lock(database):
        raise RestoreFailed(
            f"another restore into {database} is under way on this server",
            facts=databases.target.facts,
            steps=["Wait until it ends, then run this command again"],
        )
    temporary = _pattern(database, "pgvow")
    marked = Names(database, "", "", "").comment
    for left in databases.all():
        if not temporary.fullmatch(left.name):
            continue
        if left.comment == marked:
            databases.drop(left.name)
            warn(f"dropped {left.name}, which a restore into {database} left when it died")
        else:
            warn(
                f"{left.name} may be of a restore into {database} that died;"
                f" if it is nobody's: dropdb {left.name}"
            )


def refuse_existing(databases: Databases, database: str) -> None:
    """Raise RestoreFailed where the database exists: a restore never goes into one."""
    everything = databases.all()
    if all(one.name != database for one in everything):
        return
    raise RestoreFailed(
        f"the database {database} exists, and is left as it is",
        facts={**databases.target.facts, **_earlier(database, everything)},
        steps=[
            "Restore into a new one: --to ANOTHER_NAME",
            (
                "Or put the restored one in its place when it is whole, and keep the old one under"
                " a dated name: --swap"
            ),
        ],
    )


def _earlier(database: str, everything: Sequence[DatabaseName]) -> dict[str, str]:
    """Name the databases that earlier swaps replaced: a swap whose report was lost took place."""
    before = _pattern(database, "before")
    names = [one.name for one in everything if before.fullmatch(one.name)]
    return {"Swapped out before": ", ".join(names)} if names else {}


def refuse_connected(
    databases: Databases, database: str, *, terminate: bool
) -> tuple[ConnectedSession, ...]:
    """Say who is connected to a database; raises RestoreFailed unless they may be ended."""
    sessions = databases.sessions(database)
    if sessions and not terminate:
        raise RestoreFailed(
            f"{len(sessions)} sessions are connected to {database}: {told(sessions)}",
            facts=databases.target.facts,
            steps=[
                f"Stop what uses {database}, then run this command again",
                "Or end the sessions at the moment of the swap: --terminate",
            ],
        )
    return sessions


def told(sessions: Sequence[ConnectedSession]) -> str:
    """Name some sessions, and how many more there are."""
    shown = [str(session) for session in sessions[:_SESSIONS_SHOWN]]
    more = len(sessions) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])


def set_aside(databases: Databases, names: Names) -> None:
    """Give a restored database that differs a name that says so."""
    renaming = Renaming(((names.temporary, names.differs),), None)
    databases.rename_together(renaming, seconds=_WAITING_SECONDS)


def put_in_place(
    databases: Databases, names: Names, comment: Statement | None, *, swap: bool, terminate: bool
) -> int:
    """Give the restored database its name, in place of the old one where ``swap`` says so.

    Returns how many sessions were ended. Raises RestoreFailed, and then no name has changed.
    """
    new = (names.temporary, names.final)
    if not swap:
        return databases.rename_together(Renaming((new,), comment), seconds=_WAITING_SECONDS)
    renaming = Renaming(
        ((names.final, names.before), new), comment, names.final if terminate else None
    )
    seconds = _TERMINATING_SECONDS if terminate else _WAITING_SECONDS
    return databases.rename_together(renaming, seconds=seconds)
