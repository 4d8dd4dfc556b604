"""Connect to the server, ours and the tools' connections alike, and translate its refusals."""

from __future__ import annotations

import logging
import os
import re
import select
import sys
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from pgvow.errors import (
    AccessDenied,
    BackupFailed,
    ConfigurationError,
    ConnectionFailed,
    PgvowError,
)
from pgvow.postgres.failure_classes import lack_of_system
from pgvow.postgres.next_steps import (
    NO_CONNECT_RIGHT,
    client_encoding_steps,
    connection_steps,
    is_mistyped,
    is_understood,
    query_steps,
    unreadable_steps,
)
from pgvow.postgres.sql import query
from pgvow.postgres.watched_sessions import WatchedConnection
from pgvow.quoted_texts import keep_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.pq.abc import PGconn

    from pgvow.settings import Connection

    Session = psycopg.Connection[tuple[Any, ...]]

# psycopg logs errors that it ignores while it closes a broken session. Without a handler
# Python would print that beside our own report.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

_ANSWER_MS = 30_000
"""Milliseconds to wait for each answer of the server."""
_SQLSTATE = re.compile(rb'ErrorResponse\t.*? C "([0-9A-Z]{5})"')
_CHECK_CLIENT_EVERY = "5s"
"""How often a server looks whether we still live, while it works or waits for us."""
# A role or a database may set limits. pg_dump and pg_restore switch off those of a statement and a
# transaction for themselves, but not that of an idle session, which a tool is while it works here.
# Both options are known from 14 on; transaction_timeout, of 17, the tools switch off if the server
# has it.
NO_TIME_LIMITS = (
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
    " -c idle_session_timeout=0"
)
"""Settings for the sessions of PostgreSQL's tools, on servers from 14 on."""
_NOTICE = f"-c client_connection_check_interval={_CHECK_CLIENT_EVERY} {NO_TIME_LIMITS}"

_WITHOUT_CODEC = {b"EUC_TW", b"MULE_INTERNAL"}
"""Encodings that a database may have and Python does not know: its names could not be read."""

# A server, and a firewall between, must notice that the other end is gone; libpq's defaults leave
# that to the kernel's two hours. The user's settings win.
_DEFAULTS = {
    "connect_timeout": "30",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "6",
}


