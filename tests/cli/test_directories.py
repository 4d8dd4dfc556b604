"""Commands look into every directory of the settings, and failures stay with their database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_TOML = """\
[environments.prod]
output_dir = "prod"

[environments.dev]
output_dir = "dev"
"""


@pytest.fixture
def both(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell with a backup of dev and one of prod, in directories of their own."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    variables = {
        **settings_for(server, database),
        **settings_for(server, database, environment="prod"),
    }
    commands = Commands(tmp_path, variables)
    (tmp_path / "pgvow.toml").write_text(_TOML)
    for name in ("dev", "prod"):
        done = commands.pgvow("backup", "--env", name)
        assert 0 == done.code, done.err
        assert (tmp_path / name).is_dir()
    return commands


def damage(folder: Path) -> str:
    """Change a byte of the one dump in a directory, and return its name."""
    (dump,) = folder.glob("*.dump")
    data = bytearray(dump.read_bytes())
    data[-20] ^= 0xFF
    dump.write_bytes(data)
    return dump.name


def environments(found: list[dict[str, str]]) -> list[str]:
    """Return the environments of the backups, in order."""
    return sorted(one["environment"] for one in found)


def test_list_covers_every_directory(both: Commands) -> None:
    """All are listed with their directory; --env and --output-dir mean that one alone."""
    found = both.pgvow("list", "--json").json
    assert ["dev", "prod"] == environments(found)
    assert {"dev": "dev", "prod": "prod"} == {one["environment"]: one["directory"] for one in found}
    assert "prod/" in both.pgvow("list").out
    for words in (("--env", "prod"), ("--output-dir", "prod")):
        assert ["prod"] == environments(both.pgvow("list", "--json", *words).json)
    assert [] == both.pgvow("list", "--output-dir", "db/backups", "--json").json


def test_verify_all_covers_every_directory(both: Commands) -> None:
    """All are verified; --env and --output-dir mean that one alone; a path needs neither."""
    paths = [one["path"].split("/")[0] for one in both.pgvow("verify", "--all", "--json").json]
    assert ["dev", "prod"] == sorted(paths)
    for words in (("--env", "prod"), ("--output-dir", "prod")):
        (one,) = both.pgvow("verify", "--all", "--json", *words).json
        assert one["path"].startswith("prod/")
    assert 0 == both.pgvow("verify", str(one["path"]), "--env", "dev").code


def test_prune_and_prove_cover_every_directory(both: Commands) -> None:
    """prune judges all of them; the newest backup to prove may be in any."""
    done = both.pgvow("prune", "--keep-last", "1", "--json")
    assert ["dev", "prod"] == environments(done.json["backups"])
    done = both.pgvow("prune", "--keep-last", "1", "--json", "--output-dir", "dev")
    assert ["dev"] == environments(done.json["backups"])
    proven = both.pgvow("prove", "--latest", "--json")
    assert (0, "prod") == (proven.code, proven.json["path"].split("/")[0])
    runs = both.pgvow("history", "--output-dir", "prod", "--operation", "prove", "--json").json
    assert ["prod"] == [run["environment"] for run in runs]


def test_a_damaged_file_alarms_its_own_database_only(both: Commands) -> None:
    """After ``verify --all`` (8), prod alone is critical."""
    damage(both.cwd / "prod")
    assert 8 == both.pgvow("verify", "--all").code
    states = {one["environment"]: one for one in both.pgvow("status", "--json").json["databases"]}
    assert [] == states["dev"]["alarms"]
    assert ["damaged", "last run failed", "no backup"] == sorted(
        alarm["kind"] for alarm in states["prod"]["alarms"]
    )


def test_history_has_a_line_for_each_database_of_a_directory(both: Commands) -> None:
    """In one directory too each database has a line of its own in the history."""
    together = both.cwd / "together"
    together.mkdir()
    for name in ("dev", "prod"):
        for path in (both.cwd / name).glob("*_20*"):
            path.rename(together / path.name)
    (both.cwd / "pgvow.toml").write_text('output_dir = "together"\n')
    (dump,) = together.glob("*_prod_*.dump")
    dump.write_bytes(dump.read_bytes()[:-1])
    assert 8 == both.pgvow("verify", "--all").code
    states = {one["environment"]: one for one in both.pgvow("status", "--json").json["databases"]}
    assert [] == states["dev"]["alarms"]
    assert "last run failed" in [alarm["kind"] for alarm in states["prod"]["alarms"]]
    runs = both.pgvow("history", "--operation", "verify", "--json").json
    assert {(None, "failed"), ("prod", "failed"), ("dev", "succeeded")} == {
        (run["environment"], run["outcome"]) for run in runs
    }


def test_usage_errors_leave_every_database_healthy(both: Commands) -> None:
    """A mistyped environment and ``prune`` without rules end with 2, and all stay healthy."""
    (both.cwd / "pgvow.toml").unlink()
    both.pgvow("backup", "--env", "dev")
    both.pgvow("backup", "--env", "prod")
    before = both.pgvow("status", "--json").json
    assert ("ok", 2) == (before["status"], len(before["databases"]))
    assert 2 == both.pgvow("backup", "--env", "staging").code
    assert 2 == both.pgvow("prune").code
    assert 2 == both.pgvow("prune", "--env", "prod").code
    after = both.pgvow("status", "--json").json
    assert ("ok", []) == (
        after["status"], [alarm for one in after["databases"] for alarm in one["alarms"]],
    )  # fmt: skip


def test_without_pgvow_toml_list_reads_the_default_directory_only(both: Commands) -> None:
    """``backup_db.py --list`` reads db/backups, or the directory given."""
    (both.cwd / "pgvow.toml").unlink()
    assert [] == both.run("--list", "--json").json
    assert ["prod"] == environments(both.run("--list", "--json", "--output-dir", "prod").json)
