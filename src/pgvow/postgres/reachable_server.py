"""The server that a proof is made on: how its databases are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgvow.errors import ConfigurationError, ConnectionFailed
from pgvow.postgres.connection import take_your_time
from pgvow.postgres.watched_sessions import WatchedConnection
from pgvow.settings import SECRET_PARAMETERS

if TYPE_CHECKING:
    from pgvow.postgres.connection import Session


class ReachableServer(Protocol):
    """A server that databases can be made on; a ThrowawayServer is one."""

    def conninfo(self, dbname: str) -> str:
        """Compose the connection string for one of its databases."""


class DsnServer:
    """The server that a connection string of the user's leads to.

    ``options`` replace the connection string's own.
    """

    def __init__(self, dsn: str) -> None:
        try:
            given = conninfo_to_dict(dsn)
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(
                f"--on is no connection string: {str(error).strip()}",
                steps=["For example: --on 'host=/run/postgresql user=postgres'"],
            ) from error
        # The password alone has a variable that the tools read it from.
        if secrets := sorted(SECRET_PARAMETERS.intersection(given) - {"password"}):
            raise ConfigurationError(
                f"--on has {', '.join(secrets)}, which would stand on the command lines of pg_dump"
                " and pg_restore, where everybody can read it",
                steps=["Keep it in a service file: --on service=NAME"],
            )
        self.database = str(given.get("dbname") or "postgres")
        self._dsn = dsn
        self.options: str | None = None

    def conninfo(self, dbname: str) -> str:
        """Compose the connection string for one of its databases."""
        return make_conninfo(self._dsn, dbname=dbname, options=self.options)


def tool_connection(
    place: ReachableServer, dbname: str, *, options: str = ""
) -> tuple[str, dict[str, str]]:
    """Split a connection string for a tool into command line and environment.

    ``options`` are added if it has some, for they would hide those of PGOPTIONS.
    """
    parameters = conninfo_to_dict(place.conninfo(dbname))
    if options and "options" in parameters:
        parameters["options"] = f"{parameters['options']} {options}".strip()
    password = parameters.pop("password", None)
    secret = {"PGPASSWORD": str(password)} if password else {}
    return make_conninfo("", **parameters), secret


def open_session(place: ReachableServer, dbname: str) -> Session:
    """Open an autocommit session; raises ConnectionFailed."""
    try:
        conninfo = place.conninfo(dbname)
        session = WatchedConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise ConnectionFailed(
            str(error).strip(), steps=["Check the connection string given with --on"]
        ) from error
    session.watched("the server of the proof", conninfo_to_dict(conninfo))
    take_your_time(session)
    return session