@dataclass(frozen=True)
class ConnectionTarget:
    """One database: its address, and the settings that libpq's own variables add."""

    connection: Connection
    libpq_variables: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    address: Mapping[str, str] = field(default_factory=dict)

    def pinned(self, session: Session) -> ConnectionTarget:
        """Return the same target at the one server, of several hosts or addresses, that answered.

        A snapshot is there and nowhere else, and who connects again may be sent to another.
        """
        info = session.info
        address = {"host": info.host, "port": str(info.port), "hostaddr": info.hostaddr}
        return replace(self, address={key: value for key, value in address.items() if value})

    @property
    def facts(self) -> dict[str, str]:
        """The connection's parameters for an error message, without secrets."""
        return self.connection.facts()

    def parameters(self, application_name: str) -> dict[str, str]:
        """libpq's parameters by keyword, the password apart."""
        given = {**self._from_variables(), **self.connection.parameters()}
        if self.address:
            given.pop("hostaddr", None)
            given.update(self.address)
        set_elsewhere = {
            keyword for keyword, variable in _libpq_keywords().items() if variable in self.environ
        }
        defaults = {
            keyword: value for keyword, value in _DEFAULTS.items() if keyword not in set_elsewhere
        }
        return {**defaults, **given, "application_name": application_name}

    @property
    def connect_seconds(self) -> int | None:
        """How long a connection may take to be made; None: as long as it likes."""
        given = self.parameters("pgvow").get("connect_timeout")
        seconds = int(given or self.environ.get("PGCONNECT_TIMEOUT", "0"))
        return seconds if seconds > 0 else None

    def conninfo(self, application_name: str, *, notice_our_death: bool = False) -> str:
        """Compose the connection string for a tool's command line: everything but secrets."""
        parameters = self.parameters(application_name)
        parameters.pop("password", None)
        if notice_our_death and "options" in parameters:  # they would hide those of PGOPTIONS
            parameters["options"] += f" {_NOTICE}"
        return make_conninfo("", **parameters)

    def tool_environment(self, *, notice_our_death: bool = False) -> dict[str, str]:
        """Compose the environment for the tools: the password, and libpq's own variables."""
        result = {**self.libpq_variables, **self.environ}
        if self.connection.password is not None:
            result["PGPASSWORD"] = self.connection.password
        if notice_our_death:
            result["PGOPTIONS"] = f"{result.get('PGOPTIONS', '')} {_NOTICE}".strip()
        return result

    def open(self, purpose: str) -> Session:
        """Open an autocommit session, as yet untouched.

        Raises ConnectionFailed, AccessDenied, and ConfigurationError for an unreadable encoding.
        """
        parameters = self._with_password(f"pgvow {purpose}")
        for variables in (self.environ, self.libpq_variables):
            keep_secret(variables.get("PGPASSWORD"), public=tuple(self.facts.values()))
        try:
            # Nothing is prepared: behind a pooler it would stay in a session that is not ours.
            session = WatchedConnection.connect(
                autocommit=True, prepare_threshold=None, **parameters
            )
        except psycopg.Error as error:  # PGCONNECT_TIMEOUT=soon is no OperationalError
            raise self.refused(error) from error
        if unreadable := self._unreadable(session):
            session.close()
            raise unreadable
        # From a variable of libpq's or ~/.pgpass, if the connection has none of its own.
        keep_secret(session.info.password, public=tuple(self.connection.facts().values()))
        return session.watched(f"the server (session {purpose})", parameters, self.facts)

    def connect(self, purpose: str) -> Session:
        """Open an autocommit session prepared like pg_dump's."""
        session = self.open(purpose)
        try:
            prepare(session)
        except psycopg.Error as error:
            session.close()
            raise translate(error, self.facts) from error
        return session

    def refused(self, error: psycopg.Error) -> PgvowError:
        """Translate a refused connection."""
        cause = str(error).strip()
        if lack := lack_of_system(cause, facts=self.facts):
            return lack
        sqlstate = error.sqlstate
        if sqlstate is None and not is_understood(cause):
            sqlstate = sqlstate_of_refusal(make_conninfo("", **self._with_password("pgvow check")))
        denied = sqlstate == NO_CONNECT_RIGHT or "permission denied for database" in cause
        kind: type[PgvowError] = AccessDenied if denied else ConnectionFailed
        if is_mistyped(cause):
            kind = ConfigurationError
        steps = connection_steps(cause, self.connection, sqlstate)
        return kind(cause, facts=self.facts, steps=steps)

    def _unreadable(self, session: Session) -> ConfigurationError | None:
        """Raise an error if Python has no codec for the texts of this session."""
        # Not by session.info: that reads it by the client's encoding.
        encoding = session.pgconn.parameter_status(b"server_encoding")
        if encoding in _WITHOUT_CODEC:
            return ConfigurationError(
                f"the database's encoding is {encoding.decode()}, which Python cannot read",
                facts=self.facts,
                steps=unreadable_steps(self.connection),
            )
        try:
            _ = session.info.encoding
        except psycopg.NotSupportedError:
            encoding = session.pgconn.parameter_status(b"client_encoding") or b""
            return ConfigurationError(
                f"client_encoding is set to {encoding.decode()}, which Python cannot read",
                facts=self.facts,
                steps=client_encoding_steps(self.connection),
            )
        return None

    def _with_password(self, application_name: str) -> dict[str, Any]:
        parameters: dict[str, Any] = self.parameters(application_name)
        if self.connection.password is not None:
            parameters["password"] = self.connection.password
        return parameters

    def _from_variables(self) -> dict[str, str]:
        """Translate libpq variables that stand in a file, not in the process's environment."""
        return {
            keyword: self.libpq_variables[variable]
            for keyword, variable in _libpq_keywords().items()
            if variable in self.libpq_variables and variable not in self.environ
        }


