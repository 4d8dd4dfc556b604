"""Databases of three shapes on a server of their own, for measuring engines."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pgvow.postgres.embedded import embedded_vectors
from pgvow.postgres.throwaway import ThrowawayServer
from tests.support.servers import MAJORS, programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHAPES = ("chat", "giant", "many")
_SQL = Path(__file__).with_name("data")
_SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "256MB",
    # pg_dump -j wants the locks of 5,000 tables twice.
    "max_locks_per_transaction": "256",
}
_VECTORS = "ALTER TABLE embeddings ALTER embedding TYPE vector(384) USING embedding::vector"


@dataclass(frozen=True, slots=True)
class Range:
    """Blocks of a table, from ``start`` to before ``end``; ``name`` is quoted."""

    name: str
    start: int
    end: int


@contextmanager
def bench_server(major: int) -> Iterator[ThrowawayServer]:
    """Run a server of this major, with pgvector where that is to be had."""
    vectors = embedded_vectors() if major == max(MAJORS) else None
    with ThrowawayServer(programs(major), settings=_SETTINGS, vectors=vectors) as server:
        yield server


def make_database(server: ThrowawayServer, shape: str, megabytes: int) -> None:
    """Make the database that is called like the shape, of about so much COPY text."""
    server.create_database(shape)
    with psycopg.connect(server.conninfo(shape), autocommit=True) as session:
        session.execute("SELECT set_config('bench.megabytes', %s, false)", [str(megabytes)])
        for name in ("base", shape):
            session.execute((_SQL / f"{name}.sql").read_bytes())
        session.execute("DROP SCHEMA base CASCADE")
        if shape == "chat" and _has_vector(session):
            session.execute("CREATE EXTENSION vector")
            session.execute(_VECTORS)
        session.execute("VACUUM FREEZE ANALYZE")
        session.execute("CHECKPOINT")


def _has_vector(session: psycopg.Connection) -> bool:
    found = session.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'")
    return found.fetchone() is not None


def database_size(server: ThrowawayServer, shape: str) -> int:
    """Return the bytes that the database takes."""
    with psycopg.connect(server.conninfo(shape)) as session:
        row = session.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def ranges(server: ThrowawayServer, shape: str, blocks: int) -> Sequence[Range]:
    """Return all tables, cut into ranges of so many blocks."""
    with psycopg.connect(server.conninfo(shape)) as session:
        rows = session.execute((_SQL / "tables.sql").read_bytes()).fetchall()
    return [
        Range(name, start, min(start + blocks, size))
        for name, size in rows
        for start in range(0, size, blocks)
    ]
