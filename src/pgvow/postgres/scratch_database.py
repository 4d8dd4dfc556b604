"""The server that a proof is made on: how its databases are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgvow.errors import ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    from pgvow.postgres.connection import Session


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
