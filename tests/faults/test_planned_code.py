"""Code that roles of the source wrote is not run by a backup, with any engine.

The planner computes calls with constant arguments in the expressions of a table's indexes and
statistics, for any query of the table. ``f`` objects, or leaves a row, if it is run by another role
than its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import CannotBeProven
from pgvow.operations.health.doctor_server import examine_server
from pgvow.operations.health.findings import Severity
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.copy_out import RestoredTable, copy_rows
from pgvow.postgres.planned_code import planned_code
from pgvow.postgres.wide_rows import RowTooWideError, row_too_wide
from pgvow.settings import load
from tests.support.commands import clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(15, 18)

_CODE = """
CREATE TABLE ran (who name);
GRANT INSERT ON ran TO PUBLIC;
CREATE FUNCTION f(i integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  IF current_user NOT LIKE 'tenant%' THEN
    IF current_setting('transaction_read_only')::boolean THEN
      RAISE EXCEPTION 'f ran as %', current_user;
    END IF;
    INSERT INTO public.ran VALUES (current_user);
  END IF;
  RETURN i;
END $$;
CREATE FUNCTION inlined(i integer) RETURNS integer IMMUTABLE LANGUAGE sql AS
  'SELECT $1 + public.f(0)';
CREATE FUNCTION differs(i integer, j integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS
  'SELECT public.f($1) <> $2';
CREATE OPERATOR <<>> (FUNCTION = differs, LEFTARG = integer, RIGHTARG = integer);
"""
_KINDS = {
    "predicate": "CREATE INDEX ON predicate (a) WHERE f(a) > f(0)",
    "expression": "CREATE INDEX ON expression ((a + f(0)))",
    "inlined_one": "CREATE INDEX ON inlined_one (inlined(a))",
    "operator": "CREATE INDEX ON operator (a) WHERE 1 OPERATOR(public.<<>>) 2",
    "exclusion": "ALTER TABLE exclusion ADD EXCLUDE USING btree ((a + f(0)) WITH =)",
    "statistics": "CREATE STATISTICS of_a ON (a + f(0)), b FROM statistics",
    "checked": "ALTER TABLE checked ADD CHECK (a > f(-1))",
    "part": "SELECT 1",
}
_ROWS = 6000
_LARGE = "INSERT INTO {} SELECT n, repeat('x', 1000) FROM generate_series(1, 6000) AS n"

_PARTED = """
CREATE TABLE parted (a integer, b text) PARTITION BY RANGE (a);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (f(0)) TO (f(1000000));
"""
_REST = """
CREATE TABLE small (a integer);
CREATE INDEX ON small (a) WHERE f(a) > f(0);
INSERT INTO small VALUES (1), (2);
CREATE TABLE texts (a text);
CREATE INDEX ON texts (a) WHERE f(1) > f(0);
INSERT INTO texts VALUES ('one'), ('two'), ('three');
RESET SESSION AUTHORIZATION;
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET constraint_exclusion = on', current_database());
END $$;
"""


@pytest.fixture
def tenants(server: TestServer, database: str) -> Iterator[str]:
    """Load a table of each kind, that an ordinary role owns, and a small one."""
    role = server.unique_name("tenant")
    server.psql(database, f'CREATE ROLE "{role}"; GRANT CREATE ON SCHEMA public TO "{role}"')
    tables = "".join(
        f"CREATE TABLE {name} (a integer, b text);\n" for name in _KINDS if name != "part"
    )
    made = "".join(f"{made};\n" for made in _KINDS.values())
    filled = "".join(f"{_LARGE.format(name)};\n" for name in _KINDS)
    as_tenant = f'SET SESSION AUTHORIZATION "{role}";'
    server.psql(database, as_tenant + _CODE + tables + made + _PARTED + filled + _REST)
    try:
        yield database
    finally:
        server.drop_database(database)
        server.create_database(database)
        server.psql("postgres", f'DROP ROLE "{role}"')


def _target(server: TestServer, database: str, folder: Path) -> ConnectionTarget:
    environ = {**clean_environment(), **settings_for(server, database)}
    return ConnectionTarget(load(env="dev", environ=environ, directory=folder).connection)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_backup_runs_no_function_of_other_roles(
    server: TestServer, tenants: str, tmp_path: Path, jobs: int
) -> None:
    """Every table is counted and copied, with an engine and with the other, and f never runs."""
    made = back_up(server, tenants, tmp_path, jobs=jobs)
    counts: Mapping[str, int] = {table.name: table.rows for table in made.metadata.tables}
    assert {**dict.fromkeys(_KINDS, _ROWS), "small": 2, "texts": 3, "ran": 0} == counts
    assert "0" == server.psql(tenants, "SELECT count(*) FROM ran").strip()


def test_wide_row_search_and_filters_run_no_function_of_other_roles(
    server: TestServer, tenants: str, tmp_path: Path
) -> None:
    """Neither the search for wide rows nor a comparison through an extension's filter runs f."""
    target = _target(server, tenants, tmp_path)
    with target.connect("test") as session:
        row = session.execute("SELECT 'public.predicate'::regclass::oid::int").fetchone()
        assert row is not None
        table = RestoredTable(
            row[0], "public", "predicate",
            is_partitioned=False, root=None, filter="WHERE true", is_member=True,
        )  # fmt: skip
        with pytest.raises(CannotBeProven, match=r"run public\.f\(integer\) of role tenant"):
            list(copy_rows(session, table, ("a",), encoding="UTF8"))
    error = row_too_wide(target, RowTooWideError(row[0], "too wide"))
    assert "table predicate has a row" in error.cause
    assert "0" == server.psql(tenants, "SELECT count(*) FROM ran").strip()


def test_doctor_names_index_function_and_owner(
    server: TestServer, tenants: str, tmp_path: Path
) -> None:
    """Doctor names index, function and owner to a superuser, and advises an ordinary role."""
    environ = {**clean_environment(), **settings_for(server, tenants)}
    settings = load(env="dev", environ=environ, directory=tmp_path)
    found = examine_server(settings, (), a_context(environ)).findings
    (code,) = [one for one in found if one.name == "code of others"]
    assert Severity.ATTENTION is code.level
    assert "predicate_a_idx calls public.f(integer) of role tenant" in code.text
    assert "no superuser" in (code.hint or "")
    assert "0" == server.psql(tenants, "SELECT count(*) FROM ran").strip()


def test_trusted_owners_functions_allow_copying_by_ranges(
    server: TestServer, tenants: str, tmp_path: Path
) -> None:
    """Functions of a superuser or of the role itself keep no table from being copied by ranges."""
    kinds = ("predicate", "expression", "inlined_one", "operator", "exclusion", "statistics")
    with _target(server, tenants, tmp_path).connect("test") as session:
        oids = {
            name: session.execute("SELECT %s::regclass::oid::int", [f"public.{name}"]).fetchone()
            for name in (*_KINDS, "small", "ran")
        }
        found = {one.oid for one in planned_code(session, [oid for (oid,) in oids.values() if oid])}
        assert {*kinds, "small"} == {name for name, row in oids.items() if row and row[0] in found}
        for function in ("f(integer)", "inlined(integer)", "differs(integer, integer)"):
            session.execute(f"ALTER FUNCTION public.{function} OWNER TO CURRENT_USER")
        assert () == planned_code(session, found)
