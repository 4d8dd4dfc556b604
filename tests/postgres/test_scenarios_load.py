"""Every scenario is what a server takes, and what pg_dump dumps."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import PgvowError
from tests.support.scenarios import SCENARIOS, Scenario, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_SCENARIOS = [pytest.param(scenario, id=scenario.name) for scenario in SCENARIOS]


@pytest.mark.parametrize("scenario", _SCENARIOS)
def test_loads_dumps_and_restores(scenario: Scenario, server: TestServer, tmp_path: Path) -> None:
    """It loads, pg_dump -Fc dumps it, and the stock pg_restore of that major takes it back."""
    if server.major not in scenario.majors:
        return
    dump = tmp_path / "it.dump"
    name = load(server, scenario)
    fresh = server.unique_name(f"r_{scenario.name}")
    try:
        _run([server.bin / "pg_dump", "-Fc", "-f", dump], server.environment(name))
        server.create_database(fresh, encoding=scenario.encoding, locale=scenario.locale)
        _run(
            [server.bin / "pg_restore", "--exit-on-error", "-d", fresh, dump],
            server.environment(fresh),
        )
    finally:
        server.drop_database(name)
        server.drop_database(fresh)


def test_a_script_that_fails_is_not_loaded(pg18: TestServer, tmp_path: Path) -> None:
    """A script with an error is an error, and its database is dropped."""
    schema = tmp_path / "schema.sql"
    schema.write_text("SELECT 1; SELECT nonsense; SELECT 2")
    with pytest.raises(PgvowError, match="nonsense"):
        load(pg18, Scenario("broken", schema))
    assert pg18.psql("postgres", "SELECT datname FROM pg_database WHERE datname ~ '^broken'") == ""


@pytest.mark.parametrize("scenario", _SCENARIOS)
def test_says_what_it_is_about(scenario: Scenario) -> None:
    """The first line of a scenario is a comment."""
    assert scenario.schema.read_text(encoding="utf-8").startswith("-- ")


def _run(argv: list[str | Path], environment: dict[str, str]) -> None:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
