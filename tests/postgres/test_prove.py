"""Proof: green for every scenario, red for every sabotage, and neither if it cannot be made."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgvow.errors import (
    CannotBeProven,
    NoResources,
    PgvowError,
    VerificationFailed,
)
from pgvow.model import DifferenceKind, Level
from pgvow.operations.choose_backup import SearchedDirectories, choose_backup
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.progress import Silent
from pgvow.store import (
    DirectoryStore,
    StoredBackup,
    backups_in,
    decode_proof,
    metadata_name,
    proof_path,
)
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.scenarios import SCENARIOS, Scenario, jobs_by_turns, load, pairs
from tests.support.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pgvow.operations.prove import ProofResult
    from pgvow.postgres.connection import Session
    from pgvow.progress import Step
    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
_SCHEMA = """
CREATE ROLE sabotage_owner;
CREATE TYPE kind AS ENUM ('a', 'b', 'c', 'd');
CREATE TABLE items (id integer PRIMARY KEY, body text, made timestamptz);
INSERT INTO items SELECT n, 'item ' || n, timestamptz '2024-01-01 UTC' + n * interval '1 h'
FROM generate_series(1, 500) AS n;
CREATE TABLE lines (id integer REFERENCES items, amount numeric CHECK (amount IN (1, 2, 3)));
INSERT INTO lines SELECT n, n % 3 + 1 FROM generate_series(1, 500) AS n;
CREATE TABLE hashed (id integer, kind kind) PARTITION BY HASH (kind);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT n, (enum_range(NULL::kind))[n % 4 + 1] FROM generate_series(1, 100) AS n;
CREATE TABLE placed (place text, kind kind, id integer) PARTITION BY LIST (place);
CREATE TABLE north PARTITION OF placed FOR VALUES IN ('north') PARTITION BY HASH (kind);
CREATE TABLE north_0 PARTITION OF north FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE north_1 PARTITION OF north FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE placed_south PARTITION OF placed FOR VALUES IN ('south');
INSERT INTO placed
SELECT (ARRAY['north', 'south'])[n % 2 + 1], (enum_range(NULL::kind))[n % 4 + 1], n
FROM generate_series(1, 100) AS n;
CREATE INDEX by_body ON items (body);
CREATE SEQUENCE tickets;
SELECT setval('tickets', 41);
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
CREATE VIEW recent AS SELECT id FROM items WHERE id IN (1, 2, 3);
ALTER TABLE lines OWNER TO sabotage_owner;
GRANT SELECT ON items TO sabotage_owner;
SELECT lo_from_bytea(4711, 'a large object'), lo_from_bytea(4712, repeat('x', 600000)::bytea);
"""
# What is done to the restored database, and what must then be told: kind and name.
_SABOTAGE = {
    "row less": ("DELETE FROM lines WHERE id = 77", "rows", "lines"),
    "row more": ("INSERT INTO items VALUES (501, 'new')", "rows", "items"),
    "value changed": ("UPDATE items SET body = 'iten 9' WHERE id = 9", "values", "items"),
    "value null": ("UPDATE items SET made = NULL WHERE id = 500", "values", "items"),
    "row less in a hash": ("DELETE FROM hashed WHERE id = 7", "rows", "hashed"),
    "value changed in a hash": ("UPDATE hashed SET id = -7 WHERE id = 7", "values", "hashed"),
    "emptied": ("TRUNCATE lines", "rows", "lines"),
    "table gone": ("DROP TABLE lines", "table missing", "lines"),
    "table more": ("CREATE TABLE more (id integer)", "table extra", "more"),
    "leaf more": (
        "CREATE TABLE more PARTITION OF placed FOR VALUES IN ('west')",
        "table extra",
        "more",
    ),
    "row less in a leaf": ("DELETE FROM placed_south WHERE id = 1", "rows", "placed_south"),
    "row less in a leaf by hash": ("DELETE FROM placed WHERE id = 2", "rows", "placed"),
    "sequence moved": ("SELECT setval('tickets', 42)", "sequence", "tickets"),
    "sequence not called": ("SELECT setval('tickets', 41, false)", "sequence", "tickets"),
    "sequence gone": ("DROP SEQUENCE tickets", "sequence", "tickets"),
    "large object changed": ("SELECT lo_put(4712, 599999, 'y')", "large objects", "all"),
    "large object gone": ("SELECT lo_unlink(4711)", "large objects", "all"),
    "large object renumbered": (
        "SELECT lo_from_bytea(4713, lo_get(4711)), lo_unlink(4711)",
        "large objects",
        "all",
    ),
    "index gone": ("DROP INDEX by_body", "object missing", "INDEX public.by_body"),
    "constraint gone": (
        "ALTER TABLE lines DROP CONSTRAINT lines_id_fkey",
        "object missing",
        "FK CONSTRAINT public.lines lines_id_fkey",
    ),
    "key gone": (
        "ALTER TABLE items DROP CONSTRAINT items_pkey CASCADE",
        "object missing",
        "CONSTRAINT public.items items_pkey",
    ),
    "check gone": (
        "ALTER TABLE lines DROP CONSTRAINT lines_amount_check",
        "schema",
        "TABLE public.lines",
    ),
    "function gone": ("DROP FUNCTION twice", "object missing", "FUNCTION public.twice(integer)"),
    "function changed": (
        "CREATE OR REPLACE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 3'",
        "schema",
        "FUNCTION public.twice(integer)",
    ),
    "view gone": ("DROP VIEW recent", "object missing", "VIEW public.recent"),
    "owner changed": ("ALTER TABLE lines OWNER TO CURRENT_USER", "schema", "TABLE public.lines"),
    "grant gone": (
        "REVOKE ALL ON items FROM sabotage_owner",
        "object missing",
        "ACL public.TABLE items",
    ),
}


def _prove(
    dump: Path,
    *,
    on: TestServer | None = None,
    bin_dir: Path | None = None,
    between: Callable[[str], None] | None = None,
) -> ProofResult:
    """Prove on a test server, or on a throw-away one of these programs."""
    options = ProveOptions(on=on.conninfo("postgres") if on else None, jobs=2)
    return prove_backup(
        StoredBackup.at(dump),
        replace(options, pg_bin=on.bin if on else bin_dir),
        a_context(),
        between=between,
    )


def _executing(statement: str) -> Callable[[str], None]:
    def execute(conninfo: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as session:
            session.execute(statement.encode())

    return execute


@pytest.fixture
def backed_up(server: TestServer, scenario: Scenario, tmp_path: Path) -> Path:
    """Back up a database with the scenario in it."""
    return _backup_of(server, scenario, tmp_path)


def _backup_of(server: TestServer, scenario: Scenario, folder: Path) -> Path:
    name = load(server, scenario)
    try:
        jobs = jobs_by_turns(server, scenario)
        return back_up(server, name, folder, jobs=jobs).backup.path
    finally:
        server.drop_database(name)


@pytest.mark.parametrize(("scenario", "server"), pairs(), indirect=["server"])
def test_every_scenario_is_proven(server: TestServer, backed_up: Path) -> None:
    """Each scenario comes back equal on its own major, and the proof is recorded."""
    databases = _databases(server)
    result = _prove(backed_up, on=server)
    assert () == result.evidence.differences
    assert result.proven
    metadata = result.metadata
    assert sum(metadata.table_counts.values()) == result.evidence.rows
    assert len(metadata.tables) == result.evidence.tables
    assert databases == _databases(server)


@pytest.mark.parametrize(("scenario", "server"), pairs(15), indirect=["server"])
def test_every_scenario_of_15_is_proven_on_18(
    server: TestServer, pg18: TestServer, backed_up: Path
) -> None:
    """A newer server rewords checks and views, and still the restored database is equal."""
    assert server.major < pg18.major
    result = _prove(backed_up, on=pg18)
    assert () == result.evidence.differences
    assert result.proven


def _databases(server: TestServer) -> set[str]:
    """List the databases and roles of a server."""
    with server.connect("postgres") as session:
        text = "SELECT datname FROM pg_database UNION ALL SELECT 'role ' || rolname FROM pg_roles"
        return {name for (name,) in session.execute(text)}


@pytest.mark.parametrize(
    "name",
    [
        "database_settings",
        "encoding_latin1",
        "encoding_sql_ascii",
        "event_trigger",
        "hostile_names",
        "partitions",
        "types",
        "views_checks",
    ],
)
def test_proven_on_a_throwaway_server_of_18(pg15: TestServer, name: str, tmp_path: Path) -> None:
    """A throw-away server of 18 proves a dump of 15; the roles of the source are not there."""
    dump = _backup_of(pg15, _BY_NAME[name], tmp_path)
    result = _prove(dump, bin_dir=programs(18))
    assert () == result.evidence.differences
    assert str(result.evidence.server_version).startswith("18.")
    assert 0 < (result.evidence.restore_seconds or 0) < result.evidence.seconds


def test_missing_roles_are_made_without_login_or_password(pg18: TestServer, tmp_path: Path) -> None:
    """Owners and grantees that do not exist are made, without a login or a password."""
    dump = _backup_of(pg18, _BY_NAME["row_security"], tmp_path)
    seen: list[tuple[str, bool, bool, bool]] = []

    def look(conninfo: str) -> None:
        with psycopg.connect(conninfo) as session:
            seen.extend(
                session.execute(
                    "SELECT rolname, rolcanlogin, rolsuper, rolpassword IS NULL FROM pg_authid"
                    " WHERE rolname LIKE 'scn%' ORDER BY 1"
                ).fetchall()
            )

    assert _prove(dump, bin_dir=pg18.bin, between=look).proven
    assert [("scn_owner", False, False, True), ("scn_tenant", False, False, True)] == seen


def test_an_event_trigger_of_a_missing_role_is_proven(
    pg15: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """An event trigger of a role that is not there is proven all the same."""
    name = make_database(pg15)
    pg15.psql(name, "CREATE ROLE proof_admin SUPERUSER")
    try:
        pg15.psql(
            name,
            "SET ROLE proof_admin; CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql"
            " AS 'BEGIN END'; CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION f()",
        )
        dump = back_up(pg15, name, tmp_path).backup.path
        assert _prove(dump, bin_dir=pg15.bin).proven
    finally:
        pg15.psql(name, "DROP OWNED BY proof_admin; DROP ROLE proof_admin")


@pytest.fixture(scope="module")
def sound(pg18: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Back up a database with one thing of each kind that a sabotage can hit."""
    name = pg18.unique_name("sabotage")
    pg18.create_database(name)
    try:
        pg18.psql(name, _SCHEMA)
        yield back_up(pg18, name, tmp_path_factory.mktemp("sabotage")).backup.path
    finally:
        pg18.drop_database(name)
        pg18.psql("postgres", "DROP ROLE IF EXISTS sabotage_owner")


