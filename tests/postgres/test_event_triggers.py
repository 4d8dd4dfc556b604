"""Event triggers come back, and fire neither during the restore nor during the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restoring import restore

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.operations.prove import ProofResult
    from tests.postgres.conftest import MakeRole
    from tests.support.servers import TestServer

_AUDITED = """
CREATE TABLE ddl_log (tag text);
CREATE TABLE a (n integer PRIMARY KEY);
INSERT INTO a VALUES (1);
CREATE MATERIALIZED VIEW m AS SELECT * FROM a;
ALTER TABLE a OWNER TO {owner};
ALTER MATERIALIZED VIEW m OWNER TO {owner};
GRANT SELECT ON a TO {owner};
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO public.ddl_log VALUES (TG_TAG); END$$;
CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'no DDL here'; END$$;
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION log_ddl();
ALTER EVENT TRIGGER audit ENABLE ALWAYS;
ALTER EVENT TRIGGER audit OWNER TO {admin};
COMMENT ON EVENT TRIGGER audit IS 'who did what';
INSERT INTO ddl_log VALUES ('the only one');
CREATE EVENT TRIGGER strict ON ddl_command_start EXECUTE FUNCTION no_ddl();
"""
_AT_LOGIN = """
CREATE TABLE logins (who text);
INSERT INTO logins SELECT 'u' || n FROM generate_series(1, 1000) AS n;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO public.logins VALUES (session_user); END$$;
CREATE EVENT TRIGGER watching ON login EXECUTE FUNCTION watch();
ALTER EVENT TRIGGER watching ENABLE ALWAYS;
"""
_CLOSED = """
CREATE FUNCTION nobody() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
  IF current_database() NOT LIKE '%source' THEN RAISE EXCEPTION 'nobody gets in'; END IF;
END$$;
CREATE EVENT TRIGGER closed ON login EXECUTE FUNCTION nobody();
ALTER EVENT TRIGGER closed ENABLE ALWAYS;
"""
_TRIGGERS = """
SELECT evtname, evtenabled, evtowner::regrole::text, obj_description(oid)
FROM pg_event_trigger ORDER BY 1
"""
_NOT_FIRING = "-c event_triggers=off"


def _prove(dump: Path, server: TestServer, *, on: bool) -> ProofResult:
    return prove_backup(
        StoredBackup.at(dump),
        ProveOptions(on=server.conninfo("postgres") if on else None, jobs=2, pg_bin=server.bin),
        a_context(),
    )


@pytest.mark.parametrize("is_mapped", [False, True], ids=["owners", "owner-map"])
def test_event_triggers_do_not_fire_during_a_restore(
    server: TestServer,
    role: MakeRole,
    fresh: str,
    tmp_path: Path,
    *,
    is_mapped: bool,
) -> None:
    """An auditing trigger records nothing of a restore, and a forbidding one cannot stop it."""
    admin, owner, other, another = role("SUPERUSER"), role(), role("SUPERUSER"), role()
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _AUDITED.format(admin=admin, owner=owner))
    dump = back_up(server, source, tmp_path).backup.path
    owner_map = {admin: other, owner: another} if is_mapped else {}
    result = restore(server, dump, fresh, owner_map=owner_map, jobs=1 + is_mapped)
    assert result.comparison is not None
    assert result.comparison.equal
    assert "the only one\n" == server.psql(fresh, "SELECT tag FROM ddl_log")
    assert "1\n" == server.psql(fresh, "SELECT n FROM m")
    with server.connect(fresh) as session:
        assert [
            ("audit", "A", other if is_mapped else admin, "who did what"),
            ("strict", "O", server.superuser, None),
        ] == session.execute(_TRIGGERS).fetchall()


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("on", [False, True], ids=["throw-away", "on"])
def test_event_triggers_do_not_fire_during_a_proof(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path, *, on: bool
) -> None:
    """Nor during a proof, which compares them."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _AUDITED.format(admin=role("SUPERUSER"), owner=role()))
    result = _prove(back_up(server, source, tmp_path).backup.path, server, on=on)
    assert () == result.evidence.differences
    assert result.proven


@pytest.mark.majors(17, 18)
def test_login_triggers_do_not_fire_before_the_end(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """A login trigger records nothing and refuses no session until all is done."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _AT_LOGIN)
    dump = back_up(server, source, tmp_path).backup.path
    for on in (False, True):
        assert () == _prove(dump, server, on=on).evidence.differences
    result = restore(server, dump, fresh)
    assert result.comparison is not None
    assert result.comparison.equal
    with psycopg.connect(make_conninfo(server.conninfo(fresh), options=_NOT_FIRING)) as session:
        rows = result.comparison.rows
        assert (rows,) == session.execute("SELECT count(*) FROM logins").fetchone()
        assert ("A",) == session.execute("SELECT evtenabled FROM pg_event_trigger").fetchone()


@pytest.mark.majors(18)
def test_a_database_that_refuses_logins_is_proven_and_restored(
    server: TestServer, fresh: str, tmp_path: Path
) -> None:
    """A database that lets nobody in elsewhere is proven and restored, and then lets nobody in."""
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _AT_LOGIN + _CLOSED)
    dump = back_up(server, source, tmp_path).backup.path
    for on in (False, True):
        assert _prove(dump, server, on=on).proven
    restore(server, dump, fresh)
    with pytest.raises(psycopg.OperationalError, match="nobody gets in"):
        psycopg.connect(server.conninfo(fresh))
