"""Ask a server for its facts, and whether a pooler stands between us and it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import dict_row

from pgvow.errors import ConfigurationError, PgvowError
from pgvow.postgres.connection import readable, translate
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.postgres.connection import ConnectionTarget, Session

# Others' traffic through the pooler may hide it from one round, hardly from so many. A pooler that
# hands on the server's own process id is not known for one before.
_ROUNDS = 3
_ROUNDS_BEHIND_POOLER = 10


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server, one of its databases, and the role that is connected.

    ``identity`` is the same for all who are connected to this database of this running server.
    """

    version: str
    version_num: int
    database: str
    identity: str
    database_size: int
    user: str
    is_superuser: bool
    bypasses_row_security: bool
    in_recovery: bool
    encoding: str
    tls: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The major version: 15 for 15.18."""
        return self.version_num // 10000


@dataclass(frozen=True, slots=True)
class Address:
    """The host and port that a session is connected to; a socket's directory begins with ``/``."""

    host: str
    port: int

    def __str__(self) -> str:
        if self.host.startswith(("/", "@")):
            return f"port {self.port} by the socket in {self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(session: Session) -> Address:
    """Return the address that a session has reached, of several that it might have been given."""
    return Address(session.info.host, session.info.port)


def server_facts(session: Session) -> ServerFacts:
    """Ask for the facts of the server, the database and our role."""
    with session.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query("server_facts")).fetchone()
    if row is None:
        raise PgvowError("the server does not know the role that it let in")
    row["version"] = row["version"].split()[0]
    row["database"] = readable(session, row["database"])
    return ServerFacts(**row, tls=session.pgconn.ssl_in_use)


def comparison_settings(session: Session) -> dict[str, str]:
    """Ask for the settings on which the text of rows depends; pg_dump's session has the same."""
    return dict(session.execute(query("comparison_settings")).fetchall())


def behind_pooler(session: Session) -> bool:
    """Tell whether a pooler answers in the server's place.

    A pooler hands out a process id of its own when one connects (PgBouncer makes it up), which is
    then not the one that the server itself names.
    """
    row = session.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return row is not None and row[0] != session.info.backend_pid


def refuse_transaction_pooler(target: ConnectionTarget, session: Session) -> None:
    """Raise ConfigurationError if a pooler shares sessions between transactions.

    There an exported snapshot is not there for the next session, and settings leak to strangers.
    Two connections that are given the same server process, or one that is given two, prove it.
    Call it before anything is set in the session: it might be set for somebody else.
    """
    facts = target.facts
    with target.open("check") as other:
        try:
            rounds = _ROUNDS_BEHIND_POOLER if behind_pooler(session) else _ROUNDS
            if not any(_shares(session, other) for _ in range(rounds)):
                return
        except psycopg.Error as error:
            raise translate(error, facts) from error
    raise ConfigurationError(
        "a connection pooler in transaction mode stands between us and the server:"
        " a snapshot cannot be shared through it",
        facts=facts,
        steps=[
            (
                f"Connect to PostgreSQL itself: check {target.connection.origin('host')}"
                f" and {target.connection.origin('port')}"
            ),
            "Or give backups a pool of their own with pool_mode = session",
        ],
    )


def _shares(session: Session, other: Session) -> bool:
    """Tell whether a pooler was seen to hand the server's processes around.

    It gives the process that was used last (``other`` gets the process that ``session`` just had)
    or takes turns (``session`` itself is moved on): asked for it twice, with two processes taking
    turns and ``other`` keeping one of them, ``session`` would else be given the same one again.
    """
    first, again = _backend(session), _backend(session)
    with other.transaction():
        second = _backend(other)
        third = _backend(session)
    return first != again or first == second or first != third


def _backend(session: Session) -> int | None:
    row = session.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return None if row is None else int(row[0])
