"""A role for one restore, so that code of the source's roles runs with few rights.

Checks, generated columns, functions of indexes and partition keys run as whoever restores. As a
superuser's they could run programs and make any role a superuser; SET ROLE is no protection, for a
function may RESET ROLE. So the role that logs in is none: it may not run programs, read the
server's files or change roles, and is a member of nothing.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgvow.errors import PgvowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgvow.postgres.connection import Session
    from pgvow.postgres.reachable_server import ReachableServer

ENGLISH = "-c lc_messages=C"
"""The option of a superuser's sessions that no other role may ask for."""
_ATTEMPTS = 8
_PAUSE_SECONDS = 0.05
_CREATE = (
    "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS"
    " PASSWORD {} VALID UNTIL {}"
)


@dataclass(frozen=True, slots=True)
class Restorer:
    """The role and its password."""

    name: str
    password: str = field(repr=False)


def create_restorer(
    session: Session,
    name: str,
    *,
    comment: str,
    log_in: Callable[[Restorer], Session],
    warn: Callable[[str], None],
) -> Restorer | None:
    """Create the role and log in as it; returns None, and warns, if it cannot log in.

    So it is under peer authentication. Raises psycopg.Error if the role cannot be created.
    """
    user = current_user(session)
    restorer = _create(session, name, comment)
    try:
        log_in(restorer).close()
    except (PgvowError, psycopg.Error) as error:
        warn(runs_as_superuser(user, error))
        return None
    return restorer


def runs_as_superuser(user: str, error: Exception) -> str:
    """Return the warning that the code of a backup runs as a superuser, and why."""
    return (
        f"checks, generated columns and functions of the backup run with the rights of {user}, a"
        " superuser: the role made to restore in its place cannot log in here"
        f" ({str(error).strip()}); see whose they are: pgvow show FILE --code"
    )


def is_superuser(session: Session) -> bool:
    """Whether a session has a superuser's rights."""
    return session.info.parameter_status("is_superuser") == "on"


def current_user(session: Session) -> str:
    """Return the name of the role that a session acts as."""
    row = session.execute("SELECT current_user").fetchone()
    return str(row[0]) if row else ""


def _create(session: Session, name: str, comment: str) -> Restorer:
    """Create the role, for a week at most; raises psycopg.Error. The server sees no password."""
    password = secrets.token_urlsafe(24)
    quoted = sql.Identifier(name)
    row = session.execute("SELECT (now() + interval '7 days')::text").fetchone()
    until = row[0] if row else "infinity"
    hashed = session.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    with session.transaction():
        statement = sql.SQL(_CREATE).format(
            quoted, sql.Literal(hashed.decode()), sql.Literal(until)
        )
        session.execute(statement)
        session.execute(sql.SQL("ALTER ROLE {} SET lc_messages TO 'C'").format(quoted))
        session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(quoted, sql.Literal(comment)))
    return Restorer(name, password)


def drop_restorer(session: Session, name: str) -> None:
    """Drop the role with its grants; one that is not there is no error. Raises psycopg.Error."""
    quoted = sql.Identifier(name)
    if session.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [name]).rowcount:
        change_grants(session, sql.SQL("DROP OWNED BY {}").format(quoted))
        session.execute(sql.SQL("DROP ROLE {}").format(quoted))


def change_grants(session: Session, statement: sql.Composed) -> None:
    """Grant or revoke rights on a database or tablespace; raises psycopg.Error.

    Other sessions may change the grants of the same tablespace at the same time. The server does
    not wait then, but refuses ("tuple concurrently updated", XX000); the next attempt succeeds.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            session.execute(statement)
        except errors.InternalError_:
            time.sleep(_PAUSE_SECONDS * attempt)
        else:
            return
    session.execute(statement)


@dataclass(frozen=True, slots=True)
class AsRestorer:
    """The same server, reached as the role: a Place."""

    place: ReachableServer
    restorer: Restorer

    def conninfo(self, dbname: str) -> str:
        """Compose the connection string for one of its databases."""
        given = conninfo_to_dict(self.place.conninfo(dbname))
        given.update(user=self.restorer.name, password=self.restorer.password)
        if "options" in given:
            given["options"] = str(given["options"]).replace(ENGLISH, "").strip()
        return make_conninfo("", **given)
