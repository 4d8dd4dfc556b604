"""Every scenario through ``pgvow restore FILE --to DATABASE``, on the oldest and newest server."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.app import dispatch
from pgvow.cli.parser import parse_pgvow
from tests.support.commands import clean_environment, settings_for
from tests.support.inprocess import back_up
from tests.support.restored import rows_by_key
from tests.support.restoring import databases
from tests.support.scenarios import Scenario, jobs_by_turns, load, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

_BY_HASH_OF_AN_ENUM = "coloured_"


@pytest.fixture
def loaded(server: TestServer, scenario: Scenario) -> Iterator[str]:
    """A database with the scenario in it; it and the restored ones are dropped."""
    name = load(server, scenario)
    yield name
    for each in databases(server):
        if each.startswith(name):
            server.drop_database(each)


def without_leaves(counts: dict[str, int]) -> dict[str, int]:
    """Sum the partitions by the hash of an enum: they have other rows in each database."""
    rest = {key: n for key, n in counts.items() if not key.startswith(_BY_HASH_OF_AN_ENUM)}
    return {**rest, _BY_HASH_OF_AN_ENUM: sum(counts.values()) - sum(rest.values())}


# The oldest and the newest by turns: each scenario is restored and proven on others elsewhere.
_BY_TURNS = [
    case
    for number, case in enumerate(pairs(15, 18))
    if number % 4 in (0, 3) or "vectors" in str(case.id)
]


@pytest.mark.parametrize(("scenario", "server"), _BY_TURNS, indirect=["server"])
def test_a_scenario_is_restored_without_a_difference(
    server: TestServer,
    scenario: Scenario,
    loaded: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command ends well, finds nothing that differs, and every table has the source's rows."""
    jobs = jobs_by_turns(server, scenario)
    dump = back_up(server, loaded, tmp_path, jobs=jobs).backup.path
    restored = f"{loaded}_restored"
    for name in os.environ.keys() - clean_environment():
        monkeypatch.delenv(name)
    for name, value in settings_for(server, "postgres").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    words = ["restore", str(dump), "--to", restored, "--json", "--quiet"]
    assert 0 == dispatch(parse_pgvow(words))
    found = json.loads(capsys.readouterr().out)
    counts = rows_by_key(server, loaded)
    assert {"equal": True, "differences": [], "rows": sum(counts.values())} == {
        key: found["comparison"][key] for key in ("equal", "differences", "rows")
    }
    assert without_leaves(counts) == without_leaves(rows_by_key(server, restored))
