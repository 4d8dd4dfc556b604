"""compare as a user runs it: report, JSON, exit codes, and psql behind a pipe."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_SCHEMA = """
CREATE TABLE orders (id integer PRIMARY KEY, note text);
CREATE TABLE log (note text);
INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 1500) AS n;
INSERT INTO log VALUES ('x');
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER audit AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION noted();
"""
_ACCIDENT = """
UPDATE orders SET note = 'oh' WHERE id <= 3;
DELETE FROM orders WHERE id > 1498;
INSERT INTO orders VALUES (5000, 'new');
"""


@pytest.mark.majors(18)
def test_a_person_sees_the_accident_and_mends_it(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Counts, JSON held against its schema, statements through a pipe into psql; then nothing."""
    server.psql(database, _SCHEMA)
    dump = back_up(server, database, tmp_path).backup.path
    server.psql(database, _ACCIDENT)
    shell = Commands(tmp_path, settings_for(server, database))
    words = ("compare", str(dump), "--with", "dev")
    done = shell.pgvow(*words)
    assert 0 == done.code, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert ["orders", "2", "1", "3", "1,495"] in rows
    assert ["log", *"0001", *["by", "whole", "rows,", "for", "it", "has", "no", "key"]] in rows
    found = shell.pgvow(*words, "--table", "orders", "--json").json
    (orders,) = found["tables"]
    assert (False, ["id"]) == (found["equal"], orders["key"])
    wanted = {"rows_in_backup": 1500, "rows_in_database": 1499, "only_in_backup": 2}
    assert wanted == {name: orders[name] for name in wanted}
    script = shell.pgvow(*words, "--table", "orders", "--format", "sql", "--deletes")
    assert "orders has triggers, which these statements fire: audit" in script.err
    assert "-- orders: 2 INSERTs, 3 UPDATEs, 1 DELETE\n" in script.out
    server.psql(database, script.out)
    done = shell.pgvow(*words)
    assert "✓ Nothing differs in 2 tables" in done.out
    assert "" == shell.pgvow(*words, "--quiet").out


@pytest.mark.majors(18)
def test_a_mistake_has_its_exit_code(server: TestServer, database: str, tmp_path: Path) -> None:
    """2 for a wrong command line or table, 3 without such a database, 5 for a full disk."""
    server.psql(
        database, "CREATE TABLE orders (id integer PRIMARY KEY); INSERT INTO orders VALUES (1)"
    )
    server.psql(database, "SELECT 'CREATE TABLE t' || generate_series(1, 40) || '()' \\gexec")
    dump = str(back_up(server, database, tmp_path).backup.path)
    server.psql(database, "DELETE FROM orders")
    shell = Commands(tmp_path, settings_for(server, database))
    for code, words in (
        (2, ("--with", "dev", "--deletes")),
        (2, ("--with", "dev", "--format", "csv", "--json")),
        (2, ("--with", "dev", "--table", "nothing")),
        (2, ()),
        (3, ("--with", "no_such_database")),
    ):
        done = shell.pgvow("compare", dump, *words)
        assert (code, "Traceback" in done.err) == (done.code, False), done.err
    assert (
        "no_such_database is no environment, and so a database; the environments: dev" in done.err
    )
    shown = shell.pgvow("compare", dump, "--with", "dev").out
    assert ("orders" in shown, "\nt1 " in shown) == (True, False)  # of many, those that differ
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "pgvow", "compare", dump, "--with", "dev", "--format", "sql"],
            env={**clean_environment(), **settings_for(server, database)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=600,
        )
    assert (5, False) == (done.returncode, b"Traceback" in done.stderr), done.stderr