@pytest.fixture
def dump(sound: Path, tmp_path: Path) -> Path:
    """A copy of that backup, for this test alone."""
    shutil.copy(sound.with_name(metadata_name(sound.name)), tmp_path)
    return Path(shutil.copy(sound, tmp_path))


@pytest.mark.parametrize("sabotage", _SABOTAGE)
def test_every_sabotage_fails_the_proof(pg18: TestServer, dump: Path, sabotage: str) -> None:
    """Whatever is changed in the restored database before it is compared, the proof differs."""
    statement, kind, name = _SABOTAGE[sabotage]
    result = _prove(dump, on=pg18, between=_executing(statement))
    found = {(difference.kind.value, difference.name) for difference in result.evidence.differences}
    assert (kind, name) in found
    assert not result.proven
    assert result.proof is not None
    assert result.evidence == result.proof.failed
    assert result.proof == decode_proof(proof_path(dump).read_bytes())


@pytest.mark.parametrize("table", ["items", "hashed_0"])
def test_metadata_of_other_rows_fail_the_proof(pg18: TestServer, dump: Path, table: str) -> None:
    """If the metadata record other rows than the dump has, the proof fails."""
    path = dump.with_name(metadata_name(dump.name))
    found = json.loads(path.read_text())
    (one,) = (one for one in found["tables"] if one["name"] == table)
    one["fingerprint"] = "0" * 32
    path.write_text(json.dumps(found))
    differences = _prove(dump, on=pg18).evidence.differences
    assert [DifferenceKind.VALUES] == [difference.kind for difference in differences]
    assert "0" * 32 == differences[0].expected


