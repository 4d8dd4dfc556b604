"""Small databases that hurt people: ``tests/cases/NAME.sql``, one a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.servers import TestServer

_FOLDER = Path(__file__).resolve().parents[1] / "cases"


def load_case(server: TestServer, name: str) -> str:
    """Load a case into a new database and return its name; the caller drops it."""
    database = server.unique_name(name)
    server.create_database(database)
    try:
        server.psql("postgres", _DROP_TENANT)
        server.psql(database, _FOLDER / f"{name}.sql")
    except BaseException:
        server.drop_database(database)
        raise
    return database


# A case makes its roles itself, and so they must not be there.
_DROP_TENANT = "DROP ROLE IF EXISTS tenant"
