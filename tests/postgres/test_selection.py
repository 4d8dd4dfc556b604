"""Part of a database: the selection of pg_dump with the same options, and no other is reported."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.engines import list_of, script_of
from tests.support.restored import rows_by_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_SETUP = """
CREATE TABLE orders AS SELECT n FROM generate_series(1, 300) AS n;
CREATE TABLE order_lines AS SELECT n FROM generate_series(1, 700) AS n;
CREATE SCHEMA audit;
CREATE TABLE audit.log AS SELECT n FROM generate_series(1, 40) AS n;
CREATE TABLE audit.orders AS SELECT n FROM generate_series(1, 5) AS n;
CREATE SCHEMA "odd Name";
CREATE TABLE "odd Name"."Table" (id serial, n integer);
INSERT INTO "odd Name"."Table" (n) VALUES (1), (2);
SELECT lo_from_bytea(0, 'large');
"""
_ORDERS = {"orders": 300, "order_lines": 700}
_AUDIT = {"audit.log": 40, "audit.orders": 5}
_ODD = {'"odd Name".Table': 2}
_CHOICES = {
    "-n audit -n public": {**_ORDERS, **_AUDIT},
    "-t orders": {"orders": 300},
    "-N 'a*' -N '\"odd Name\"'": _ORDERS,
    "-t 'public.order*' -t audit.log": {**_ORDERS, "audit.log": 40},
    "-T order_lines --exclude-table-data audit.*": {"orders": 300, **_ODD},
    "-n public -T orders": {"order_lines": 700},
    "-t '\"odd Name\".*' --exclude-table-data orders": _ODD,
    "--exclude-table-data '*.*'": {},
}
ENGINES = pytest.mark.parametrize("engine", [("--jobs", "1"), ("--jobs", "2")], ids=["one", "two"])


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell with a database of three schemas and a large object."""
    server.psql(database, _SETUP)
    return Commands(tmp_path, settings_for(server, database))


def long_options(choice: str) -> list[str]:
    """The options as the metadata have them."""
    names = {
        "-n": "--schema",
        "-N": "--exclude-schema",
        "-t": "--table",
        "-T": "--exclude-table",
    }
    words = shlex.split(choice)
    pairs = zip(words[::2], words[1::2], strict=True)
    return [f"{names.get(name, name)}={pattern}" for name, pattern in pairs]


@ENGINES
def test_the_selection_equals_that_of_pg_dump(
    engine: tuple[str, str], server: TestServer, database: str, commands: Commands, tmp_path: Path
) -> None:
    """Script, list, counts and report, for every kind of choice."""
    choices = list(_CHOICES.items())
    for number, (choice, expected) in enumerate(choices if engine[1] == "2" else choices[::3]):
        reference = tmp_path / f"{number}.dump"
        subprocess.run(
            [server.bin / "pg_dump", "-Fc", "-f", reference, *shlex.split(choice)],
            env=server.environment(database),
            check=True,
        )
        done = commands.run("--json", "--no-globals", *engine, *shlex.split(choice))
        assert 0 == done.code, done.err
        assert [] == done.json["warnings"]
        metadata = done.json["metadata"]
        assert expected == metadata["table_counts"]
        assert long_options(choice) == metadata["selection"]
        assert {"1": "pg_dump", "2": "parallel"}[engine[1]] == metadata["engine"]
        dump = tmp_path / done.json["backup_path"]
        assert script_of(server, reference) == script_of(server, dump)
        assert list_of(server, reference) == list_of(server, dump)


@ENGINES
def test_a_pattern_without_matches_exits_7_and_leaves_nothing(
    engine: tuple[str, str], commands: Commands, tmp_path: Path
) -> None:
    """pg_dump's own complaint: 7, and nothing is left."""
    for choice in (("-t", "nowhere"), ("-n", "nowhere")):
        done = commands.run(*engine, *choice)
        assert 7 == done.code, done.err
        assert "no matching" in done.err
        assert "Traceback" not in done.err
        assert [] == left_in(tmp_path / "db/backups")


@ENGINES
def test_unreadable_schemas_can_be_excluded(
    engine: tuple[str, str], server: TestServer, database: str, tmp_path: Path
) -> None:
    """A role without rights on a schema backs up the rest; with that schema it is 4."""
    server.psql(database, _SETUP)
    role = server.unique_name("clerk")
    server.psql(
        database,
        f"CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA public TO {role};"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    )
    try:
        settings = {**settings_for(server, database), "DEV_DB_USER": role, "DEV_DB_PASSWORD": "p"}
        commands = Commands(tmp_path, settings)
        done = commands.run("--json", "--no-globals", *engine, "-n", "public")
        whole = commands.run("--no-globals", *engine)
    finally:
        server.psql(database, f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert 0 == done.code, done.err
    assert _ORDERS == done.json["metadata"]["table_counts"]
    assert 4 == whole.code, whole.err
    assert "permission denied" in whole.err


@ENGINES
def test_a_partial_backup_is_listed_verified_proven_and_restored(
    engine: tuple[str, str], server: TestServer, database: str, commands: Commands, tmp_path: Path
) -> None:
    """Shown, listed, verified, proven and restored with the objects that it holds."""
    choice = ("-n", "public", "-n", "audit", "--exclude-table-data", "order_lines")
    expected = {"orders": 300, **_AUDIT}
    done = commands.run("--json", *engine, *choice)
    assert 0 == done.code, done.err
    path = done.json["backup_path"]
    shown = commands.pgvow("show", path, "--json")
    assert 0 == shown.code, shown.err
    assert expected == {
        (
            table["name"] if table["schema"] == "public" else f"{table['schema']}.{table['name']}"
        ): table["rows"]
        for table in shown.json["tables"]
    }
    deep = commands.pgvow("verify", path, "--deep")
    assert 0 == deep.code, deep.out + deep.err
    proven = commands.pgvow("prove", path, "--json")
    assert 0 == proven.code, proven.out + proven.err
    (listed,) = commands.pgvow("list", "--json").json
    assert "ok" == listed["status"]
    fresh = server.unique_name("restored")
    try:
        restored = commands.pgvow("restore", path, "--to", fresh)
        assert 0 == restored.code, restored.err
        assert {**expected, "order_lines": 0} == rows_by_key(server, fresh)
    finally:
        server.drop_database(fresh)


def test_table_option_omits_dependencies_as_pg_dump_does(
    server: TestServer, database: str, commands: Commands
) -> None:
    """``-t`` leaves out dependencies of a table, as pg_dump does: no rows differ."""
    done = commands.run("--json", "--jobs", "2", "-t", "audit.log")
    assert 0 == done.code, done.err
    proven = commands.pgvow("prove", done.json["backup_path"], "--json")
    assert 13 == proven.code, proven.out + proven.err
    assert 'schema "audit" does not exist' in proven.err
    assert "only a part was backed up: --table=audit.log" in proven.err


@ENGINES
def test_table_names_are_read_in_the_database_encoding(
    engine: tuple[str, str], server: TestServer, database: str, commands: Commands
) -> None:
    """Which tables there are is asked in the database's own, whatever is set for it."""
    server.psql(database, 'CREATE TABLE "日本" AS SELECT n FROM generate_series(1, 9) AS n')
    server.psql(database, f"ALTER DATABASE \"{database}\" SET client_encoding = 'LATIN1'")
    done = commands.run("--json", *engine, "-n", "public")
    assert 0 == done.code, done.err
    assert {**_ORDERS, "日本": 9} == done.json["metadata"]["table_counts"]
