"""A proven backup comes back every time: every scenario, with two workers and with four."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.inprocess import back_up
from tests.support.restoring import databases, restore
from tests.support.scenarios import SCENARIOS, Scenario, load

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from tests.support.servers import TestServer

_ALL = "PGVOW_TEST_ALL" in os.environ
_TIMES = 10 if _ALL else 1


def _by_turns() -> list[ParameterSet]:
    """Each scenario on one major that can load it, or on all of them under PGVOW_TEST_ALL."""
    return [
        pytest.param(scenario, major, id=f"{scenario.name}-pg{major}")
        for turn, scenario in enumerate(SCENARIOS)
        for major in (scenario.majors if _ALL else [scenario.majors[turn % len(scenario.majors)]])
    ]


@pytest.mark.parametrize(("scenario", "server"), _by_turns(), indirect=["server"])
def test_a_proven_scenario_is_restored_with_any_number_of_workers(
    server: TestServer, scenario: Scenario, tmp_path: Path
) -> None:
    """Whatever order the workers take their entries in, all rows come back equal."""
    database = load(server, scenario)
    try:
        dump = back_up(server, database, tmp_path).backup.path
        for number in range(_TIMES):
            for jobs in (2, 4):
                result = restore(server, dump, f"{database}_{number}_{jobs}", jobs=jobs)
                assert result.comparison is not None
                assert () == result.comparison.differences
    finally:
        for each in databases(server):
            if each.startswith(database):
                server.drop_database(each)
