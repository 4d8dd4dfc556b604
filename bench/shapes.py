"""Databases of three shapes, and their archives, for measuring how fast archives are read."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from demo_database import demo_database
from psycopg import sql

from pgvow.operations.demo import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.postgres.binaries import Installation

SHAPES = ("several", "giant", "many")
# Of the demo's messages there are so many distinct ones, about 17 MB: farther apart than the
# window of any compression here, so that rows copied from them do not compress better.
MESSAGES = 40_000
MANY = 1000

_EMPTY = sql.SQL("CREATE TABLE {}.{} (LIKE public.messages)")
_COPIES = sql.SQL("INSERT INTO {}.{} SELECT * FROM public.messages LIMIT {}")
_EVENTS = sql.SQL(
    "CREATE TABLE {}.events AS SELECT n AS id, n * 7919::bigint % 4001 AS chat,"
    " n * 104729::bigint % 97 AS kind,"
    " timestamptz '2026-01-01 00:00Z' + n * interval '1.37 s' AS at"
    " FROM generate_series(1, {}) AS n"
)
_VECTORS = sql.SQL(
    "CREATE TABLE {}.vectors AS SELECT n AS id, array(SELECT (sin(n * 78.233 + k * 12.9898) * 0.1)"
    "::real FROM generate_series(1, 384) AS k) AS embedding FROM generate_series(1, {}) AS n"
)


@contextmanager
def database_of_shapes(megabytes: int) -> Iterator[tuple[Installation, dict[str, str]]]:
    """Yield programs and environment; each shape is a schema of about so many MB of COPY text."""
    with demo_database(MESSAGES) as (programs, environ):
        conninfo = psycopg.conninfo.make_conninfo(
            host=environ["DEV_DB_HOST"],
            port=environ["DEV_DB_PORT"],
            user=environ["DEV_DB_USER"],
            password=environ["DEV_DB_PASSWORD"],
            dbname=DATABASE,
        )
        with psycopg.connect(conninfo, autocommit=True) as session:
            _fill(session, megabytes)
        yield programs, {**environ, "PGPASSWORD": environ["DEV_DB_PASSWORD"]}


def _fill(session: psycopg.Connection, megabytes: int) -> None:
    for shape in SHAPES:
        session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(shape)))
    total = session.execute("SELECT sum(length(m::text)) FROM public.messages AS m").fetchall()
    copies = megabytes * 1e6 / float(total[0][0])
    _copies(session, "giant", "messages", copies)
    for number, share in enumerate((0.25, 0.15, 0.1, 0.05, 0.05)):
        _copies(session, "several", f"messages_{number}", copies * share)
    session.execute(_EVENTS.format(sql.Identifier("several"), sql.Literal(megabytes * 4500)))
    session.execute(_VECTORS.format(sql.Identifier("several"), sql.Literal(megabytes * 50)))
    for number in range(MANY):
        _copies(session, "many", f"messages_{number}", copies / MANY)


def _copies(session: psycopg.Connection, schema: str, table: str, copies: float) -> None:
    """Make a table of the demo's messages, so many times over, or of a part of them."""
    names = sql.Identifier(schema), sql.Identifier(table)
    session.execute(_EMPTY.format(*names))
    rows = round(MESSAGES * copies)
    for done in range(0, rows, MESSAGES):
        session.execute(_COPIES.format(*names, sql.Literal(min(MESSAGES, rows - done))))


def dump(
    programs: Installation, environ: dict[str, str], shape: str, method: str, target: Path
) -> Path:
    """Archive one shape with the stock pg_dump; ``method`` is what its -Z takes."""
    command = [str(programs.bin / "pg_dump"), "-Fc", "-Z", method, "-n", shape]
    command += ["-f", str(target), "-h", environ["DEV_DB_HOST"], "-p", environ["DEV_DB_PORT"]]
    command += ["-U", environ["DEV_DB_USER"], DATABASE]
    subprocess.run(command, env=programs.environment(environ), check=True)
    return target
