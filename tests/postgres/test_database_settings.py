"""Values that a restore computes depend on settings of the database itself: they apply to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgvow.errors import CannotBeProven
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restoring import restore
from tests.support.scenarios import SCENARIOS, load
from tests.support.servers import programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_HANGING = """
CREATE TABLE visits (
  at timestamptz, day date CHECK (day = at::date),
  tenant integer CHECK (tenant = current_setting('app.tenant')::integer)
);
INSERT INTO visits SELECT at, at::date, 7
FROM generate_series(timestamptz '2024-01-01 UTC', '2024-01-05 02:00 UTC', '1 h') AS at;
CREATE MATERIALIZED VIEW per_day AS SELECT at::date AS day, count(*) FROM visits GROUP BY 1;
CREATE FUNCTION day_of(timestamptz) RETURNS date IMMUTABLE LANGUAGE sql AS 'SELECT $1::date';
CREATE INDEX ON visits (day_of(at));
"""
_COMPUTED = """
SELECT * FROM per_day ORDER BY day;
SET enable_seqscan TO off;
SELECT count(*) FROM visits WHERE day_of(at) = '2024-01-05';
"""
_SETTINGS = """
SELECT unnest(setconfig) FROM pg_db_role_setting
WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = '{}') ORDER BY 1
"""


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("jobs", [1, 2])
def test_settings_of_the_database_apply_during_a_restore(
    server: TestServer, fresh: str, tmp_path: Path, jobs: int
) -> None:
    """Checks, indexes and materialized views are computed under them.

    Those that would stop a restore follow when all is done.
    """
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(
        "postgres",
        f"""ALTER DATABASE {source} SET timezone TO 'Asia/Tokyo';
        ALTER DATABASE {source} SET "app.tenant" TO '7';""",
    )
    server.psql(source, _HANGING)
    server.psql(
        "postgres",
        f"""ALTER DATABASE {source} SET default_transaction_read_only TO on;
        ALTER DATABASE {source} SET default_transaction_isolation TO serializable;
        ALTER DATABASE {source} SET session_replication_role TO replica;
        ALTER DATABASE {source} SET temp_file_limit TO 0;
        ALTER DATABASE {source} SET search_path TO nowhere;""",
    )
    result = restore(server, back_up(server, source, tmp_path).backup.path, fresh, jobs=jobs)
    assert result.comparison is not None
    assert result.comparison.equal
    computed = server.psql(source, f"SET search_path TO public;{_COMPUTED}")
    assert "2024-01-05|12\n" in computed
    assert computed == server.psql(fresh, f"SET search_path TO public;{_COMPUTED}")
    settings = server.psql("postgres", _SETTINGS.format(source))
    assert "default_transaction_read_only=on\n" in settings
    assert settings == server.psql("postgres", _SETTINGS.format(fresh))


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_text_search_configuration_is_the_default_before_rows(
    server: TestServer, fresh: str, tmp_path: Path, jobs: int
) -> None:
    """A text search configuration of the database's own is its default before rows come."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(
        source,
        f"""CREATE TEXT SEARCH CONFIGURATION own (COPY = pg_catalog.german);
        ALTER DATABASE {source} SET default_text_search_config TO 'public.own';""",
    )
    server.psql(
        source,
        """CREATE TABLE t (said text CHECK (to_tsvector(said) @@ 'haus'));
        INSERT INTO t VALUES ('die Häuser');
        CREATE MATERIALIZED VIEW words AS SELECT to_tsvector(said) FROM t;""",
    )
    restore(server, back_up(server, source, tmp_path).backup.path, fresh, jobs=jobs)
    assert "'haus':2\n" == server.psql(fresh, "SELECT * FROM words")


def test_settings_of_the_database_apply_during_a_proof(pg15: TestServer, tmp_path: Path) -> None:
    """Values computed in a proof, on a newer server too, equal those of the source."""
    scenario = next(one for one in SCENARIOS if one.name == "database_settings")
    source = load(pg15, scenario)
    days = "SELECT day::text, visits, said FROM own.per_day ORDER BY 1"
    seen: list[list[tuple[object, ...]]] = []

    def look(conninfo: str) -> None:
        with psycopg.connect(conninfo) as session:
            seen.append(session.execute(days).fetchall())

    try:
        look(pg15.conninfo(source))
        dump = back_up(pg15, source, tmp_path).backup.path
    finally:
        pg15.drop_database(source)
    result = prove_backup(
        StoredBackup.at(dump), ProveOptions(jobs=2, pg_bin=programs(18)), a_context(), between=look
    )
    assert () == result.warnings
    assert result.proven
    expected, found = seen
    assert expected == found


@pytest.fixture
def prover(pg18: TestServer) -> Iterator[str]:
    """The connection string of a role that may act for the superuser, and is none."""
    name = pg18.unique_name("prover")
    pg18.psql("postgres", f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'secret'")
    pg18.psql("postgres", f"GRANT {pg18.superuser} TO {name}")
    yield make_conninfo(pg18.conninfo("postgres"), user=name, password="secret")
    pg18.psql("postgres", f"DROP ROLE {name}")


def test_a_refused_setting_is_no_verdict(
    pg18: TestServer, make_database: MakeDatabase, prover: str, tmp_path: Path
) -> None:
    """A setting that is refused is reported; a failure for want of it is no verdict."""
    source = make_database(pg18)
    pg18.psql(source, f"""ALTER DATABASE {source} SET "app.tenant" TO '7'""")
    pg18.psql(source, "CREATE TABLE t (n integer)")

    def prove() -> tuple[str, ...]:
        dump = back_up(pg18, source, tmp_path).backup.path
        options = ProveOptions(on=prover, jobs=2)
        result = prove_backup(StoredBackup.at(dump), replace(options, pg_bin=pg18.bin), a_context())
        assert result.proven
        return result.warnings

    (warning,) = prove()
    assert "app.tenant is not to be had here: permission denied" in warning
    pg18.psql(source, "ALTER TABLE t ADD CHECK (n = current_setting('app.tenant')::integer)")
    pg18.psql(source, "INSERT INTO t VALUES (7)")
    with pytest.raises(CannotBeProven, match=r"not to be had here: app\.tenant"):
        prove()
