"""The planner's statistics: kept if asked for, and restored in the place of an ANALYZE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_SCHEMA = """
CREATE TABLE t AS SELECT n, n % 5 AS m FROM generate_series(1, 1000) AS n;
CREATE INDEX ON t (n);
CREATE MATERIALIZED VIEW v AS SELECT m, count(*) FROM t GROUP BY m;
CREATE SCHEMA x;
CREATE TABLE x.p (a int) PARTITION BY LIST (a);
CREATE TABLE x.p1 PARTITION OF x.p FOR VALUES IN (1);
INSERT INTO x.p SELECT 1 FROM generate_series(1, 10);
ANALYZE;
INSERT INTO t SELECT n, 7 FROM generate_series(1, 500) AS n;
"""
_STATISTICS = """
SELECT relname, reltuples FROM pg_class WHERE relname IN ('t', 'v', 'p1') ORDER BY 1;
SELECT schemaname, tablename, attname, n_distinct FROM pg_stats
WHERE schemaname IN ('public', 'x') ORDER BY 1, 2, 3
"""


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_statistics_are_kept_and_restored_by_both_engines(
    server: TestServer, database: str, tmp_path: Path, jobs: str
) -> None:
    """As they were at the source, outdated ones too, by both engines; the backup is proven."""
    server.psql(database, _SCHEMA)
    shell = Commands(tmp_path, settings_for(server, database))
    made = shell.pgvow("backup", "--statistics", "--jobs", jobs, "--json")
    assert 0 == made.code, made.err
    dump = made.json["backup_path"]
    assert 0 == shell.pgvow("prove", dump).code
    for restoring in ("1", "4"):
        name = f"{database}_{restoring}"
        done = shell.pgvow("restore", dump, "--to", name, "--jobs", restoring)
        try:
            assert 0 == done.code, done.err
            assert server.psql(database, _STATISTICS) == server.psql(name, _STATISTICS)
        finally:
            server.drop_database(name)


@pytest.mark.majors(15)
def test_a_pg_dump_without_statistics_is_a_warning(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """An older pg_dump has none: a warning, and the backup is made."""
    shell = Commands(tmp_path, settings_for(server, database))
    done = shell.pgvow("backup", "--statistics")
    assert 0 == done.code, done.err
    assert "has no --statistics" in done.err
