"""Restore with PostgreSQL's own tools alone, and count what came back: the tests' own judge."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.model import table_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import Server

_TABLES = """
SELECT n.nspname, c.relname
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND NOT EXISTS (
        SELECT FROM pg_extension AS e WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig)
      )
  )
"""


@contextmanager
def restore_fresh(server: Server, dump: Path) -> Iterator[str]:
    """Restore a dump into a new database of the same encoding; yields its name, drops it after."""
    name = f"restored_{uuid.uuid4().hex[:12]}"
    encoding = _encoding(server, dump)
    server.create_database(name, encoding=encoding, locale="C")
    try:
        # The schema public is there already; everything else has to restore without an error.
        subprocess.run(
            [server.bin / "pg_restore", "--exit-on-error", "--no-password", "-d", name, dump],
            env=server.environment(name),
            check=True,
            capture_output=True,
        )
        yield name
    finally:
        server.drop_database(name)


def _encoding(server: Server, dump: Path) -> str:
    script = subprocess.run(
        [server.bin / "pg_restore", "-f", "-", "--schema-only", dump],
        env=server.environment("postgres"),
        check=True,
        capture_output=True,
    ).stdout
    for line in script.splitlines():
        if line.startswith(b"SET client_encoding"):
            return line.split(b"'")[1].decode()
    raise AssertionError("the archive names no encoding")


def rows_by_key(server: Server, database: str) -> dict[str, int]:
    """Count every table of a database, by the keys that metadata use."""
    with server.connect(database) as session:
        session.execute("SET search_path TO ''")
        tables = session.execute(_TABLES).fetchall()
        return {
            table_key(_text(schema), _text(name)): _count(session, schema, name)
            for schema, name in tables
        }


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()


def _count(session: object, schema: str, name: str) -> int:
    statement = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, name))
    return int(session.execute(statement).fetchone()[0])  # type: ignore[attr-defined]
