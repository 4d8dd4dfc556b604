"""The loader of scenarios; that each one loads, dumps and restores is in test_scenarios_backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import PgvowError
from tests.support.scenarios import SCENARIOS, Scenario, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

# Only what exists: a pair that returned at once would pass for one that was tried.
_SCENARIOS = [pytest.param(scenario, id=scenario.name) for scenario in SCENARIOS]


def test_a_failing_script_is_an_error_and_drops_the_database(
    pg18: TestServer, tmp_path: Path
) -> None:
    """A script with an error is an error, and its database is dropped."""
    schema = tmp_path / "schema.sql"
    schema.write_text("SELECT 1; SELECT nonsense; SELECT 2")
    with pytest.raises(PgvowError, match="nonsense"):
        load(pg18, Scenario("broken", schema))
    assert pg18.psql("postgres", "SELECT datname FROM pg_database WHERE datname ~ '^broken'") == ""


@pytest.mark.parametrize("scenario", _SCENARIOS)
def test_a_scenario_begins_with_a_comment(scenario: Scenario) -> None:
    """The first line of a scenario is a comment."""
    assert scenario.schema.read_text(encoding="utf-8").startswith("-- ")
