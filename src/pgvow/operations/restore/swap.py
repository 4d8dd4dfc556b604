"""The names of the databases of a restore: claimed, and at the end exchanged.

A database is restored under a temporary name, with the final one in its comment, and renamed when
it is whole and has been compared. So at any time a database under the final name is whole. A
restore that was killed leaves the temporary one, which has a digest of the final name in its own,
and is dropped by the next restore into that name.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import AccessDenied, RestoreFailed
from pgvow.postgres.databases import Renaming, dropdb, shortened
from pgvow.postgres.restorer import drop_restorer
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pgvow.postgres.databases import ConnectedSession, DatabaseName, Databases
    from pgvow.postgres.statements import Statement

_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_PATTERN = r"\d{8}T\d{6}Z"
_TERMINATING_SECONDS = 60.0
_WAITING_SECONDS = 30.0
"""How long to wait until no session is connected, without ending any."""
_SESSIONS_SHOWN = 8
_ENDING_SECONDS = 20.0
"""How long a server may take to notice that a client has died."""
_PAUSE = 0.1
_DIGEST_DIGITS = 8
_OURS = "pgvow "
"""The beginning of the application_name of our sessions, and of the tools that we run."""


@dataclass(frozen=True, slots=True)
class SwapNames:
    """The names of a restored database: final, under way, if it differs; and the replaced one."""

    final: str
    temporary: str
    differs: str
    before: str

    @classmethod
    def at(cls, database: str, now: datetime) -> SwapNames:
        """Make the names of a restore that begins now."""
        timestamp = now.strftime(_TIMESTAMP)
        return cls(
            final=database,
            temporary=shortened(database, f"_{_digest_of(database)}_{timestamp}"),
            differs=shortened(database, f"_differs_{timestamp}"),
            before=shortened(database, f"_before_{timestamp}"),
        )

    @classmethod
    def free(cls, databases: Databases, database: str, now: datetime) -> SwapNames:
        """Make names that no database has yet: of this second, or of one of the next."""
        taken = {each.name for each in databases.all()}
        names = cls.at(database, now)
        while not taken.isdisjoint((names.temporary, names.differs, names.before)):
            now += timedelta(seconds=1)
            names = cls.at(database, now)
        return names

    @property
    def comment(self) -> str:
        """The comment of the temporary database."""
        return f"pgvow: being restored, to become {self.final}"


def _digest_of(database: str) -> str:
    """Return the part of a temporary name that no person would choose.

    A comment would not do: a kill could come between CREATE DATABASE and COMMENT.
    """
    digest = hashlib.sha256(b"pgvow restore " + database.encode("utf-8", "surrogateescape"))
    return f"pgvow_{digest.hexdigest()[:_DIGEST_DIGITS]}"


def _pattern(database: str, infix: str) -> re.Pattern[str]:
    timestamp = "0" * len("20260101T000000Z")
    stem = shortened(database, f"_{infix}_{timestamp}").removesuffix(timestamp)
    return re.compile(re.escape(stem) + _TIMESTAMP_PATTERN)


def claim(databases: Databases, database: str, *, warn: Callable[[str], None]) -> None:
    """Take the lock of restores into a name, and drop the databases that dead ones left.

    Raises RestoreFailed if another restore into it is under way.
    """
    if not databases.lock(database):
        raise RestoreFailed(
            f"another restore into {database} is under way on this server",
            facts=databases.target.facts,
            steps=["Wait until it ends, then run this command again"],
        )
    temporary = _pattern(database, _digest_of(database))
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


def drop_abandoned_roles(
    databases: Databases, database: str, *, warn: Callable[[str], None]
) -> None:
    """Drop the roles that dead restores into a name left; one in use stays, and is a warning."""
    pattern = f"^(?:{_pattern(database, _digest_of(database)).pattern})$"
    session = databases.session
    for (name,) in session.execute(query("abandoned_restorers"), {"pattern": pattern}).fetchall():
        try:
            drop_restorer(session, name)
        except psycopg.Error as error:
            warn(f"the role {name}, left by a restore that died, stays: {error}")
        else:
            warn(f"dropped the role {name}, left by a restore that died")


def _is_abandoned(databases: Databases, left: DatabaseName, database: str) -> bool:
    """Whether a temporary database has no foreign session, and no comment but ours.

    We hold the lock of restores into this name, so the one that made it has died, or has lost the
    session that held the lock. In the first case its other sessions end within seconds.
    """
    if left.comment not in (None, SwapNames(database, "", "", "").comment):
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
    """Raise RestoreFailed if the database exists: a restore never goes into one."""
    everything = databases.all()
    if all(each.name != database for each in everything):
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
    """Raise AccessDenied if we may not rename a database, before hours are spent on another."""
    if not databases.may_rename(database):
        raise AccessDenied(
            f"only the owner of the database {database}, with the right to create databases, or a"
            f" superuser can replace it, and {user} is neither",
            facts=databases.target.facts,
            steps=["Restore as one of them, or into another name: --to ANOTHER_NAME"],
        )


def _earlier(database: str, everything: Sequence[DatabaseName]) -> dict[str, str]:
    """Name the databases that earlier swaps replaced, for a swap whose report was lost."""
    before = _pattern(database, "before")
    names = [each.name for each in everything if before.fullmatch(each.name)]
    return {"Swapped out before": ", ".join(names)} if names else {}


def refuse_connected(
    databases: Databases, database: str, *, terminate: bool
) -> tuple[ConnectedSession, ...]:
    """Return the sessions of a database; raises RestoreFailed unless they may be ended."""
    sessions = databases.sessions(database)
    if sessions and not terminate:
        raise RestoreFailed(
            f"{len(sessions)} sessions are connected to {database}: {listed(sessions)}",
            facts={**databases.target.facts, **databases.connected_facts(database)},
            steps=[
                f"Stop what uses {database}, then run this command again",
                "Or end the sessions at the moment of the swap: --terminate",
            ],
        )
    if sessions and (beyond := databases.sessions_beyond_us(database)):
        raise AccessDenied(
            f"{beyond} of the {len(sessions)} sessions connected to {database} are not ours to end:"
            f" {listed(sessions)}",
            facts=databases.target.facts,
            steps=[
                f"Stop what uses {database}, then run this command again",
                "Or restore as a superuser, or as a member of pg_signal_backend",
            ],
        )
    return sessions


def listed(sessions: Sequence[ConnectedSession]) -> str:
    """List some sessions, and the number of the others."""
    shown = [str(session) for session in sessions[:_SESSIONS_SHOWN]]
    others = len(sessions) - len(shown)
    return ", ".join([*shown, *([f"and {others} more"] if others else [])])


def set_aside(databases: Databases, names: SwapNames) -> None:
    """Give a restored database that differs its own name."""
    renaming = Renaming(((names.temporary, names.differs),), None)
    databases.rename_together(renaming, seconds=_WAITING_SECONDS)


def put_in_place(
    databases: Databases,
    names: SwapNames,
    comment: Statement | None,
    *,
    swap: bool,
    terminate: bool,
    warn: Callable[[str], None],
) -> int:
    """Give the restored database its final name, with ``swap`` in place of the old one.

    Returns the number of sessions that were ended. Raises RestoreFailed, and then no name has
    changed.
    """
    new = (names.temporary, names.final)
    if not swap:
        return databases.rename_together(Renaming((new,), comment), seconds=_WAITING_SECONDS)
    renaming = Renaming(
        ((names.final, names.before), new), comment, names.final if terminate else None
    )
    seconds = _TERMINATING_SECONDS if terminate else _WAITING_SECONDS
    return databases.rename_together(renaming, seconds=seconds, warn=warn)
