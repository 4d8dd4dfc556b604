"""Materialized views whose owners are subject to row security, which pg_restore cannot fill."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.operations.show import show_backup
from pgvow.store import StoredBackup
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restoring import restore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres.conftest import MakeRole
    from tests.support.servers import TestServer

_SCHEMA = """
CREATE TABLE accounts (n integer PRIMARY KEY, kind integer);
INSERT INTO accounts SELECT n, n % 3 FROM generate_series(1, 900) AS n;
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY a_third ON accounts USING (kind = 1);
ALTER TABLE accounts OWNER TO {owner};
CREATE MATERIALIZED VIEW few AS SELECT * FROM accounts;
CREATE UNIQUE INDEX ON few (n);
ALTER MATERIALIZED VIEW few OWNER TO {owner};
REFRESH MATERIALIZED VIEW few;
CREATE MATERIALIZED VIEW fewer AS SELECT count(*) AS count FROM few;
CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS count FROM accounts;
"""
_FOUND = "SELECT (SELECT count(*) FROM few), (SELECT count FROM fewer), (SELECT count FROM whole)"
_EXPECTED = (300, 300, 900)


@pytest.fixture
def owner(role: MakeRole) -> str:
    """The role that owns the table and the view, and sees a third of the rows."""
    return role()


@pytest.fixture
def dump(server: TestServer, owner: str, fresh: str, tmp_path: Path) -> Path:
    """A backup of such views, as they are at the source."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _SCHEMA.format(owner=owner))
    assert [_EXPECTED] == rows(server.conninfo(source))
    return back_up(server, source, tmp_path).backup.path


def rows(conninfo: str) -> list[tuple[int, ...]]:
    """How many rows each view has."""
    with psycopg.connect(conninfo) as session:
        return session.execute(_FOUND).fetchall()


@pytest.mark.parametrize("jobs", [1, 2])
def test_filtered_views_are_restored_with_the_owners_rows(
    server: TestServer, fresh: str, dump: Path, jobs: int
) -> None:
    """They come back with the rows that their owners see, and no more."""
    result = restore(server, dump, fresh, jobs=jobs)
    assert result.comparison is not None
    assert result.comparison.equal
    assert [_EXPECTED] == rows(server.conninfo(fresh))


def test_filtered_views_are_filled_as_the_mapped_owner(
    server: TestServer, role: MakeRole, owner: str, fresh: str, dump: Path
) -> None:
    """They are filled as the owners that they are given to."""
    restore(server, dump, fresh, owner_map={owner: role()})
    assert [_EXPECTED] == rows(server.conninfo(fresh))


def test_filtered_views_are_proven(server: TestServer, dump: Path) -> None:
    """On a throw-away server they have the rows that their owners see."""
    seen: list[tuple[int, ...]] = []
    result = prove_backup(
        StoredBackup.at(dump),
        ProveOptions(jobs=2, pg_bin=server.bin),
        a_context(),
        between=lambda conninfo: seen.extend(rows(conninfo)),
    )
    assert () == result.evidence.differences
    assert result.proven
    assert [_EXPECTED] == seen


@pytest.mark.majors(15, 18)
def test_the_shown_stock_commands_fill_filtered_views(
    server: TestServer, fresh: str, dump: Path
) -> None:
    """The commands that show gives for stock tools fill them as well."""
    commands = show_backup(StoredBackup.at(dump), a_context({})).restore.commands[1:]
    script = "\n".join(re.sub(r"\brestored\b", fresh, command) for command in commands)
    env = server.environment("postgres")
    env["PATH"] = f"{server.bin}:{env['PATH']}"
    subprocess.run(["bash", "-euc", script], env=env, check=True, capture_output=True)
    assert [_EXPECTED] == rows(server.conninfo(fresh))
