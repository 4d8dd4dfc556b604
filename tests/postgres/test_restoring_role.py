"""The role that restores in a superuser's place: made for it, gone afterwards, and told if not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from pgvow.errors import RestoreFailed
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.operations.restore.swap import SwapNames
from pgvow.postgres.restorer import change_grants
from pgvow.store import StoredBackup
from tests.support.cases import load_case
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restoring import restore
from tests.support.scenarios import SCENARIOS, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartServer
    from tests.support.servers import TestServer

_ROLES = "SELECT rolname FROM pg_roles WHERE rolname ~ '^pgvow|_pgvow_' ORDER BY 1"
_ONLY_US = "local all postgres scram-sha-256\nlocal all all reject\n"
_OWNERS = """
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""
# Behind the operator comes an entry for a superuser, and then the catalog is asked again.
_TRAP = """
CREATE EXTENSION pgvow_conf;
CREATE FUNCTION trap(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('is_superuser') = 'on' THEN RAISE 'run by a superuser'; END IF;
  RETURN $1 OPERATOR(pg_catalog.=) $2::oid;
END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = trap);
CREATE FOREIGN DATA WRAPPER nothing;
"""
_WARNED = "run with the rights of postgres, a superuser"
_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.majors(15, 18)
def test_the_role_is_dropped_after_success_and_failure(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """Neither a restore that succeeds nor one that fails leaves a role."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    dump = back_up(server, source, tmp_path / "good").backup.path
    restore(server, dump, f"{fresh}_1")
    assert "" == server.psql("postgres", _ROLES)
    server.psql(
        source,
        "CREATE FUNCTION f(int) RETURNS boolean LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN current_user = 'postgres'; END $$;"
        "ALTER TABLE t ADD CHECK (f(a))",
    )
    dump = back_up(server, source, tmp_path / "bad").backup.path
    with pytest.raises(RestoreFailed, match="violates check constraint"):
        restore(server, dump, f"{fresh}_2")
    assert "" == server.psql("postgres", _ROLES)


@pytest.mark.majors(15, 18)
def test_the_role_of_a_killed_restore_is_dropped_by_the_next(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """The next restore into the same name drops it, and says so; others' roles stay."""
    source = f"{fresh}_source"
    server.create_database(source)
    dump = back_up(server, source, tmp_path).backup.path
    left = SwapNames.at(f"{fresh}_1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)).temporary
    server.psql(
        "postgres",
        f"""CREATE ROLE "{left}" LOGIN;
        COMMENT ON ROLE "{left}" IS 'pgvow: restores into {fresh}_1'""",
    )
    result = restore(server, dump, f"{fresh}_1")
    assert [f"dropped the role {left}, left by a restore that died"] == list(result.warnings)
    assert "" == server.psql("postgres", _ROLES)


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("name", ["large_objects", "extension_config", "matviews_foreign"])
def test_if_the_role_cannot_log_in_the_restore_warns_and_goes_on(
    start_server: StartServer, server: TestServer, tmp_path: Path, name: str
) -> None:
    """If pg_hba.conf lets only us in, we restore as ourselves, with one warning, and all comes."""
    alone = start_server(server.major)
    source = load(alone, _BY_NAME[name])
    dump = back_up(alone, source, tmp_path).backup.path
    (alone.data_directory / "pg_hba.conf").write_text(_ONLY_US)
    alone.psql("postgres", "SELECT pg_reload_conf()")
    result = restore(alone, dump, f"{source}_restored")
    assert 1 == sum(_WARNED in one for one in result.warnings)
    assert result.comparison is not None
    assert result.comparison.equal
    proof = prove_backup(
        StoredBackup.at(dump),
        ProveOptions(on=alone.conninfo("postgres"), jobs=2, pg_bin=alone.bin),
        a_context(),
    )
    assert proof.proven
    assert 1 == sum(_WARNED in one for one in proof.warnings)
    assert "" == alone.psql("postgres", _ROLES)


@pytest.mark.majors(15, 18)
def test_no_owner_makes_the_superuser_owner_of_everything(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """With --no-owner nothing belongs to the tenant, nor to a role that is gone."""
    source = load_case(server, "tenant_everywhere")
    try:
        dump = back_up(server, source, tmp_path).backup.path
        restore(server, dump, f"{fresh}_1", no_owner=True)
    finally:
        server.drop_database(source)
    assert "postgres\n" == server.psql(f"{fresh}_1", _OWNERS)


@pytest.mark.majors(15, 18)
def test_our_queries_never_run_operators_of_the_backup(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """An operator of the backup's that fits better than the catalog's is not run by a superuser."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _TRAP)
    dump = back_up(server, source, tmp_path).backup.path
    result = restore(server, dump, f"{fresh}_1")
    assert result.comparison is not None
    assert result.comparison.equal


@pytest.mark.majors(15, 18)
def test_the_role_of_a_killed_proof_is_dropped_by_the_next(
    server: TestServer, tmp_path: Path
) -> None:
    """The next proof on the server drops it; the role of one that is under way would stay."""
    left = "pgvow_proof_0123456789ab_restorer"
    server.psql(
        "postgres",
        f"CREATE ROLE {left} LOGIN;"
        f"COMMENT ON ROLE {left} IS"
        " 'pgvow: restores, made by postgres for pgvow_proof_0123456789ab'",
    )
    source = load(server, _BY_NAME["sequences"])
    try:
        dump = back_up(server, source, tmp_path).backup.path
    finally:
        server.drop_database(source)
    proof = prove_backup(
        StoredBackup.at(dump),
        ProveOptions(on=server.conninfo("postgres"), jobs=2, pg_bin=server.bin),
        a_context(),
    )
    assert proof.proven
    assert (f"cleared away what a proof left that was killed: {left}",) == proof.warnings
    assert "" == server.psql("postgres", _ROLES)


@pytest.mark.majors(15, 18)
def test_each_database_of_a_proof_has_its_own_role(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """The end of one filling takes its role's grants everywhere: no other may be filled by it."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, "CREATE SCHEMA audit; CREATE TABLE audit.t AS SELECT 1 AS n")
    dump = back_up(server, source, tmp_path).backup.path
    roles: list[str] = []

    def look(_: str) -> None:
        roles.extend(server.psql("postgres", _ROLES).split())

    proof = prove_backup(
        StoredBackup.at(dump),
        ProveOptions(on=server.conninfo("postgres"), jobs=2, pg_bin=server.bin),
        a_context(),
        between=look,
    )
    assert proof.proven
    assert ["_restorer_0", "_restorer_1"] == sorted(name[-11:] for name in roles)


def test_concurrent_tablespace_grants_are_retried(pg18: TestServer) -> None:
    """Of two changes to a tablespace's grants the server refuses one; it is tried again."""
    grant = sql.SQL("GRANT CREATE ON TABLESPACE pg_default TO PUBLIC")
    revoke = sql.Composed([sql.SQL("REVOKE CREATE ON TABLESPACE pg_default FROM PUBLIC")])
    with (
        pg18.connect("postgres") as one,
        pg18.connect("postgres") as other,
        ThreadPoolExecutor(1) as pool,
    ):
        one.autocommit = False
        one.execute(grant)
        waiting = pool.submit(change_grants, other, revoke)
        blocked = "SELECT cardinality(pg_blocking_pids(%s))"
        with pg18.connect("postgres") as witness:
            while witness.execute(blocked, [other.info.backend_pid]).fetchone() == (0,):
                assert not waiting.done()
        one.commit()
        waiting.result(timeout=60)
