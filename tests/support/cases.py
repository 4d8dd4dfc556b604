"""Small databases that hurt people: ``tests/cases/NAME.sql``, one a file.

Those in ``tests/cases/rescue`` break their own rules: a line ``-- finish:`` has the statements that
mend the rows, and ``-- rejected:`` the number of rows that no table takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.servers import TestServer

_FOLDER = Path(__file__).resolve().parents[1] / "cases"


def case_file(name: str) -> Path:
    """Return the path of a case."""
    path = _FOLDER / f"{name}.sql"
    return path if path.exists() else _FOLDER / "rescue" / f"{name}.sql"


def said_of(name: str, word: str) -> str:
    """Return what the head of a case says behind a word; nothing if it does not."""
    lines = case_file(name).read_text("utf-8").splitlines()
    return next((line[len(word) + 5 :] for line in lines if line.startswith(f"-- {word}: ")), "")


def load_case(server: TestServer, name: str) -> str:
    """Load a case into a new database and return its name; the caller drops it."""
    database = server.unique_name(name)
    server.create_database(database)
    try:
        server.psql("postgres", _DROP_TENANT)
        server.psql(database, case_file(name))
    except BaseException:
        server.drop_database(database)
        raise
    return database


# A case makes its roles itself, and so they must not be there.
_DROP_TENANT = "DROP ROLE IF EXISTS tenant"
