"""The names that a restore uses, and how the restored database gets its own.

A database is restored under a temporary name, with a comment that says what it is to become, and
renamed when it is whole and has been compared. So whenever we die, what stands under the final name
is whole; what we leave is known by its name, which has a digest of the final one in it, and is
cleared by the next restore into that name.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pgvow.errors import AccessDenied, RestoreFailed
from pgvow.postgres.databases import Renaming, dropdb, shortened

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
_ENDING_SECONDS = 20.0
"""How long a server may take to notice that who was connected has died."""
_PAUSE = 0.1
_DIGEST_DIGITS = 8
_OURS = "pgvow "
"""With what the application_name of our sessions begins, and of the tools that we run."""


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
            temporary=shortened(database, f"_{_marked(database)}_{moment}"),
            differs=shortened(database, f"_differs_{moment}"),
            before=shortened(database, f"_before_{moment}"),
        )

    @classmethod
    def free(cls, databases: Databases, database: str, now: datetime) -> Names:
        """Make up names that no database has yet: of this second, or of one of the next."""
        there = {one.name for one in databases.all()}
        names = cls.at(database, now)
        while not there.isdisjoint((names.temporary, names.differs, names.before)):
            now += timedelta(seconds=1)
            names = cls.at(database, now)
        return names

    @property
    def comment(self) -> str:
        """What the comment of the temporary database says."""
        return f"pgvow: being restored, to become {self.final}"


def _marked(database: str) -> str:
    """What tells the temporary database from any that a person would name.

    It is in the name, for a comment would come a moment too late for a kill between the two.
    """
    digest = hashlib.sha256(b"pgvow restore " + database.encode("utf-8", "surrogateescape"))
    return f"pgvow_{digest.hexdigest()[:_DIGEST_DIGITS]}"


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
    temporary = _pattern(database, _marked(database))
    for left in databases.all():
        if not temporary.fullmatch(left.name):
            continue
        if _is_abandoned(databases, left, database):
            databases.drop(left.name)
            warn(f"dropped {left.name}, which a restore into {database} left when it died")
        else:
            warn(
                f"{left.name} was left by a restore into {database} that died, and somebody has"
                f" taken it up; if it is nobody's: {dropdb(left.name)}"
            )


def restorers_of(database: str) -> str:
    """Return a regular expression for the names of roles that restores into a name made."""
    return f"^(?:{_pattern(database, _marked(database)).pattern})$"


def _is_abandoned(databases: Databases, left: DatabaseName, database: str) -> bool:
    """Whether a temporary database is nobody's: nobody is in it, or has said what it is.

    We hold the lock of restores into this name, so the one that made it has died, or has lost the
    session that held it. In the first case its other sessions end within seconds.
    """
    if left.comment not in (None, Names(database, "", "", "").comment):
        return False
    deadline = time.monotonic() + _ENDING_SECONDS
    while sessions := databases.sessions(left.name):
        if not all(map(_is_ours, sessions)) or time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _is_ours(session: ConnectedSession) -> bool:
    return (session.program or "").startswith(_OURS)


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


def refuse_unreplaceable(databases: Databases, database: str, *, user: str) -> None:
    """Raise AccessDenied where we could not rename a database, before hours go into another."""
    if not databases.may_rename(database):
        raise AccessDenied(
            f"only the owner of the database {database}, with the right to create databases, or a"
            f" superuser can replace it, and {user} is neither",
            facts=databases.target.facts,
            steps=["Restore as one of them, or into another name: --to ANOTHER_NAME"],
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
    if sessions and (beyond := databases.sessions_beyond_us(database)):
        raise AccessDenied(
            f"{beyond} of the {len(sessions)} sessions connected to {database} are not ours to end:"
            f" {told(sessions)}",
            facts=databases.target.facts,
            steps=[
                f"Stop what uses {database}, then run this command again",
                "Or restore as a superuser, or as a member of pg_signal_backend",
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