def _libpq_keywords() -> dict[str, str]:
    """Map libpq's keywords to the variables that set them: sslmode to PGSSLMODE, …."""
    return {
        option.keyword.decode(): option.envvar.decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar
    }


def prepare(session: Session) -> None:
    """Make the settings in a session that pg_dump makes in its own."""
    # SQL_ASCII means "bytes of unknown meaning": no conversion takes place, and LATIN1 on our side
    # carries each byte there and back. Everything else converts to UTF-8.
    unknown = session.info.parameter_status("server_encoding") == "SQL_ASCII"
    session.execute("SET client_encoding TO LATIN1" if unknown else "SET client_encoding TO UTF8")
    session.execute(query("session_settings"))


def watch_for_our_death(session: Session) -> bool:
    """Let the server notice within seconds that this process died; False if it cannot.

    Without it a session that computes, or waits for a lock, notices only when it next sends.
    """
    try:
        session.execute(
            "SELECT pg_catalog.set_config('client_connection_check_interval', %s, false)",
            [_CHECK_CLIENT_EVERY],
        )
    except psycopg.Error:
        return False  # before 14, or a platform whose kernel does not tell
    return True


def take_your_time(session: Session) -> None:
    """Take away the time limits that a role or a database sets: ours waits while others work."""
    session.execute(query("no_timeouts"))


def readable(session: Session, name: str) -> str:
    """Turn a name as the session carries it into one for people (SQL_ASCII often is UTF-8).

    Bytes that are not UTF-8 become lone surrogates, so that no two names end up as the same.
    """
    if session.info.parameter_status("server_encoding") != "SQL_ASCII":
        return name
    return name.encode("latin-1").decode("utf-8", "surrogateescape")


def carried(session: Session, name: str) -> str:
    """Turn a name of an archive into one as the session carries it: the inverse of ``readable``."""
    if session.info.parameter_status("server_encoding") != "SQL_ASCII":
        return name
    return name.encode("utf-8", "surrogateescape").decode("latin-1")


def translate(error: psycopg.Error, facts: Mapping[str, str]) -> PgvowError:
    """Translate a refusal that came after the connection was made."""
    cause = str(error).strip() or type(error).__name__
    kind: type[PgvowError] = BackupFailed
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        kind = AccessDenied
    return kind(cause, facts=dict(facts), steps=query_steps(error))


def sqlstate_of_refusal(conninfo: str) -> str | None:
    """Connect once more and return the SQLSTATE of the refusal; None if it cannot be had.

    libpq keeps it to itself while it connects, and gives the server's message alone, which may be
    in any language. Only its trace of the protocol has it: that is written to memory, for it may
    hold a password.
    """
    if not sys.platform.startswith("linux"):
        return None
    trace = os.memfd_create("refusal")
    with closing(os.fdopen(trace, "rb")) as file:
        connection = pq.PGconn.connect_start(conninfo.encode())
        try:
            connection.trace(trace)
            _connect(connection)
            connection.untrace()
        except psycopg.Error:
            return None
        finally:
            connection.finish()
        file.seek(0)
        state = _SQLSTATE.search(file.read())
    return state[1].decode() if state else None


def _connect(connection: PGconn) -> None:
    wanted = {
        pq.PollingStatus.READING: select.POLLIN,
        pq.PollingStatus.WRITING: select.POLLOUT,
    }
    while connection.status != pq.ConnStatus.BAD:
        status = pq.PollingStatus(connection.connect_poll())
        if status not in wanted:
            return
        ready = select.poll()
        ready.register(connection.socket, wanted[status])
        if not ready.poll(_ANSWER_MS):
            return
