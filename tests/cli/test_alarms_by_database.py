"""An alarm belongs to the database that it concerns, and commands cover every directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_TOML = """
[environments.prod]
output_dir = "of_prod"
[retention]
keep_last = 5
"""


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """Two healthy environments: dev in the default directory, prod in one of its own."""
    server.psql(database, "CREATE TABLE t AS SELECT n FROM generate_series(1, 20) AS n")
    (tmp_path / "pgvow.toml").write_text(_TOML)
    settings = {
        **settings_for(server, database, environment="dev"),
        **settings_for(server, database, environment="prod"),
    }
    shell = Commands(tmp_path, settings)
    for name in ("dev", "prod"):
        assert 0 == shell.pgvow("backup", "--env", name, "--quiet").code
    assert 0 == shell.pgvow("status").code
    return shell


def _states(commands: Commands) -> dict[str, str]:
    report = commands.pgvow("status", "--json").json
    return {one["environment"]: one["status"] for one in report["databases"]}


@pytest.mark.majors(18)
def test_a_mistyped_environment_raises_no_alarm(commands: Commands) -> None:
    """It ended before any database was known."""
    assert 2 == commands.pgvow("backup", "--env", "staging").code
    assert {"dev": "ok", "prod": "ok"} == _states(commands)
    (commands.cwd / "pgvow.toml").write_text("")
    assert 2 == commands.pgvow("backup", "--env", "staging").code
    assert "ok" == _states(commands)["dev"]


@pytest.mark.majors(18)
def test_prune_without_rules_raises_no_alarm(commands: Commands) -> None:
    """The usage error answers the user who typed it; no alarm follows."""
    (commands.cwd / "pgvow.toml").write_text("")
    assert 2 == commands.pgvow("prune").code
    assert "ok" == _states(commands)["dev"]


@pytest.mark.majors(18)
def test_a_damaged_file_alarms_only_its_environment(commands: Commands) -> None:
    """``verify --all`` covers both directories, and dev has no alarm for a file of prod."""
    (dump,) = (commands.cwd / "of_prod").glob("*.dump")
    data = bytearray(dump.read_bytes())
    data[-100] ^= 1
    dump.write_bytes(data)
    done = commands.pgvow("verify", "--all", "--json")
    assert 8 == done.code
    assert {False, True} == {one["ok"] for one in done.json}
    states = _states(commands)
    assert ("ok", True) == (states["dev"], states["prod"] != "ok")


@pytest.mark.majors(18)
def test_list_verify_and_prune_cover_every_directory(commands: Commands) -> None:
    """By ``list``, ``verify --all`` and ``prune``; one alone if it is named."""
    listed = commands.pgvow("list", "--json").json
    assert {"dev", "prod"} == {one["environment"] for one in listed}
    assert {"db/backups", "of_prod"} == {one["directory"] for one in listed}
    assert 2 == len(commands.pgvow("verify", "--all", "--json").json)
    assert 2 == len(commands.pgvow("prune", "--dry-run", "--json").json["backups"])
    assert 1 == len(commands.pgvow("verify", "--all", "--env", "prod", "--json").json)
    assert 1 == len(commands.pgvow("list", "--output-dir", "of_prod", "--json").json)
    assert 1 == len(commands.run("--list", "--output-dir", "db/backups", "--json").json)
