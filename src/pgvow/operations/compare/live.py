"""A database in use, looked at by one session that can change nothing: its tables, keys and rows.

The session is one READ ONLY transaction of one snapshot, with the settings of the session that made
the dump. Rows are read by plain COPY, which needs no plan and no sorting there.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row

from pgvow.errors import (
    AccessDenied,
    CannotBeProven,
    ConfigurationError,
    ConnectionFailed,
    PgvowError,
)
from pgvow.model import DEV, PROD, table_key
from pgvow.postgres.connection import ConnectionTarget, carried, readable, watch_for_our_death
from pgvow.postgres.copy_out import copy_rows, prepare_to_compare, restored_tables
from pgvow.postgres.failure_classes import failure_of
from pgvow.postgres.server import Address, address_of, refuse_transaction_pooler, server_facts
from pgvow.postgres.sql import query
from pgvow.postgres.watched_sessions import doing
from pgvow.settings import SECRET_PARAMETERS, Connection, named_environment
from pgvow.settings.connection import DEFAULT_HOST, DEFAULT_PORT, SettingOrigin, is_port
from pgvow.settings.connection_url import UrlError, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgvow.operations.context import Context
    from pgvow.postgres.connection import Session
    from pgvow.postgres.copy_out import RestoredTable
    from pgvow.postgres.server import ServerFacts

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_FORMS = (
    "Name an environment, such as prod",
    "Or a database on the server of --env",
    "Or a server of its own: --with postgresql://user@host/database, its password in ~/.pgpass",
)
_TYPED = SettingOrigin("--with", "the command line")
_PG_CATALOG = "OPERATOR(pg_catalog."


class ComparisonFailed(PgvowError):
    """The comparison was not finished; it says nothing of the backup or the database."""

    title = "Not compared"


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """The way to a database, and the environment that names it, if one does.

    ``steps`` are for the error if it cannot be reached.
    """

    target: ConnectionTarget
    environment: str | None
    lock_seconds: float
    steps: tuple[str, ...] = ()


def live_target(named: str, env: str, context: Context) -> LiveTarget:
    """Return the way to a database: an environment, a URL or connection string, or a name.

    A name alone is a database on the server of ``env``. Raises ConfigurationError, AccessDenied.
    """
    configuration = context.configuration
    if "://" in named or "=" in named:
        connection = _by_string(named, context.environ)
        target = ConnectionTarget(connection, {}, context.environ)
        return LiveTarget(target, None, configuration.backup_of(None).lock_wait_timeout)
    steps: tuple[str, ...] = ()
    try:
        environment = named_environment(named, configuration.environments)
    except ConfigurationError:
        settings, name = context.load_settings(env), None
        origins = {**settings.connection.origins, "dbname": _TYPED}
        connection = replace(settings.connection, dbname=named, origins=origins)
        known = ", ".join(dict.fromkeys([DEV, PROD, *configuration.environments]))
        steps = (f"{named} is no environment, and so a database; the environments: {known}",)
    else:
        settings = context.load_settings(environment or named)
        connection, name = settings.connection, settings.environment
    return LiveTarget(
        ConnectionTarget(connection, settings.libpq_variables, context.environ),
        name,
        configuration.backup_of(settings.environment).lock_wait_timeout,
        steps,
    )


def _by_string(text: str, environ: Mapping[str, str]) -> Connection:
    """Make a connection of a URL or a connection string; no complaint quotes any of it."""
    try:
        given = parse_url(text) if "://" in text else conninfo_to_dict(text)
    except UrlError as error:
        raise ConfigurationError(f"--with {error}", steps=_FORMS) from None
    except psycopg.Error:
        raise ConfigurationError("--with is no connection string", steps=_FORMS) from None
    parts = {name: str(value) for name, value in given.items() if value}
    if refused := sorted({"service", *SECRET_PARAMETERS}.intersection(parts) - {"password"}):
        raise ConfigurationError(f"--with has {', '.join(refused)}", steps=_FORMS)
    host = parts.pop("host", None) or parts.get("hostaddr") or environ.get("PGHOST", DEFAULT_HOST)
    ports = parts.pop("port", "") or environ.get("PGPORT", str(DEFAULT_PORT))
    user = parts.pop("user", None)
    dbname = parts.pop("dbname", None) or user
    if dbname is None or not all(map(is_port, ports.split(","))):
        raise ConfigurationError("--with names no database, or no port", steps=_FORMS)
    password = parts.pop("password", None)
    if "," in ports:
        parts["port"] = ports
    origins = dict.fromkeys(("host", "port", "dbname", "user", "password"), _TYPED)
    port = int(ports.split(",")[0])
    return Connection(host, port, dbname, user, password, parts, origins=origins)


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column that COPY has, as the catalog names it: see ``connection.readable``."""

    name: str
    is_always: bool
    is_money: bool


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A unique index without NULLs: its columns, and the operators that compare them."""

    columns: tuple[str, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveTable:
    """A table of the database that is compared; its names are those of an archive."""

    table: RestoredTable
    columns: tuple[LiveColumn, ...]
    keys: tuple[LiveKey, ...]
    triggers: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in the table's order."""
        return tuple(column.name for column in self.columns)


