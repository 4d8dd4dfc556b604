"""Databases that break their own rules: every row comes back, and a script makes them whole."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConfigurationError, RestoreFailed
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup
from tests.support.cases import load_case, said_of
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restored import rows_by_key
from tests.support.restoring import databases, restore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.operations.restore import RestoreResult
    from tests.support.servers import TestServer

# What is loosened in each, and the rows that break it: None if no query tells.
LOOSENED: dict[str, dict[str, int | None]] = {
    "orphans": {"FK CONSTRAINT public.child child_parent_fkey": 8},
    "foreign_key": {"FK CONSTRAINT public.child Fremd Schlüssel": 2},
    "unique_keys": {
        "INDEX public.E index": 2,
        "CONSTRAINT public.a a_key": 2,
        "CONSTRAINT public.b b_key": 4,
        "COMMENT public.CONSTRAINT a_key ON a": None,
        "FK CONSTRAINT public.refers refers_a_fkey": None,
    },
    "checks": {
        "CHECK public.c is_small": 2,
        "CHECK of a domain public.count is_positive": None,
        "NOT NULL public.n id": 1,
    },
    "generated": {"GENERATED COLUMN public.g twice": None},
    "rows_that_do_not_fit": {"TABLE DATA public.m": 7},
    "exclusion": {"CONSTRAINT public.x x_excl": None},
    "objects": {
        "INDEX public.t_bad": None,
        "COMMENT public.INDEX t_bad": None,
        "MATERIALIZED VIEW DATA public.w": None,
    },
}
# All rows come back, so that a proof is one.
PROVEN = ("orphans", "foreign_key", "unique_keys", "checks", "generated")
_MENDED = {"orphans": "DELETE FROM child WHERE parent IN (7, 8)"}
_NOISE = re.compile(r"^(?:--|\\(?:un)?restrict|SELECT pg_catalog\.set_config|SET |\s*$)")


@dataclass(frozen=True, slots=True)
class Case:
    """A case that was loaded and backed up; the files of a rescue come into ``folder``."""

    name: str
    server: TestServer
    database: str
    dump: Path
    folder: Path

    def restore(self, **options: object) -> RestoreResult:
        """Restore it under another name."""
        return restore(self.server, self.dump, self.restored, directory=self.folder, **options)

    @property
    def restored(self) -> str:
        """The name of the restored database."""
        return f"{self.database}_r"


@pytest.fixture
def case(server: TestServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """Load and back up the case that a test names; everything of it is dropped afterwards."""
    database = load_case(server, request.param)
    try:
        dump = back_up(server, database, tmp_path).backup.path
        yield Case(request.param, server, database, dump, tmp_path)
    finally:
        for each in databases(server):
            if each.startswith(database):
                server.drop_database(each)


def definitions(server: TestServer, database: str) -> list[str]:
    """Dump a schema as lines, sorted: a generated column that was made again stands at the end."""
    done = subprocess.run(
        [server.bin / "pg_dump", "--schema-only", "--no-password", database],
        env=server.environment(database),
        check=True,
        capture_output=True,
        text=True,
    )
    lines = (line.strip().rstrip(",") for line in done.stdout.splitlines())
    return sorted(line for line in lines if not _NOISE.match(line))


@pytest.mark.parametrize("case", LOOSENED, indirect=True)
def test_a_rescue_brings_back_every_row_and_its_script_makes_it_whole(case: Case) -> None:
    """The report is right; with the rows mended the script makes it equal to the source."""
    result = case.restore(rescue=True)
    expected = LOOSENED[case.name]
    assert expected == {each.shown.name: each.shown.rows for each in result.rescue.loosened}
    assert result.comparison is not None
    assert result.comparison.equal
    rejected = int(said_of(case.name, "rejected") or 0)
    _same_rows(case, rejected)
    assert result.rescue.finish is not None
    mend = _MENDED.get(case.name) or said_of(case.name, "finish")
    for database in (case.database, case.restored):
        case.server.psql(database, mend)
    case.server.psql(case.restored, result.rescue.finish)
    _same_rows(case, 0)
    assert definitions(case.server, case.database) == definitions(case.server, case.restored)


def _same_rows(case: Case, fewer: int) -> None:
    """Every table has the source's rows; in all, so many are missing."""
    source = rows_by_key(case.server, case.database)
    restored = rows_by_key(case.server, case.restored)
    assert source.keys() == restored.keys()
    assert sum(source.values()) - fewer == sum(restored.values())


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", ["orphans", "checks", "objects"], indirect=True)
def test_without_rescue_it_says_how_much_was_there_and_the_command(case: Case) -> None:
    """Nothing is left under any name, and the command that goes on is the first step."""
    before = databases(case.server)
    with pytest.raises(RestoreFailed) as caught:
        case.restore(again="pgvow restore X --to Y")
    assert before == databases(case.server)
    assert re.fullmatch(r"\d+ of \d+ tables?, with \d+ rows?", caught.value.facts["Had come back"])
    assert "pgvow restore X --to Y --rescue" in caught.value.steps[0]
    assert not list(case.folder.glob("*.finish.sql"))


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", ["orphans"], indirect=True)
def test_a_failed_restore_is_kept_if_asked_for(case: Case) -> None:
    """It stands under a name of its own, with its rows, and no role of ours owns anything."""
    before = databases(case.server)
    with pytest.raises(RestoreFailed) as caught:
        case.restore(keep=True)
    (kept,) = databases(case.server) - before
    assert kept in " ".join(caught.value.steps)
    assert rows_by_key(case.server, case.database) == rows_by_key(case.server, kept)
    assert "pgvow" not in case.server.psql(kept, "SELECT rolname FROM pg_roles")
    case.server.drop_database(kept)


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", ["orphans"], indirect=True)
def test_a_swap_asks_to_accept_what_is_loosened(case: Case) -> None:
    """Without that nothing begins; with it the old database is kept beside the new one."""
    case.server.create_database(case.restored)
    with pytest.raises(ConfigurationError, match="--rescue may leave"):
        case.restore(rescue=True, swap=True)
    result = case.restore(rescue=True, swap=True, accept_loosened=True)
    assert result.kept_as in databases(case.server)
    assert 1 == len(result.rescue.loosened)
    comment = case.server.psql(
        case.restored,
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = current_database()",
    )
    assert "child_parent_fkey" in comment
    assert "finish.sql" in comment


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", PROVEN, indirect=True)
def test_a_proof_names_the_broken_rules_and_a_restore_knows_them(case: Case) -> None:
    """Proven, with the rules and the queries of their rows; a restore refuses before it begins."""
    options = ProveOptions(jobs=2, pg_bin=case.server.bin)
    result = prove_backup(StoredBackup.at(case.dump), options, a_context())
    assert () == result.evidence.differences
    assert result.proven
    expected = LOOSENED[case.name]
    assert expected == {each.name: each.rows for each in result.evidence.broken_rules}
    for each in result.evidence.broken_rules:
        if each.query is not None:
            listed = case.server.psql(case.database, each.query)
            assert each.rows == len(listed.splitlines())
    proof = json.loads(result.proof_path.read_text("utf-8"))
    assert "proven" == proof["level"]
    assert len(expected) == len(proof["passed"][-1]["broken_rules"])
    if case.name in {"orphans", "foreign_key"}:
        with pytest.raises(RestoreFailed, match="breaks its own rules"):
            case.restore()


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", ["own_rows"], indirect=True)
def test_conditions_that_hold_in_the_end_are_not_loosened(case: Case) -> None:
    """The rescue is whole; a proof says that a restore needs it."""
    result = case.restore(rescue=True)
    assert () == result.rescue.loosened
    assert None is result.rescue.finish
    assert ["TABLE DATA public.node"] == [each.entry.shown for each in result.retried]
    assert definitions(case.server, case.database) == definitions(case.server, case.restored)
    options = ProveOptions(jobs=2, pg_bin=case.server.bin)
    proof = prove_backup(StoredBackup.at(case.dump), options, a_context())
    assert () == proof.evidence.differences
    assert ["TABLE DATA public.node"] == [each.name for each in proof.evidence.broken_rules]
    case.server.drop_database(case.restored)
    with pytest.raises(RestoreFailed, match="breaks its own rules"):
        case.restore()


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("case", ["rows_that_do_not_fit"], indirect=True)
def test_rows_that_no_table_takes_are_in_a_file_with_their_reasons(case: Case) -> None:
    """The file has the very lines of the dump; beside it stands the reason for each."""
    result = case.restore(rescue=True)
    assert result.rescue.rejected is not None
    rows, reasons = sorted(result.rescue.rejected.iterdir())
    ids = [int(line.split("\t")[0]) for line in rows.read_text("utf-8").splitlines()]
    assert [1, 777, 778, 5001, 50000, 99999, 100000] == sorted(ids)
    records = [json.loads(line) for line in reasons.read_text("utf-8").splitlines()]
    assert 7 == len(records)
    assert {"22001"} == {each["sqlstate"] for each in records}
    assert 0 == rows.stat().st_mode & 0o077
    assert 0 == result.rescue.rejected.stat().st_mode & 0o077
