"""Databases that break their own rules or lean on search_path: what a proof says of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import NoSpace, NoVerdict
from pgvow.model import DifferenceKind
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup, proof_path
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from pgvow.operations.prove import ProofResult
    from tests.support.servers import TestServer

_CASES = Path(__file__).resolve().parents[1] / "cases"


def _prove(server: TestServer, database: str, folder: Path, on: str | None) -> ProofResult:
    dump = back_up(server, database, folder).backup.path
    environ = {**clean_environment(), "PGVOW_PG_BIN": str(server.bin)}
    return prove_backup(
        StoredBackup.at(dump), ProveOptions(on=on, jobs=2, pg_bin=server.bin), a_context(environ)
    )


_RESTRICTED_SINCE = 17
"""From 17 on an index is built under a safe search_path, at the source too."""
_OF_AN_INDEX = "create index on label using gin (pieces(c));"
_RULE = "FK CONSTRAINT public.child child_parent_fkey"
_TWO_FAULTS = """
CREATE TABLE t AS SELECT n FROM generate_series(1, 20) AS n;
CREATE FUNCTION a(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION b(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE INDEX i_a ON t (a(n));
CREATE INDEX i_b ON t (b(n));
CREATE OR REPLACE FUNCTION a(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 / (n - 5)';
CREATE OR REPLACE FUNCTION b(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 / (n - 6)';
"""


def _on(server: TestServer, place: str) -> str | None:
    return server.conninfo("postgres") if place == "given" else None


@pytest.mark.parametrize("place", ["throw-away", "given"])
def test_a_rule_that_the_source_breaks_is_told_with_its_rows(
    place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Proven: every table is equal; the rule, the number of rows and their query are recorded."""
    server.psql(database, _CASES / "orphans.sql")
    result = _prove(server, database, tmp_path, _on(server, place))
    assert () == result.evidence.differences
    (rule,) = result.evidence.broken_rules
    assert (_RULE, 8) == (rule.name, rule.rows)
    assert 2 == result.evidence.tables
    proof = json.loads(proof_path(result.path).read_text())
    assert None is proof["failed"]
    assert rule.query == proof["passed"][-1]["broken_rules"][0]["query"]


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", ["check_elsewhere", "unqualified_names"])
def test_names_without_a_schema_are_no_difference_on_a_given_server(
    case: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """They are restored under the source's search_path; the proof says which."""
    schema = (_CASES / f"{case}.sql").read_text()
    if server.major >= _RESTRICTED_SINCE:
        schema = schema.replace(_OF_AN_INDEX, "")
    server.psql(database, schema)
    result = _prove(server, database, tmp_path, _on(server, "given"))
    assert () == result.evidence.differences
    assert "TABLE DATA public.article" in {each.entry.shown for each in result.retried}


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("place", ["throw-away", "given"])
def test_every_object_that_does_not_come_back_is_named(
    place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """A proof goes on after the first, and compares the rows all the same."""
    server.psql(database, _TWO_FAULTS)
    result = _prove(server, database, tmp_path, _on(server, place))
    found = {(each.kind, each.name) for each in result.evidence.differences}
    assert {
        (DifferenceKind.RESTORE, "INDEX public.i_a"),
        (DifferenceKind.RESTORE, "INDEX public.i_b"),
    } == found
    assert (1, 20) == (result.evidence.tables, result.evidence.rows)
    assert not result.proven


_PRETENDER = """
CREATE TABLE t (n integer);
CREATE FUNCTION chk(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
ALTER TABLE t ADD CHECK (chk(n));
INSERT INTO t VALUES (1);
CREATE OR REPLACE FUNCTION chk(integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('is_superuser') = 'on' THEN
    EXECUTE $q$COPY (SELECT 1) TO PROGRAM 'cat > MARK'$q$;
    RETURN true;
  END IF;
  RAISE EXCEPTION 'No space left on device';
END $$;
"""


@pytest.mark.majors(18)
@pytest.mark.parametrize("place", ["throw-away", "given"])
def test_words_of_a_full_disk_run_no_code_as_a_superuser(
    place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """It is no verdict, and what raised them is not tried again with more rights."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        mark = Path(folder) / "mark"
        server.psql(database, _PRETENDER.replace("MARK", str(mark)))
        with pytest.raises(NoSpace):
            _prove(server, database, tmp_path, _on(server, place))
        assert not mark.exists()


_THEN_FULL = """
CREATE TABLE limits AS SELECT 100 AS most;
CREATE TABLE article (id integer);
INSERT INTO article VALUES (1);
CREATE FUNCTION f(n integer) RETURNS boolean LANGUAGE sql AS 'SELECT n < max(most) FROM limits';
ALTER TABLE article ADD CHECK (f(id));
CREATE FUNCTION i(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE INDEX full_disk ON article (i(id));
CREATE OR REPLACE FUNCTION i(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'canceling statement due to user request'; END $$;
"""


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("place", ["throw-away", "given"])
def test_an_earlier_refusal_is_no_evidence_for_a_later_failure(
    place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Rows were refused and came back; then a statement was cancelled: that is no verdict."""
    server.psql(database, _THEN_FULL)
    with pytest.raises(NoVerdict, match="canceling statement"):
        _prove(server, database, tmp_path, _on(server, place))


@pytest.mark.majors(18)
def test_a_broken_rule_is_a_note_of_prove_list_and_status(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """``prove`` ends with 0 and shows the query; ``status`` warns until it is acknowledged."""
    server.psql(database, _CASES / "orphans.sql")
    commands = Commands(tmp_path, settings_for(server, database))
    assert 0 == commands.run().code
    done = commands.pgvow("prove", "latest", "--jobs", "2")
    assert 0 == done.code, done.err
    assert "all rows come back equal; the source breaks its own rules in 1 place" in done.out
    assert "8 rows: SELECT child.*" in done.out
    assert "proven, with broken rules" in commands.pgvow("list", "--wide").out
    shown = commands.pgvow("show", "latest").out
    assert "8 rows: SELECT child.*" in shown
    assert 'insert or update on table "child" violates' in shown
    assert "could not execute query" not in shown
    assert "--exit-on-error" not in shown  # it would end before the rest is there
    sheet = json.loads(commands.pgvow("sheet", "--json").out)
    own = [each["line"] for each in sheet["sources"][0]["with_pgvow"]]
    assert [True] == [line.endswith("--rescue") for line in own if "restore" in line]
    status = commands.pgvow("status")
    assert 11 == status.code
    assert "the source breaks its own rules" in " ".join(status.out.split())
    assert 0 == commands.pgvow("acknowledge", "latest", "--note", "known since May").code
    assert 0 == commands.pgvow("status").code


@pytest.mark.majors(18)
def test_a_restore_that_cannot_be_finished_exits_8_and_reports_the_equal_tables(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Exit code 8; the report has the tables that came back equal, and not that nothing did."""
    server.psql(database, _TWO_FAULTS)
    commands = Commands(tmp_path, settings_for(server, database))
    dump = back_up(server, database, tmp_path).backup.path
    done = commands.pgvow("prove", dump, "--jobs", "2")
    assert 8 == done.code, done.err
    assert "Not proven: the restore cannot be finished" in done.out
    assert "1 tables, 20 rows: all were there and equal" in done.out
