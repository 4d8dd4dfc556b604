"""Databases that break their own rules or lean on search_path: proven not, and told why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.model import DifferenceKind
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup, proof_path
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.servers import MAJORS

if TYPE_CHECKING:
    from pgvow.operations.prove import ProofResult
    from tests.support.servers import TestServer

_CASES = Path(__file__).resolve().parents[1] / "cases"
# The object, its cause in plain words, and how many tables are compared all the same.
_TOLD = {
    "orphans": (
        "FK CONSTRAINT public.child child_parent_fkey",
        "the source breaks its own rule: foreign key child_parent_fkey does not hold",
        2,
    ),
    "check_elsewhere": ("TABLE DATA public.article", "leans on search_path", 0),
    "view_by_text": ("MATERIALIZED VIEW DATA public.words", "leans on search_path", 1),
    "unqualified_names": ("TABLE DATA public.article", "leans on search_path", 0),
}


def _prove(server: TestServer, database: str, folder: Path, on: str | None) -> ProofResult:
    dump = back_up(server, database, folder).backup.path
    environ = {**clean_environment(), "PGVOW_PG_BIN": str(server.bin)}
    return prove_backup(
        StoredBackup.at(dump), ProveOptions(on=on, jobs=2, pg_bin=server.bin), a_context(environ)
    )


_RESTRICTED_SINCE = 17
"""From 17 on an index is built under a safe search_path, at the source too."""
_BY_TURNS = [
    (major, case, ("throw-away", "given")[(turn + number) % 2])
    for turn, major in enumerate(MAJORS)
    for number, case in enumerate(("orphans", "check_elsewhere", "unqualified_names"))
]
"""Each case on every major, and at each place on two of them."""
_OF_AN_INDEX = "create index on label using gin (pieces(c));"


@pytest.mark.parametrize(("server", "case", "place"), _BY_TURNS, indirect=["server"])
def test_the_object_that_stops_a_restore_is_named(
    case: str, place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """The object and the cause; the tables that were all there are compared, and equal."""
    schema = (_CASES / f"{case}.sql").read_text()
    if server.major >= _RESTRICTED_SINCE:
        schema = schema.replace(_OF_AN_INDEX, "")
    server.psql(database, schema)
    _is_told(server, database, tmp_path, case, place)


@pytest.mark.majors(15, 16)
@pytest.mark.parametrize("place", ["throw-away", "given"])
def test_a_view_that_cannot_be_filled_is_named(
    place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """The view and why; from 17 on a source cannot fill such a view either."""
    server.psql(database, _CASES / "view_by_text.sql")
    _is_told(server, database, tmp_path, "view_by_text", place)


def _is_told(server: TestServer, database: str, folder: Path, case: str, place: str) -> None:
    on = server.conninfo("postgres") if place == "given" else None
    result = _prove(server, database, folder, on)
    name, cause, tables = _TOLD[case]
    (difference,) = result.evidence.differences
    assert (DifferenceKind.RESTORE, name) == (difference.kind, difference.name)
    assert cause in difference.found
    assert tables == result.evidence.tables
    assert "failed" in json.loads(proof_path(result.path).read_text())


@pytest.mark.majors(18)
def test_a_violated_rule_exits_8_and_reports_the_equal_tables(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Exit code 8; the report has the tables that came back equal, and not that nothing did."""
    server.psql(database, _CASES / "orphans.sql")
    commands = Commands(tmp_path, settings_for(server, database))
    dump = back_up(server, database, tmp_path).backup.path
    done = commands.pgvow("prove", dump, "--jobs", "2")
    assert 8 == done.code, done.err
    assert "Not proven: the restore cannot be finished" in done.out
    assert "2 tables, 248 rows: all were there and equal" in done.out
