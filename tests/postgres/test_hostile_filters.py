"""The filter of an extension's configuration table is one condition, or the backup is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from pgvow.errors import CannotBeProven
from pgvow.postgres.copy_out import copy_rows, restored_tables
from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.hostile import catalog

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_JOBS = pytest.mark.parametrize("jobs", ["1", "2"])
_REFUSED = [(kind, "1" if turn % 2 else "2") for turn, kind in enumerate(catalog.FILTERS)]
"""Each filter with an engine: it is refused before one is started."""
_OF_PG_DUMP_ALONE = "1"
# pg_dump itself cannot use the comment: what it writes behind the filter is in it.
_APPLIED = [(15, "condition", "1"), (15, "limit", "2")] + [
    (18, kind, jobs)
    for kind in catalog.SOUND_FILTERS
    for jobs in ("1", "2")
    if (kind, jobs) != ("comment", _OF_PG_DUMP_ALONE)
]


def _set_filter(server: TestServer, database: str, condition: str) -> None:
    with server.connect(database) as session:
        session.execute(catalog.REGISTER)
        session.execute(catalog.SET_FILTER, [condition])


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize(("kind", "jobs"), _REFUSED)
def test_an_invalid_filter_refuses_the_backup_and_runs_nothing(
    server: TestServer, database: str, tmp_path: Path, kind: str, jobs: str
) -> None:
    """A filter that is more or less than one is refused by the table's name, 7; nothing runs."""
    assert_refused(server, database, tmp_path, kind, jobs)


@_JOBS
def test_both_engines_refuse_a_filter_on_every_major(
    server: TestServer, database: str, tmp_path: Path, jobs: str
) -> None:
    """One of the invalid filters with either engine, on 15 to 18."""
    assert_refused(server, database, tmp_path, "program, the rest eaten", jobs)


def assert_refused(server: TestServer, database: str, tmp_path: Path, kind: str, jobs: str) -> None:
    """Back up with the filter: 7 by the table's name, no file, and nothing has run."""
    planted = server.data_directory / catalog.CANARY
    condition = catalog.FILTERS[kind].replace("{canary}", str(planted))
    _set_filter(server, database, condition)
    done = Commands(tmp_path, settings_for(server, database)).run(
        "--json", "--full", "--jobs", jobs, "--space-factor", "0"
    )
    assert 7 == done.code, done.err
    assert "filter of table cfg in pg_extension.extcondition" in done.err
    assert [] == left_in(tmp_path / "db/backups")
    assert [] == list(tmp_path.rglob(catalog.CANARY))
    assert not planted.exists()
    with server.connect(database) as session:
        assert (None,) == session.execute("SELECT to_regclass('pgvow_was_here')").fetchone()


@pytest.mark.parametrize(("server", "kind", "jobs"), _APPLIED, indirect=["server"])
def test_a_valid_filter_is_applied_by_both_engines(
    server: TestServer, database: str, tmp_path: Path, kind: str, jobs: str
) -> None:
    """A filter that is one is applied by both engines, whatever stands in its literals."""
    condition, rows = catalog.SOUND_FILTERS[kind]
    _set_filter(server, database, condition)
    done = Commands(tmp_path, settings_for(server, database)).run(
        "--json", "--full", "--jobs", jobs, "--space-factor", "0"
    )
    assert 0 == done.code, done.err
    assert {"cfg": rows} == done.json["metadata"]["table_counts"]
    assert [] == list(tmp_path.rglob(catalog.CANARY))


@pytest.mark.majors(15, 18)
@_JOBS
def test_a_failing_filter_fails_the_backup_with_the_servers_words(
    server: TestServer, database: str, tmp_path: Path, jobs: str
) -> None:
    """A filter that the server cannot compute fails the backup with the server's words."""
    _set_filter(server, database, "WHERE 1 / (a - 2) > 5")
    done = Commands(tmp_path, settings_for(server, database)).run(
        "--json", "--full", "--jobs", jobs, "--space-factor", "0"
    )
    assert 7 == done.code, done.err
    assert "division by zero" in done.err
    assert [] == left_in(tmp_path / "db/backups")


@pytest.mark.majors(15, 18)
@_JOBS
def test_hostile_names_run_nothing_and_are_counted(
    server: TestServer, database: str, tmp_path: Path, jobs: str
) -> None:
    """Whatever tables and columns are called, nothing runs and the counts have the true names."""
    with psycopg.connect(server.conninfo(database), autocommit=True) as session:
        for name in catalog.NAMES.values():
            session.execute(
                sql.SQL("CREATE TABLE {} AS SELECT 1 AS {}").format(
                    sql.Identifier(name), sql.Identifier(name)
                )
            )
    done = Commands(tmp_path, settings_for(server, database)).run(
        "--json", "--full", "--jobs", jobs, "--space-factor", "0"
    )
    assert 0 == done.code, done.err
    counted = {table["name"] for table in done.json["metadata"]["tables"]}
    assert set(catalog.NAMES.values()) == counted
    assert [] == list(tmp_path.rglob(catalog.CANARY))


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("kind", catalog.FILTERS)
def test_a_restored_filter_is_no_verdict_and_runs_nothing(
    server: TestServer, database: str, kind: str
) -> None:
    """A restored catalog's filter is as little to be trusted: no verdict, 13, and nothing runs."""
    planted = server.data_directory / catalog.CANARY
    _set_filter(server, database, catalog.FILTERS[kind].replace("{canary}", str(planted)))
    with server.connect(database) as session:
        (table,) = [one for one in restored_tables(session) if one.name == "cfg"]
        with pytest.raises(CannotBeProven, match="extcondition"):
            list(copy_rows(session, table, ["a"], encoding="UTF8"))
        assert not planted.exists()
        assert (None,) == session.execute("SELECT to_regclass('pgvow_was_here')").fetchone()
