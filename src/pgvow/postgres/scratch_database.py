"""Databases and roles that exist for one proof, on whatever server it is made."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgvow.errors import ConfigurationError, ConnectionFailed, PgvowError
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import LiteralString

    from pgvow.postgres.connection import Session

_PREFIX = "pgvow_proof_"
_LOCALE_OPTIONS: dict[str, LiteralString] = {
    "LOCALE_PROVIDER": "LOCALE_PROVIDER",
    "LOCALE": "LOCALE",
    "LC_COLLATE": "LC_COLLATE",
    "LC_CTYPE": "LC_CTYPE",
    "ICU_LOCALE": "ICU_LOCALE",
    "ICU_RULES": "ICU_RULES",
    "BUILTIN_LOCALE": "BUILTIN_LOCALE",
}
_FALLBACK = {"LOCALE_PROVIDER": "libc", "LOCALE": "C"}


class Place(Protocol):
    """A server that databases can be made on; a ThrowawayServer is one."""

    def conninfo(self, dbname: str) -> str:
        """Compose the connection string for one of its databases."""


class GivenServer:
    """The server that a connection string of the user's leads to."""

    def __init__(self, dsn: str) -> None:
        try:
            self.database = str(conninfo_to_dict(dsn).get("dbname") or "postgres")
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(
                f"--on is no connection string: {str(error).strip()}",
                steps=["For example: --on 'host=/run/postgresql user=postgres'"],
            ) from error
        self._dsn = dsn

    def conninfo(self, dbname: str) -> str:
        """Compose the connection string for one of its databases."""
        return make_conninfo(self._dsn, dbname=dbname)


def tool_connection(place: Place, dbname: str) -> tuple[str, dict[str, str]]:
    """Split a connection string for a tool: what its command line has, and its environment."""
    parameters = conninfo_to_dict(place.conninfo(dbname))
    password = parameters.pop("password", None)
    secret = {"PGPASSWORD": str(password)} if password else {}
    return make_conninfo("", **parameters), secret


def open_session(place: Place, dbname: str) -> Session:
    """Open an autocommit session; raises ConnectionFailed."""
    try:
        conninfo = place.conninfo(dbname)
        return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise ConnectionFailed(
            str(error).strip(), steps=["Check the connection string given with --on"]
        ) from error


@contextmanager
def scratch_database(
    session: Session, place: Place, *, encoding: str, locale: Mapping[str, str]
) -> Iterator[str]:
    """Make an empty database and drop it afterwards, whoever is connected; yields its name.

    ``session`` is one into another database of the server. Raises psycopg.Error.
    """
    name = _PREFIX + secrets.token_hex(6)
    session.execute(_create(name, encoding, locale))

    def drop() -> None:
        _drop_subscriptions(place, name)
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        session.execute(statement.format(sql.Identifier(name)))

    with _cleared_by(drop):
        yield name


def locale_at_hand(
    session: Session, *, encoding: str, locale: Mapping[str, str]
) -> tuple[Mapping[str, str], str | None]:
    """Return the locale if this server has it, else C and what the server said of the other.

    Raises PgvowError where no database of this encoding can be made at all.
    """
    complaint = _refusal(session, encoding, locale) if locale else None
    if locale and complaint is None:
        return locale, None
    refused = _refusal(session, encoding, _FALLBACK)
    if refused is not None:
        raise PgvowError(f"no database of encoding {encoding} can be made: {refused}")
    return _FALLBACK, complaint


def _refusal(session: Session, encoding: str, locale: Mapping[str, str]) -> str | None:
    name = _PREFIX + secrets.token_hex(6)
    try:
        session.execute(_create(name, encoding, locale))
    except psycopg.Error as error:
        return str(error).strip()
    session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    return None


def _create(name: str, encoding: str, locale: Mapping[str, str]) -> sql.Composed:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
        sql.Identifier(name), sql.Literal(encoding)
    )
    for option, value in locale.items():
        if option in _LOCALE_OPTIONS:
            known = sql.SQL(_LOCALE_OPTIONS[option])
            statement += sql.SQL(" {} = {}").format(known, sql.Literal(value))
    return statement


def _drop_subscriptions(place: Place, name: str) -> None:
    """Drop what would forbid to drop the database, without asking any publisher."""
    with suppress(psycopg.Error, ConnectionFailed), open_session(place, name) as session:
        for (found,) in session.execute(query("subscriptions")).fetchall():
            subscription = sql.Identifier(found)
            for statement in (
                "ALTER SUBSCRIPTION {} DISABLE",
                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {}",
            ):
                session.execute(sql.SQL(statement).format(subscription))


@contextmanager
def _cleared_by(clear: Callable[[], None]) -> Iterator[None]:
    """Clear up however the block ends; what went wrong in the block is what is raised."""
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            clear()
        raise
    clear()


@contextmanager
def stub_roles(
    session: Session, names: Iterable[str], *, superusers: Iterable[str] = ()
) -> Iterator[None]:
    """Make the roles that are missing, so that nobody can log in as one; drop them afterwards.

    Those named in ``superusers`` too become superusers: nobody else may own an event trigger.
    Raises psycopg.Error.
    """
    there = {name for (name,) in session.execute(query("roles"))}
    missing = sorted(name for name in set(names) - there if _can_be_made(name))
    above = frozenset(superusers)
    made: list[str] = []

    def drop() -> None:
        for name in made:
            session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))

    with _cleared_by(drop):
        for name in missing:
            statement = sql.SQL("CREATE ROLE {} NOLOGIN{}").format(
                sql.Identifier(name), sql.SQL(" SUPERUSER" if name in above else "")
            )
            session.execute(statement)
            made.append(name)
        yield


def _can_be_made(name: str) -> bool:
    """Whether the name is none of the server's own, and a text at all."""
    return not name.startswith("pg_") and not any("\ud800" <= each <= "\udfff" for each in name)
