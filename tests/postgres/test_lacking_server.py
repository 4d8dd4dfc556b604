"""A rescue on a server that lacks roles, tablespaces, extensions: nothing but that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import RestoreFailed
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restored import rows_by_key
from tests.support.restoring import databases, restore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_CONTROL = "default_version = '1.0'\nrelocatable = true\nsuperuser = true\n"
_SCRIPT = "CREATE TYPE only_here AS (x integer, y integer);\n"
_ROLE = "pgvow_only_here"
_SOURCE = """
CREATE EXTENSION pgvow_only_here;
CREATE TABLE typed (id integer PRIMARY KEY, v only_here);
INSERT INTO typed SELECT n, ROW(n, n)::only_here FROM generate_series(1, 50) AS n;
CREATE TABLE owned (id serial PRIMARY KEY, v text);
INSERT INTO owned (v) SELECT 'x' FROM generate_series(1, 60) AS n;
CREATE TABLE placed (id integer) TABLESPACE pgvow_only_here;
INSERT INTO placed SELECT generate_series(1, 70);
CREATE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE INDEX raises ON placed (f(id));
CREATE OR REPLACE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'not here'; END $$;
CREATE VIEW seen AS SELECT count(*) FROM owned;
ALTER TABLE owned OWNER TO pgvow_only_here;
GRANT SELECT ON placed TO pgvow_only_here;
CREATE POLICY mine ON placed TO pgvow_only_here USING (true);
"""
_PLACE = "SET allow_in_place_tablespaces = on; CREATE TABLESPACE pgvow_only_here LOCATION ''"


@pytest.fixture
def lacking(pg15: TestServer, make_database: MakeDatabase) -> Iterator[str]:
    """A database of 15 with a role, a tablespace and an extension that 18 has not got."""
    extensions = pg15.bin.parent / "share" / "extension"
    (extensions / "pgvow_only_here.control").write_text(_CONTROL, "utf-8")
    (extensions / "pgvow_only_here--1.0.sql").write_text(_SCRIPT, "utf-8")
    pg15.psql("postgres", f"CREATE ROLE {_ROLE}")
    pg15.psql("postgres", _PLACE)
    database = make_database(pg15)
    pg15.psql(database, _SOURCE)
    pg15.psql("postgres", f'ALTER DATABASE "{database}" OWNER TO {_ROLE}')
    yield database
    pg15.drop_database(database)
    pg15.psql("postgres", f"DROP ROLE {_ROLE}")
    pg15.psql("postgres", "DROP TABLESPACE pgvow_only_here")


def test_nothing_but_that_is_missing(
    lacking: str, pg15: TestServer, pg18: TestServer, tmp_path: Path
) -> None:
    """All rows are in their tables, or in a file for a table whose type is not to be had."""
    dump = back_up(pg15, lacking, tmp_path).backup.path
    before = databases(pg18)
    with pytest.raises(RestoreFailed, match="roles that this server does not have"):
        restore(pg18, dump, f"{lacking}_18")
    assert before == databases(pg18)
    result = restore(pg18, dump, f"{lacking}_18", rescue=True)
    try:
        source = rows_by_key(pg15, lacking)
        assert 50 == source.pop("typed")
        assert source == rows_by_key(pg18, f"{lacking}_18")
        assert {
            "EXTENSION pgvow_only_here",
            "TABLE public.typed",
            "TABLE DATA public.typed",
            "CONSTRAINT public.typed typed_pkey",
            "INDEX public.raises",
            "POLICY public.placed mine",
            "ACL public.TABLE placed",
            "TABLE public.owned",
            "SEQUENCE public.owned_id_seq",
        } == {each.shown.name for each in result.rescue.loosened}
        assert result.rescue.rejected is not None
        (rows,) = result.rescue.rejected.glob("*.copy")
        assert 50 == len(rows.read_text("utf-8").splitlines())
        assert any("roles that this server does not have" in each for each in result.warnings)
        assert any("tablespaces that this server does not" in each for each in result.warnings)
    finally:
        pg18.drop_database(f"{lacking}_18")


@pytest.mark.majors(15, 18)
def test_an_extension_is_told_of_a_restore(
    server: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Its functions are called before the rows and after all, in a restore and in a proof."""
    source = make_database(server)
    server.psql(
        source,
        "CREATE EXTENSION pgvow_asks; SET pgvow_asks.writing = on;"
        "CREATE TABLE guarded (n integer CHECK (pgvow_asks.allowed(n)));"
        "INSERT INTO guarded SELECT generate_series(1, 30);",
    )
    dump = back_up(server, source, tmp_path).backup.path
    result = restore(server, dump, f"{source}_r")
    try:
        assert () == result.retried
        assert rows_by_key(server, source) == rows_by_key(server, f"{source}_r")
        setting = "SELECT setconfig FROM pg_db_role_setting JOIN pg_database AS d ON d.oid ="
        left = server.psql("postgres", f"{setting} setdatabase WHERE datname = '{source}_r'")
        assert "restoring" not in left
        options = ProveOptions(jobs=2, pg_bin=server.bin)
        assert prove_backup(StoredBackup.at(dump), options, a_context()).proven
    finally:
        server.drop_database(f"{source}_r")
