"""``pgvow restore`` on real servers: results, refusals and leftovers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pgvow.archive import read_toc
from pgvow.errors import ConfigurationError, RestoreFailed, VerificationFailed
from pgvow.operations.restore.temporary_database import apply_left_out
from pgvow.postgres.connection import ConnectionTarget
from pgvow.settings import Connection
from pgvow.store import encode, load_metadata, metadata_name
from tests.support.commands import Commands, settings_for
from tests.support.inprocess import back_up
from tests.support.restored import rows_by_key
from tests.support.restoring import databases, restore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.postgres.conftest import MakeRole
    from tests.support.servers import TestServer

_SHOP = """
CREATE TYPE mood AS ENUM ('new', 'paid');
CREATE SCHEMA audit;
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO audit.log (what) VALUES (NEW.id::text); RETURN NEW; END $$;
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer integer NOT NULL REFERENCES customers,
  status mood NOT NULL DEFAULT 'new',
  payload bytea
);
CREATE TABLE audit.log (id serial, what text);
CREATE INDEX orders_of_customer ON orders (customer);
INSERT INTO customers (name) SELECT 'c' || n FROM generate_series(1, 300) AS n;
INSERT INTO orders (customer, payload)
  SELECT 1 + n % 300, decode(md5(n::text), 'hex') FROM generate_series(1, 2000) AS n;
INSERT INTO audit.log (what) SELECT n::text FROM generate_series(1, 50) AS n;
CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION audit.note();
COMMENT ON TABLE orders IS 'what was bought';
SELECT lo_from_bytea(0, 'a large object');
"""
_PARTS = """
CREATE TABLE events (id integer, kind integer) PARTITION BY LIST (kind);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);
INSERT INTO events SELECT n, 1 + n % 2 FROM generate_series(1, 100) AS n;
"""


@pytest.fixture
def shop(server: TestServer, database: str) -> str:
    """Fill a database with the tables of a shop."""
    server.psql(database, _SHOP)
    return database


def tables_of(server: TestServer, database: str) -> set[str]:
    """The keys of a database's tables."""
    return set(rows_by_key(server, database))