def test_a_failed_restore_is_a_difference(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """An index that cannot be made again is one, and the proof says so."""
    name = make_database(pg18)
    pg18.psql(
        name,
        "CREATE TABLE t (id integer); INSERT INTO t VALUES (1);"
        " CREATE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';"
        " CREATE INDEX t_f ON t (f(id));"
        " CREATE OR REPLACE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE sql"
        " AS 'SELECT 1 / (n - 1)'",
    )
    result = _prove(back_up(pg18, name, tmp_path).backup.path, on=pg18)
    (difference,) = result.evidence.differences
    assert DifferenceKind.RESTORE is difference.kind
    assert "INDEX public.t_f" == difference.name
    assert "division by zero" in difference.found
    assert Level.DECODED is result.level


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make every comparison wait in the server for longer than a test; how each ended."""
    ends: list[str] = []

    def compare(session: Session, *_: object, **__: object) -> None:
        try:
            session.execute("SELECT pg_sleep(36000)")
        except psycopg.Error as error:
            ends.append(type(error).__name__)
            raise PgvowError(str(error)) from error

    monkeypatch.setattr("pgvow.operations.prove.run.compare_database", compare)
    return ends


_LATE = pytest.mark.parametrize(
    "late", ["CREATE INDEX ON t (f(id))", "ALTER TABLE t ADD EXCLUDE (f(id) WITH =)"]
)


def _make_unbuildable(server: TestServer, name: str, late: str, body: str) -> None:
    """Make an index or constraint whose function has another body by now."""
    server.psql(
        name,
        "CREATE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN RETURN n; END'; CREATE TABLE t (id integer); INSERT INTO t VALUES (1), (2)",
    )
    server.psql(name, late)
    server.psql(
        name,
        "CREATE OR REPLACE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql"
        f" AS $$ BEGIN {body}; END $$",
    )


@_LATE
def test_rows_are_compared_beside_a_refused_index(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path, late: str
) -> None:
    """An index that cannot be made of the rows is the result, and that all rows came is told."""
    name = make_database(pg18)
    _make_unbuildable(pg18, name, late, "RETURN 1 / (n - n)")
    before = _databases(pg18)
    result = _prove(back_up(pg18, name, tmp_path).backup.path, on=pg18)
    (difference,) = result.evidence.differences
    assert DifferenceKind.RESTORE is difference.kind
    assert "division by zero" in difference.found
    assert (1, 2) == (result.evidence.tables, result.evidence.rows)
    assert before == _databases(pg18)


@_LATE
def test_a_failure_without_verdict_ends_the_comparison(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path, asleep: list[str], late: str
) -> None:
    """If the restore ends by something else than the data, nobody waits for rows to be compared."""
    name = make_database(pg18)
    _make_unbuildable(pg18, name, late, "RAISE 'memory' USING ERRCODE = '53200'; RETURN n")
    before = _databases(pg18)
    with pytest.raises(NoResources):
        _prove(back_up(pg18, name, tmp_path).backup.path, on=pg18)
    assert ["AdminShutdown"] == asleep
    assert before == _databases(pg18)


class _Interrupted(Silent):
    """Ctrl-C while indexes are built: as soon as rows are compared."""

    def __init__(self, server: TestServer) -> None:
        super().__init__()
        self._server = server

    def update(self, step: Step) -> None:
        """Look whether rows are compared."""
        with self._server.connect("postgres") as session:
            asleep = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(36000)'"
            if step.phase == "restoring" and session.execute(asleep).fetchone() is not None:
                raise KeyboardInterrupt


def test_an_interruption_ends_the_comparison(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path, asleep: list[str]
) -> None:
    """Ctrl-C beside the comparison ends the proof at once, and nothing of it is left."""
    name = make_database(pg18)
    pg18.psql(
        name,
        "CREATE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';"
        " CREATE TABLE t (id integer); INSERT INTO t VALUES (1); CREATE INDEX ON t (f(id));"
        " CREATE OR REPLACE FUNCTION f(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_catalog.pg_sleep(36000); RETURN n; END'",
    )
    before = _databases(pg18)
    dump = back_up(pg18, name, tmp_path).backup.path
    options = ProveOptions(on=pg18.conninfo("postgres"), jobs=2)
    with pytest.raises(KeyboardInterrupt):
        prove_backup(
            StoredBackup.at(dump),
            replace(options, pg_bin=pg18.bin),
            a_context(progress=_Interrupted(pg18)),
        )
    assert before == _databases(pg18)


def test_rows_in_another_order_are_no_difference(pg18: TestServer, dump: Path) -> None:
    """The same rows in another order are the same rows."""
    moved = "UPDATE items SET body = body WHERE id < 250"
    assert _prove(dump, on=pg18, between=_executing(moved)).proven


def test_the_proof_is_written_beside_the_dump(pg18: TestServer, dump: Path) -> None:
    """The proof is a JSON file for its owner only; the last one stands, and lists show it."""
    path = proof_path(dump)
    path.with_name(path.name + ".partial").write_text("what a dead run left")
    _prove(dump, on=pg18, between=_executing("DROP VIEW recent"))
    assert "proven" == json.loads(path.read_text())["failed"]["level"]
    (listed,) = backups_in(DirectoryStore(dump.parent))
    assert (Level.DECODED, Level.DECODED) == (listed.level, listed.trusted)
    result = _prove(dump, on=pg18)
    assert path == result.proof_path
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert "proven" == json.loads(path.read_text())["level"]
    assert json.loads(path.read_text())["failed"] is None
    assert {dump.name, metadata_name(dump.name), path.name} == {
        each.name for each in dump.parent.iterdir()
    }
    (listed,) = backups_in(DirectoryStore(dump.parent))
    assert result.proof == listed.proof
    assert dump == choose_backup("latest", SearchedDirectories([dump.parent], "dev"), a_context({}))


def test_a_changed_dump_is_not_restored(dump: Path, pg18: TestServer) -> None:
    """A dump with one bit changed is not restored anywhere, and the list shows it."""
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)

    def restored(_: str) -> None:
        raise AssertionError

    with pytest.raises(VerificationFailed):
        _prove(dump, on=pg18, between=restored)
    (listed,) = backups_in(DirectoryStore(dump.parent))
    assert listed.trusted is None
    assert listed.proof is not None
    assert listed.proof.failed is not None
    assert Level.VERIFIED is listed.proof.failed.level


def test_missing_extension_is_no_verdict(pg15: TestServer, tmp_path: Path) -> None:
    """Without the archive's extension nothing is proven and nothing refuted; the level stays."""
    dump = _backup_of(pg15, _BY_NAME["extension_config"], tmp_path)
    with pytest.raises(CannotBeProven, match="pgvow_conf") as caught:
        _prove(dump)  # by this machine's own programs, which do not have the tests' extension
    assert 13 == caught.value.exit_code
    assert not proof_path(dump).exists()


def test_an_older_server_is_no_verdict(pg15: TestServer, dump: Path) -> None:
    """A server older than the archive's pg_dump is refused, named or looked for."""
    with pytest.raises(CannotBeProven, match="older"):
        _prove(dump, on=pg15)


def test_without_inspection_the_archives_fingerprints_are_compared(
    pg18: TestServer, dump: Path
) -> None:
    """A backup made with --no-inspect has no fingerprints: the archive's own are compared."""
    path = dump.with_name(metadata_name(dump.name))
    found = json.loads(path.read_text())
    for key in ("toc", "large_objects", "sequences"):
        del found[key]
    for table in found["tables"]:
        for key in ("bytes", "fingerprint", "stored"):
            del table[key]
    path.write_text(json.dumps(found))
    changed = _executing("UPDATE items SET body = 'x' WHERE id = 1; SELECT setval('tickets', 7)")
    result = _prove(dump, on=pg18, between=changed)
    kinds = [difference.kind for difference in result.evidence.differences]
    assert [DifferenceKind.VALUES, DifferenceKind.SEQUENCE] == kinds
    assert _prove(dump, on=pg18).proven


def test_rows_through_pipes_are_compared(
    pg15: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """On a throw-away server rows come through pipes: many, long, none, and one that is changed."""
    name = make_database(pg15)
    pg15.psql(
        name,
        "CREATE TABLE t (n integer, gone integer, body text);"
        " INSERT INTO t SELECT n, n, repeat(md5(n::text), n % 50) FROM generate_series(1, 9000) n;"
        " INSERT INTO t VALUES (0, 0, repeat('long', 1000000));"
        " ALTER TABLE t DROP COLUMN gone; CREATE TABLE bare (n int); CREATE TABLE no_columns ()",
    )
    dump = back_up(pg15, name, tmp_path).backup.path
    assert _prove(dump, bin_dir=pg15.bin).proven
    changed = _executing("UPDATE t SET body = 'x' WHERE n = 1999; DROP TABLE bare")
    result = _prove(dump, bin_dir=pg15.bin, between=changed)
    found = {(each.kind, each.name) for each in result.evidence.differences}
    assert {(DifferenceKind.VALUES, "t"), (DifferenceKind.TABLE_MISSING, "bare")} <= found