class LiveDatabase:
    """The database, and the session whose snapshot is read."""

    def __init__(self, session: Session, live: LiveTarget) -> None:
        self.environment = live.environment
        self.address: Address = address_of(session)
        self.server: ServerFacts = server_facts(session)
        self._session = session
        self._facts = live.target.facts
        self._tables = {
            (readable(session, each.schema), readable(session, each.name)): each
            for each in restored_tables(session)
        }

    def find(self, schema: str, name: str) -> LiveTable | None:
        """Lock a table against changes of its definition, and return it; None if there is none.

        A partitioned one has no rows of its own, and is none. Raises ComparisonFailed if another
        session keeps it locked, and psycopg.Error.
        """
        table = self._tables.get((schema, name))
        if table is None or table.is_partitioned:
            return None
        self._lock(table, table_key(schema, name))
        session, chosen = self._session, {"oid": table.oid}
        with session.cursor(row_factory=class_row(LiveColumn)) as cursor:
            columns = cursor.execute(query("live_columns"), chosen).fetchall()
        keys = [
            LiveKey(self._read(names), self._read(operators))
            for names, operators in session.execute(query("live_keys"), chosen)
        ]
        triggers = [name for (name,) in session.execute(query("live_triggers"), chosen)]
        return LiveTable(
            table,
            tuple(replace(each, name=readable(session, each.name)) for each in columns),
            tuple(keys),
            self._read(triggers),
        )

    def _read(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(readable(self._session, name) for name in names)

    def _lock(self, table: RestoredTable, key: str) -> None:
        doing(self._session, f"while waiting for table {key}")
        name = sql.Identifier(table.schema, table.name)
        try:
            self._session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(name))
        except psycopg.errors.LockNotAvailable as error:
            raise ComparisonFailed(
                f"another session keeps the table {key} locked",
                facts=self._facts,
                steps=["See who: pg_stat_activity and pg_locks; then run it again"],
            ) from error

    def rows(self, table: LiveTable, columns: Sequence[str], encoding: str) -> Iterator[bytes]:
        """Yield the COPY text of a table's own rows, in pieces; raises psycopg.Error."""
        doing(self._session, "while reading rows")
        names = [carried(self._session, column) for column in columns]
        yield from copy_rows(self._session, table.table, names, encoding=encoding)

    def references(self, tables: Sequence[LiveTable]) -> list[tuple[int, int]]:
        """Return the foreign keys among tables: the referencing oid, and the referenced one."""
        oids = {"oids": [each.table.oid for each in tables]}
        return [(row[0], row[1]) for row in self._session.execute(query("live_references"), oids)]

    def setting(self, name: str) -> str:
        """Return the value that a setting has in this session."""
        row = self._session.execute("SELECT pg_catalog.current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""


@contextmanager
def live_database(live: LiveTarget, settings: Mapping[str, str]) -> Iterator[LiveDatabase]:
    """Open the one transaction for the block; ``settings`` are those of the dumping session.

    Raises ConnectionFailed, AccessDenied, ConfigurationError behind a pooler that shares sessions,
    CannotBeProven if the server does not know a setting, and the errors of ``failure_of``.
    """
    target = live.target
    try:
        opened = target.open("compare")
    except ConnectionFailed as error:
        error.steps = (*live.steps, *error.steps)
        raise
    with opened as session:
        try:
            refuse_transaction_pooler(target, session)
            prepare_to_compare(session, settings)
            watch_for_our_death(session)
            milliseconds = str(int(live.lock_seconds * 1000))
            session.execute(query("set_setting"), {"name": "lock_timeout", "value": milliseconds})
            session.execute(_BEGIN)
            yield LiveDatabase(session, live)
        except CannotBeProven as error:
            raise CannotBeProven(
                error.cause,
                facts={**error.facts, **target.facts},
                steps=["Compare with a database on a server like the source's"],
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise AccessDenied(
                str(error).strip(),
                facts=target.facts,
                steps=["Compare as a role that may read the table, and all of its rows"],
            ) from error
        except psycopg.Error as error:
            raise failure_of(error, facts=target.facts) from error


def shown_operator(operator: str) -> str:
    """Return an operator as it is written: plainly, if it is PostgreSQL's own."""
    if operator.startswith(_PG_CATALOG):
        return operator.removeprefix(_PG_CATALOG).removesuffix(")")
    return operator