def test_everything_comes_back_with_statistics_on_every_major(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """On 15 to 18 everything comes back, is compared, and has the planner's statistics."""
    backup = back_up(server, shop, tmp_path)
    result = restore(server, backup.backup.path, fresh)
    assert backup.metadata.table_counts == rows_by_key(server, fresh)
    assert result.comparison is not None
    assert (True, ()) == (result.comparison.equal, result.comparison.reordered)
    assert (3, 2350) == (result.comparison.tables, result.comparison.rows)
    assert server.psql(fresh, "SELECT reltuples FROM pg_class WHERE relname = 'orders'") == "2000\n"
    assert server.psql(fresh, "SELECT obj_description('orders'::regclass)") == "what was bought\n"
    assert {fresh, shop} <= databases(server)
    assert not [name for name in databases(server) if name.startswith(f"{fresh}_")]


@pytest.mark.majors(15)
def test_rows_keep_their_order_with_one_job(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """With --jobs 1 rows keep their order as well."""
    result = restore(server, back_up(server, shop, tmp_path).backup.path, fresh, jobs=1)
    assert result.comparison is not None
    assert () == result.comparison.reordered


@pytest.mark.majors(15, 17)
def test_an_older_archive_is_restored_into_a_newer_server(
    server: TestServer, pg18: TestServer, shop: str, tmp_path: Path
) -> None:
    """An archive of an older pg_dump goes into a newer server, by that one's pg_restore."""
    backup = back_up(server, shop, tmp_path)
    name = pg18.unique_name()
    try:
        result = restore(pg18, backup.backup.path, name)
        assert result.pg_restore.startswith("18.")
        assert backup.metadata.table_counts == rows_by_key(pg18, name)
    finally:
        pg18.drop_database(name)


@pytest.mark.majors(15)
def test_an_older_server_is_refused(
    server: TestServer, pg18: TestServer, make_database: MakeDatabase, fresh: str, tmp_path: Path
) -> None:
    """A server older than the pg_dump that made the archive is refused, and nothing is made."""
    source = make_database(pg18)
    dump = back_up(pg18, source, tmp_path).backup.path
    environ = settings_for(server, "postgres", bin_dir=pg18.bin)
    done = Commands(tmp_path, environ).pgvow("restore", dump, "--to", fresh)
    assert 10 == done.code, done.err
    assert "made by pg_dump 18" in done.err
    assert fresh not in databases(server)


def test_owner_settings_grants_and_locale_are_restored(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """Owner, settings, grants, limit, comment and locale follow the data to the new name."""
    app, reader = role(stem="app"), role(stem="reader")
    source = f'{fresh} "shop";'
    server.create_database(source, encoding="LATIN1", locale="C")
    quoted = '"' + source.replace('"', '""') + '"'
    server.psql(
        "postgres",
        f"""
        ALTER DATABASE {quoted} OWNER TO {app};
        ALTER DATABASE {quoted} SET timezone TO 'Europe/Berlin';
        ALTER DATABASE {quoted} SET search_path TO public, "b c; DATABASE d";
        ALTER DATABASE {quoted} SET "my.own" TO E'it''s \\\\ "so"; TO x';
        ALTER ROLE {reader} IN DATABASE {quoted} SET work_mem TO '8MB';
        ALTER DATABASE {quoted} CONNECTION LIMIT 77;
        REVOKE CONNECT ON DATABASE {quoted} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {quoted} TO {reader};
        COMMENT ON DATABASE {quoted} IS 'it''s "the; shop"';
        """,
    )
    before = about(server, source)
    restore(server, back_up(server, source, tmp_path).backup.path, fresh)
    assert before == about(server, fresh)
    assert "Europe/Berlin" in before
    assert "LATIN1" in before


def about(server: TestServer, database: str) -> str:
    """All that a server knows of a database itself."""
    with server.connect("postgres") as session:
        row = session.execute(
            """
            SELECT ROW(datdba::regrole, pg_encoding_to_char(encoding), datcollate, datctype,
                       datconnlimit, shobj_description(d.oid, 'pg_database'),
                       ARRAY(SELECT a::text FROM unnest(datacl) AS a ORDER BY 1),
                       ARRAY(SELECT ROW(setrole::regrole, setconfig) FROM pg_db_role_setting
                             WHERE setdatabase = d.oid ORDER BY setrole))::text
            FROM pg_database AS d WHERE datname = %s
            """,
            [database],
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.majors(15)
def test_an_existing_target_database_is_refused(
    server: TestServer, shop: str, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Nothing goes into a database that exists, and nothing is made beside it."""
    dump = back_up(server, shop, tmp_path).backup.path
    existing = make_database(server)
    server.psql(existing, "CREATE TABLE mine AS SELECT 1 AS n")
    before = databases(server)
    with pytest.raises(RestoreFailed, match="exists, and is left as it is") as caught:
        restore(server, dump, existing)
    assert any("--swap" in step for step in caught.value.steps)
    assert {"mine": 1} == rows_by_key(server, existing)
    assert before == databases(server)


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_restore_names_the_object_and_drops_everything(
    server: TestServer, shop: str, jobs: int, fresh: str, tmp_path: Path
) -> None:
    """A function that raises fails the restore: the object is named, and all is dropped."""
    server.psql(
        shop,
        """
        CREATE FUNCTION raising(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
        CREATE INDEX raises ON orders (raising(customer));
        CREATE OR REPLACE FUNCTION raising(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
          AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
        """,
    )
    dump = back_up(server, shop, tmp_path).backup.path
    before = databases(server)
    with pytest.raises(RestoreFailed, match="CREATE INDEX raises ON public") as caught:
        restore(server, dump, fresh, jobs=jobs)
    assert any("--rescue" in step for step in caught.value.steps)
    assert before == databases(server)


@pytest.mark.majors(15)
def test_missing_roles_are_named_before_the_restore(
    server: TestServer, shop: str, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """A role that is not there is named at once, with the ways out; --no-owner is one."""
    owner = role(stem="owner")
    reader = role(stem="reader")
    server.psql(shop, f"ALTER TABLE orders OWNER TO {owner}; GRANT SELECT ON audit.log TO {reader}")
    dump = back_up(server, shop, tmp_path).backup.path
    server.psql(
        shop,
        f"REASSIGN OWNED BY {owner} TO postgres; DROP ROLE {owner};"
        f"DROP OWNED BY {reader}; DROP ROLE {reader}",
    )
    with pytest.raises(RestoreFailed, match=reader):
        restore(server, dump, fresh, no_owner=True)
    server.psql("postgres", f"CREATE ROLE {reader}")
    with pytest.raises(RestoreFailed, match=f": {owner}$") as caught:
        restore(server, dump, fresh)
    assert any("--no-owner" in step for step in caught.value.steps)
    assert fresh not in databases(server)
    restore(server, dump, fresh, no_owner=True)
    assert tables_of(server, shop) == tables_of(server, fresh)


@pytest.mark.majors(15, 18)
def test_extension_comments_and_owner_of_public_are_restored(
    server: TestServer, database: str, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """Comments on extensions are left to us and come back; so does who owns public."""
    owner = role(stem="owner")
    server.psql(
        database,
        f"""
        CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'ours';
        ALTER SCHEMA public OWNER TO {owner}; COMMENT ON SCHEMA public IS 'mine';
        CREATE TABLE t AS SELECT 'x'::citext AS a;
        """,
    )
    restore(server, back_up(server, database, tmp_path).backup.path, fresh)
    said = "SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'citext'"
    assert "ours\n" == server.psql(fresh, said)
    assert f"{owner}\n" == server.psql(
        fresh, "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'public'"
    )
    assert "mine\n" == server.psql(fresh, "SELECT obj_description('public'::regnamespace)")
    server.psql(fresh, f"ALTER SCHEMA public OWNER TO postgres; DROP OWNED BY {owner}")
    server.psql(database, f"ALTER SCHEMA public OWNER TO postgres; DROP OWNED BY {owner}")


@pytest.mark.majors(15)
def test_an_extension_comment_of_another_owner_is_a_warning(
    server: TestServer, database: str, role: MakeRole, tmp_path: Path
) -> None:
    """A role that does not own an extension gets a warning, and the restore goes on."""
    server.psql(database, "CREATE EXTENSION citext")
    with back_up(server, database, tmp_path).backup.path.open("rb") as file:
        entries = read_toc(file).entries
    left_out = [entry for entry in entries if entry.tag == "EXTENSION citext"]
    assert ["COMMENT"] == [entry.desc for entry in left_out]
    warnings: list[str] = []
    target = ConnectionTarget(
        Connection(server.host, server.port, database, server.user, server.password)
    )
    with server.connect(database) as session:
        session.execute(f"SET SESSION AUTHORIZATION {role()}")
        apply_left_out(
            session, left_out, target=target, no_owner=False, rescue=False, warn=warnings.append
        )
    assert ["the comment on extension citext is the extension's own"] == warnings


@pytest.mark.majors(15)
def test_a_damaged_file_is_not_restored(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """A dump that does not verify is refused with exit code 8 before the server is touched."""
    dump = back_up(server, shop, tmp_path).backup.path
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    with pytest.raises(VerificationFailed, match="checksum"):
        restore(server, dump, fresh)
    assert fresh not in databases(server)


@pytest.mark.majors(15)
def test_a_difference_exits_10_and_keeps_the_database(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """Rows that are not those that were recorded end in 10, under a name that says so."""
    dump = back_up(server, shop, tmp_path).backup.path
    metadata = load_metadata(dump)
    tables = tuple(replace(one, rows=one.rows + 1) for one in metadata.tables)
    path = dump.with_name(metadata_name(dump.name))
    counts = {one.key: one.rows for one in tables}
    path.write_bytes(encode(replace(metadata, tables=tables, table_counts=counts)))
    done = Commands(tmp_path, settings_for(server, "postgres")).pgvow(
        "restore", dump, "--to", fresh, "--json"
    )
    assert 10 == done.code, done.err
    assert "orders" in done.json["error"]["cause"]
    left = [name for name in databases(server) if name.startswith(fresh)]
    assert [True] == [name.startswith(f"{fresh}_differs_") for name in left]
    assert left[0] in " ".join(done.json["error"]["steps"])
    assert 2000 == rows_by_key(server, left[0])["orders"]


@pytest.mark.majors(15, 18)
def test_schema_only_restores_definitions_without_rows(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """Definitions come back without a row, a large object, or a difference."""
    result = restore(server, back_up(server, shop, tmp_path).backup.path, fresh, schema_only=True)
    assert {"customers": 0, "orders": 0, "audit.log": 0} == rows_by_key(server, fresh)
    assert result.comparison is not None
    assert 0 == result.comparison.rows
    assert "0\n" == server.psql(fresh, "SELECT count(*) FROM pg_largeobject_metadata")


@pytest.mark.majors(15, 18)
def test_table_restores_what_it_needs_and_no_other_table(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """--table restores the table, its dependencies and its dependents, and no other table.

    What it loses for want of another is named.
    """
    dump = back_up(server, shop, tmp_path).backup.path
    result = restore(server, dump, fresh, tables=("orders",))
    (warning,) = result.warnings
    assert warning.endswith("not chosen: FK CONSTRAINT public.orders orders_customer_fkey")
    assert {"orders": 2000} == rows_by_key(server, fresh)
    assert result.comparison is not None
    assert (1, 2000) == (result.comparison.tables, result.comparison.rows)
    assert "orders_pkey\n" == server.psql(
        fresh,
        "SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'p'",
    )
    assert "orders_of_customer\norders_pkey\n" == server.psql(
        fresh, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    )
    assert "2000\n" == server.psql(fresh, "SELECT last_value FROM orders_id_seq")
    assert "what was bought\n" == server.psql(fresh, "SELECT obj_description('orders'::regclass)")


@pytest.mark.majors(15, 18)
def test_chosen_tables_keep_foreign_keys_sequences_and_schema(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """Foreign keys between chosen tables are kept; a serial's sequence and a schema come along."""
    dump = back_up(server, shop, tmp_path).backup.path
    restore(server, dump, fresh, tables=("orders", "customers", "audit.log"))
    assert {"orders": 2000, "customers": 300, "audit.log": 50} == rows_by_key(server, fresh)
    foreign = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
    assert "1\n" == server.psql(fresh, foreign)
    assert "51\n" == server.psql(fresh, "INSERT INTO audit.log (what) VALUES ('x') RETURNING id")


@pytest.mark.majors(15, 18)
def test_table_of_a_partitioned_table_restores_its_partitions(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """--table of a partitioned table means its rows, which are its partitions'."""
    server.psql(shop, _PARTS)
    dump = back_up(server, shop, tmp_path).backup.path
    restore(server, dump, fresh, tables=("events",))
    assert {"events_1": 50, "events_2": 50} == rows_by_key(server, fresh)
    assert "100\n" == server.psql(fresh, "SELECT count(*) FROM events")


@pytest.mark.majors(15)
@pytest.mark.parametrize("name", ['"Orders.2"', 'public."Orders.2"', "Orders.2"])
def test_table_accepts_quoted_names(
    name: str, server: TestServer, database: str, fresh: str, tmp_path: Path
) -> None:
    """Written as SQL has it, as ``extract`` takes it, or as ``list`` shows it."""
    server.psql(database, 'CREATE TABLE "Orders.2" (); CREATE TABLE orders ()')
    dump = back_up(server, database, tmp_path).backup.path
    assert () == restore(server, dump, fresh, tables=(name,)).warnings
    assert {'"Orders.2"': 0} == rows_by_key(server, fresh)


@pytest.mark.majors(15)
def test_an_unknown_table_is_a_usage_error(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """A misspelt table is a usage error, and nothing is made."""
    dump = back_up(server, shop, tmp_path).backup.path
    with pytest.raises(ConfigurationError, match=r"no table order$"):
        restore(server, dump, fresh, tables=("order",))
    assert fresh not in databases(server)


@pytest.mark.majors(15, 18)
def test_globals_create_missing_roles_and_change_no_other(
    server: TestServer, shop: str, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """--globals creates the missing roles with their attributes, and touches no other."""
    gone, member, stays = role(stem="gone"), role(stem="member"), role(stem="stays")
    server.psql(
        shop,
        f"""
        ALTER ROLE {gone} LOGIN CONNECTION LIMIT 3 PASSWORD 'secret';
        ALTER ROLE {gone} SET work_mem TO '9MB'; COMMENT ON ROLE {gone} IS E'a\\n\\\\! touch no';
        GRANT {gone} TO {member}; GRANT {stays} TO {gone};
        ALTER TABLE orders OWNER TO {gone}; ALTER ROLE {stays} CONNECTION LIMIT 5;
        """,
    )
    before = about_role(server, gone)
    dump = back_up(server, shop, tmp_path).backup.path
    server.psql(
        shop,
        f"""ALTER TABLE orders OWNER TO postgres; DROP ROLE {gone};
        ALTER ROLE {stays} CONNECTION LIMIT 6""",
    )
    result = restore(server, dump, fresh, with_globals=True)
    assert before == about_role(server, gone)
    assert f"created roles: {gone}" in result.warnings
    assert 6 == about_role(server, stays)[1]
    owner = "SELECT relowner::regrole FROM pg_class WHERE relname = 'orders'"
    assert f"{gone}\n" == server.psql(fresh, owner)
    server.drop_database(fresh)
    server.psql(shop, f"DROP ROLE {gone}")


_OWNED = """
CREATE SCHEMA z AUTHORIZATION {old};
CREATE TABLE z.aa (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text);
CREATE TABLE z.zz (id serial, at integer REFERENCES z.aa);
CREATE VIEW z.v AS SELECT * FROM z.aa;
CREATE MATERIALIZED VIEW z.m AS SELECT count(*) FROM z.aa;
CREATE TYPE z.kind AS ENUM ('x');
CREATE DOMAIN z.small AS integer CHECK (VALUE < 10);
CREATE FUNCTION z.f(a integer, b text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE z.alone;
INSERT INTO z.aa (owner) SELECT 'a' || n FROM generate_series(1, 500) AS n;
ALTER TABLE z.aa OWNER TO {old}; ALTER TABLE z.zz OWNER TO {old}; ALTER VIEW z.v OWNER TO {old};
ALTER MATERIALIZED VIEW z.m OWNER TO {old}; ALTER TYPE z.kind OWNER TO {old};
ALTER DOMAIN z.small OWNER TO {old}; ALTER FUNCTION z.f OWNER TO {old};
ALTER SEQUENCE z.alone OWNER TO {old};
CREATE TABLE public.granted (owner text);
GRANT SELECT (owner), UPDATE ON public.granted TO {old} WITH GRANT OPTION;
GRANT USAGE ON SCHEMA public TO {other};
ALTER TABLE public.granted ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.granted TO {old}, {other} USING (EXISTS (SELECT FROM z.aa AS {old}));
COMMENT ON POLICY own ON public.granted IS 'their own';
ALTER DEFAULT PRIVILEGES FOR ROLE {old} IN SCHEMA z GRANT SELECT ON TABLES TO {other};
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE USER MAPPING FOR {old} SERVER s OPTIONS (x 'TO {old}');
SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER TO {old};
GRANT SELECT ON LARGE OBJECT 4711 TO {other};
"""
_DEPENDING = """
SELECT count(*) FROM pg_shdepend
WHERE refobjid = '{role}'::regrole AND deptype = '{kind}'
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.majors(15, 16, 17, 18)
def test_owner_map_replaces_owners_and_grantees_of_every_object(
    server: TestServer, role: MakeRole, fresh: str, tmp_path: Path
) -> None:
    """Objects and grants of a role that is gone go to another, for every kind of object."""
    old, new, other = role(stem="old"), role(stem="new"), role(stem="other")
    source = f"{fresh}_source"
    server.create_database(source)
    server.psql(source, _OWNED.replace("{old}", old).replace("{other}", other))
    server.psql(
        "postgres",
        f"ALTER DATABASE {source} OWNER TO {old}; GRANT CREATE ON DATABASE {source} TO {other};"
        f"ALTER ROLE {old} IN DATABASE {source} SET work_mem TO '7MB'",
    )
    counts = {
        (who, kind): server.psql(source, _DEPENDING.format(role=who, kind=kind))
        for who in (old, other)
        for kind in "oar"
    }
    before = about(server, source)
    dump = back_up(server, source, tmp_path).backup.path
    server.drop_database(source)
    server.psql("postgres", f"DROP ROLE {old}")
    (tmp_path / "map").write_text(f"# who owns what\n\n{old} = {new}\nnobody=else\n")
    done = Commands(tmp_path, settings_for(server, "postgres")).pgvow(
        "restore", dump, "--to", fresh, "--owner-map", "map", "--json"
    )
    assert 0 == done.code, done.err
    for kind in "oar":
        assert counts[old, kind] == server.psql(fresh, _DEPENDING.format(role=new, kind=kind))
        assert counts[other, kind] == server.psql(fresh, _DEPENDING.format(role=other, kind=kind))
    assert int(counts[old, "o"]) > 10
    assert before.replace(old, new) == about(server, fresh)
    comments = "SELECT description FROM pg_description WHERE classoid = 'pg_policy'::regclass"
    assert "their own\n" == server.psql(fresh, comments)
    assert [] == done.json["comparison"]["reordered"]
    mapping = "SELECT usename || umoptions[1] FROM pg_user_mappings WHERE srvname = 's'"
    assert f"{new}x=TO {old}\n" == server.psql(fresh, mapping)


@pytest.mark.majors(15)
def test_an_invalid_owner_map_is_reported_line_by_line(server: TestServer, tmp_path: Path) -> None:
    """Every bad line is named with its number, and nothing is done."""
    (tmp_path / "map").write_text("a=b\nc\na=d\n=e\n")
    done = Commands(tmp_path, settings_for(server, "postgres")).pgvow(
        "restore", "x.dump", "--to", "y", "--owner-map", "map"
    )
    assert 2 == done.code
    for number in (2, 3, 4):
        assert f"map line {number}" in done.err


def about_role(server: TestServer, name: str) -> tuple[Any, ...]:
    """All that is set of a role, its connection limit second."""
    with server.connect("postgres") as session:
        row = session.execute(
            """
            SELECT rolcanlogin, rolconnlimit, rolconfig, shobj_description(oid, 'pg_authid'),
              (SELECT rolpassword FROM pg_authid AS a WHERE a.oid = r.oid),
              ARRAY(SELECT roleid::regrole::text || '>' || member::regrole FROM pg_auth_members
                    WHERE roleid = r.oid OR member = r.oid ORDER BY 1)
            FROM pg_roles AS r WHERE rolname = %s
            """,
            [name],
        ).fetchone()
    assert row is not None
    return row


@pytest.mark.majors(18)
def test_restore_reports_and_a_second_run_exits_10(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """The command says what it restored and compared; a second run is refused with 10."""
    dump = back_up(server, shop, tmp_path).backup.path
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    done = commands.pgvow("restore", dump, "--to", fresh)
    assert 0 == done.code, done.err
    assert "✓ Backup restored\n" in done.out
    assert "Compared:    ✓ 3 tables, 2,350 rows: nothing differs\n" in done.out
    again = commands.pgvow("restore", dump, "--to", fresh, "--json")
    assert 10 == again.code
    assert (False, 10) == (again.json["ok"], again.json["error"]["exit_code"])
    server.drop_database(fresh)
    quiet = commands.pgvow("restore", dump, "--to", fresh, "--quiet", "--jobs", "2")
    assert (0, "", "") == (quiet.code, quiet.out, quiet.err)


@pytest.mark.majors(18)
def test_restore_json_is_one_object(
    server: TestServer, shop: str, fresh: str, tmp_path: Path
) -> None:
    """--json prints one object with what was restored and compared."""
    dump = back_up(server, shop, tmp_path).backup.path
    done = Commands(tmp_path, settings_for(server, "postgres")).pgvow(
        "restore", dump, "--to", fresh, "--json"
    )
    assert 0 == done.code, done.err
    found = json.loads(done.out)
    assert found["ok"] is True
    assert {"tables": 3, "rows": 2350, "equal": True} == {
        key: found["comparison"][key] for key in ("tables", "rows", "equal")
    }
    assert fresh == found["database"]
    assert found["restore_seconds"] <= found["seconds"]


@pytest.mark.majors(18)
def test_invalid_restore_options_are_usage_errors(server: TestServer, tmp_path: Path) -> None:
    """--to is required and fits PostgreSQL, and --no-owner excludes --owner-map."""
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    assert 2 == commands.pgvow("restore", "x.dump").code
    assert 2 == commands.pgvow("restore", "x.dump", "--to", "x" * 64).code
    both = ("--no-owner", "--owner-map", "m")
    assert 2 == commands.pgvow("restore", "x.dump", "--to", "y", *both).code
