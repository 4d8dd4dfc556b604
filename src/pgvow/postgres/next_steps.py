"""Choose the next steps after a refusal of the server's, by its message and SQLSTATE."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgvow.settings import Connection


_CONFLICT = "conflict with recovery"
_MISTYPED = re.compile(r"\bbad value for |\binvalid (?:integer value|\w+ value:) ")
NO_CONNECT_RIGHT = "42501"
"""The SQLSTATE with which a server refuses a role that may not enter the database."""


def connection_steps(cause: str, connection: Connection, sqlstate: str | None = None) -> list[str]:
    """Steps for a connection that was refused.

    The server's words may be in any language; if they are not English the SQLSTATE serves, if
    it is known.
    """
    if is_mistyped(cause):
        return _mistyped()
    for needle, steps in _REFUSALS:
        if needle in cause:
            return steps(connection)
    if sqlstate in _BY_SQLSTATE:
        return _BY_SQLSTATE[sqlstate](connection)
    return [
        f"Check host, port, database and user: {connection.origin('dbname')} and its neighbours",
        f"Try by hand: {_psql(connection)}",
        "See everything that is set and from where: pgvow doctor",
    ]


def unreadable_steps(connection: Connection) -> list[str]:
    """Steps for a database in an encoding that Python has no codec for."""
    return [
        f"Back it up by hand: {_by_hand(connection, 'pg_dump', '-Fc', '-f', 'FILE')}",
        "Or move it into a database whose encoding is UTF8: restore that dump into one",
    ]


def client_encoding_steps(connection: Connection) -> list[str]:
    """Steps if a client_encoding is set that Python has no codec for."""
    return [
        "Set another for us: export PGCLIENTENCODING=UTF8",
        f"See where it is set: {_psql(connection)} -c '\\drds'",
    ]


def _psql(connection: Connection, dbname: str | None = None) -> str:
    return _by_hand(connection, "psql", dbname=dbname)


def _by_hand(connection: Connection, program: str, *options: str, dbname: str | None = None) -> str:
    user = ["-U", connection.user] if connection.user else []
    place = ["-h", connection.host, "-p", connection.ports]
    return shlex.join([program, *options, *place, *user, "-d", dbname or connection.dbname])


def _no_such_database(connection: Connection) -> list[str]:
    return [
        f"Verify database exists: {_psql(connection, 'postgres')} -l",
        f"Check database name: {connection.origin('dbname')}",
        f"Create database if needed: {shlex.join(['createdb', connection.dbname])}",
    ]


def _no_such_role(connection: Connection) -> list[str]:
    return [
        f"Check the user: {connection.origin('user')}",
        "See which there are: psql -c '\\du', as the server's administrator",
        "Create it if needed: createuser --pwprompt THE_USER",
    ]


def _wrong_password(connection: Connection) -> list[str]:
    return [
        f"Check the password: {connection.origin('password')}",
        f"Check the user: {connection.origin('user')}",
        f"Try by hand: {_psql(connection)}",
    ]


def _no_password(connection: Connection) -> list[str]:
    origin = connection.origins.get("password")
    variable = origin.variable if origin else "DB_PASSWORD"
    return [
        f"Set {variable} in .env.local, or put a line for this server into ~/.pgpass (mode 0600)",
        f"Try by hand: {_psql(connection)}",
    ]


def _not_reached(connection: Connection) -> list[str]:
    return [
        f"Check that the server runs: {_pg_isready(connection)}",
        f"Check host and port: {connection.origin('host')}, {connection.origin('port')}",
        "Start the server if it is down: sudo systemctl start postgresql",
    ]


def _pg_isready(connection: Connection) -> str:
    return shlex.join(["pg_isready", "-h", connection.host, "-p", connection.ports])


def _unknown_host(connection: Connection) -> list[str]:
    return [
        f"Check the host's name: {connection.origin('host')}",
        f"Ask the resolver: {shlex.join(['getent', 'hosts', *connection.hosts])}",
    ]


def _no_entry(connection: Connection) -> list[str]:
    return [
        "Let this host, user and database in: a line in the server's pg_hba.conf, then reload it",
        "If the server wants TLS, set PGSSLMODE=require",
        f"Check the user: {connection.origin('user')}",
    ]


def _no_connect_right(connection: Connection) -> list[str]:
    return [
        f"Let the role in: GRANT CONNECT ON DATABASE … TO {connection.user or 'the role'}",
        f"Check the user: {connection.origin('user')}",
    ]


def _tls(connection: Connection) -> list[str]:
    return [
        "Check PGSSLMODE and PGSSLROOTCERT, or sslmode in the connection URL",
        f"Check that this is the server you mean: {connection.origin('host')}",
    ]


def _mistyped() -> list[str]:
    return [
        "Check libpq's own variables (PGSSLMODE, PGCONNECT_TIMEOUT, …), and the connection URL",
        "See everything that is set and from where: pgvow doctor",
    ]


def _too_many(_: Connection) -> list[str]:
    return [
        "Use fewer workers: --jobs 1 needs three connections, each worker one more",
        "See who is connected: the server's view pg_stat_activity",
        "Or allow more on the server: max_connections, ALTER ROLE … CONNECTION LIMIT",
    ]


_REFUSALS: tuple[tuple[str, Callable[[Connection], list[str]]], ...] = (
    ("too many clients", _too_many),
    ("too many connections", _too_many),
    ("remaining connection slots", _too_many),
    ("permission denied for database", _no_connect_right),
    ("password authentication failed", _wrong_password),
    ("no password supplied", _no_password),
    ("no pg_hba.conf entry", _no_entry),
    ("could not translate host name", _unknown_host),
    ("Name or service not known", _unknown_host),
    ("Temporary failure in name resolution", _unknown_host),
    ("Connection refused", _not_reached),
    ("No such file or directory", _not_reached),
    ("timeout expired", _not_reached),
    ("No route to host", _not_reached),
    ("Network is unreachable", _not_reached),
    ("certificate", _tls),
    ("SSL", _tls),
    ('role "', _no_such_role),
    ("does not exist", _no_such_database),
)


_BY_SQLSTATE: dict[str | None, Callable[[Connection], list[str]]] = {
    "53300": _too_many,
    NO_CONNECT_RIGHT: _no_connect_right,
    "28P01": _wrong_password,
    "28000": _no_entry,
    "3D000": _no_such_database,
}


def is_mistyped(cause: str) -> bool:
    """Whether libpq complains of a setting, and asked no server: of PGSSLMODE, say."""
    return _MISTYPED.search(cause) is not None


def is_understood(cause: str) -> bool:
    """Whether the message of a refusal is understood."""
    return any(needle in cause for needle, _ in _REFUSALS)


def is_lock_table_full(error: psycopg.Error) -> bool:
    """Whether it is the server's lock table that has no room, and not its memory.

    Both are 53200. The message may be in any language; the setting that the hint names is not.
    """
    message = str(error)
    return isinstance(error, psycopg.errors.OutOfMemory) and (
        "max_locks_per_transaction" in message or "out of shared memory" in message
    )


def query_steps(error: psycopg.Error) -> list[str]:
    """Steps for a statement that was refused, by its SQLSTATE: those do not depend on language."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return [
            "Let the role read everything: GRANT pg_read_all_data TO the_role",
            "Where row security hides rows from it: ALTER ROLE the_role BYPASSRLS",
            "See which tables it cannot read: pgvow doctor",
        ]
    if isinstance(error, psycopg.errors.SerializationFailure) or _CONFLICT in str(error):
        return [
            (
                "On a standby, let queries finish: raise max_standby_streaming_delay there,"
                " or set hot_standby_feedback = on"
            ),
            "Or back up the primary instead",
        ]
    if is_lock_table_full(error):
        return ["Raise max_locks_per_transaction on the server (a restart is needed)"]
    if isinstance(error, psycopg.errors.OutOfMemory):
        return [
            "The server ran out of memory: see its log, and what else runs there",
            "Use fewer workers: --jobs 1",
            "Then run it again: earlier backups are untouched",
        ]
    return ["Look into the server's log for the moment of the failure", "Then run it again"]
