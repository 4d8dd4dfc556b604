"""Restore with PostgreSQL's own tools alone, and count the rows: the tests' own judge."""

from __future__ import annotations

import re
import subprocess
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pgvow.model import table_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from tests.support.servers import TestServer

_SETTING = re.compile(rb"^ALTER DATABASE (?:\w+|\"[^\"\n]+\") SET (.+;)$", re.MULTILINE)
_TABLES = """
SELECT n.nspname, c.relname, coalesce(f.condition, '')
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_depend AS d
  ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
LEFT JOIN LATERAL (
  SELECT unnest(e.extconfig) AS relation, unnest(e.extcondition) AS condition
  FROM pg_extension AS e WHERE e.oid = d.refobjid
) AS f ON f.relation = c.oid
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (d.objid IS NULL OR f.relation IS NOT NULL)
"""


@contextmanager
def restore_fresh(server: TestServer, dump: Path) -> Iterator[str]:
    """Restore a dump into a new database of the same encoding; yields its name, drops it after."""
    name = f"restored_{uuid.uuid4().hex[:12]}"
    script = _script(server, dump)
    server.create_database(name, encoding=_encoding(script), locale="C")
    try:
        # As by pg_restore -C, which knows no other name than the source's.
        for setting in _SETTING.findall(script):
            server.psql("postgres", f"ALTER DATABASE {name} SET {setting.decode()}")
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


def _script(server: TestServer, dump: Path) -> bytes:
    return subprocess.run(
        [server.bin / "pg_restore", "-f", "-", "--create", "--schema-only", dump],
        env=server.environment("postgres"),
        check=True,
        capture_output=True,
    ).stdout


def _encoding(script: bytes) -> str:
    for line in script.splitlines():
        if line.startswith(b"SET client_encoding"):
            return line.split(b"'")[1].decode()
    raise AssertionError("the archive names no encoding")


def rows_by_key(server: TestServer, database: str) -> dict[str, int]:
    """Count every table of a database, by the keys that metadata use.

    An extension's configuration table is counted through the extension's own filter: what the
    filter leaves out comes with CREATE EXTENSION.
    """
    with server.connect(database) as session:
        session.execute("SET search_path TO ''")
        any_bytes = session.info.parameter_status("server_encoding") == "SQL_ASCII"
        # No conversion takes place: LATIN1 on our side carries each byte there and back.
        session.execute("SET client_encoding TO LATIN1" if any_bytes else "RESET client_encoding")
        text = _as_utf8 if any_bytes else str
        return {
            table_key(text(schema), text(name)): _count(session, schema, name, condition)
            for schema, name, condition in session.execute(_TABLES).fetchall()
        }


def _as_utf8(name: str) -> str:
    """A name of unknown encoding, as UTF-8; other bytes as Python escapes them."""
    return name.encode("latin-1").decode("utf-8", "surrogateescape")


def _count(
    session: psycopg.Connection[tuple[Any, ...]], schema: str, name: str, condition: str
) -> int:
    statement = sql.SQL("SELECT count(*) FROM ONLY {} {}").format(
        sql.Identifier(schema, name), sql.SQL(condition)
    )
    row = session.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
