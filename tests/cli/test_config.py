"""pgvow.toml as a user meets it: found, shown, checked, and obeyed by a real backup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_FILE = """\
output_dir = "kept"
[backup]
compress = "gzip:1"
globals = false
[retention]
keep_last = 2
[notifications]
urls = ["json://user:hunter2@example.org/${TOKEN}"]
[environments.staging]
prefix = "STAGE_DB_"
[environments.staging.retention]
keep_last = 1
prune_after_backup = true
"""


def shown(commands: Commands, *words: str | Path, **more: str) -> dict[str, tuple[str, str]]:
    """Return the value and source of each setting in ``config show``."""
    found = commands.pgvow("config", "show", "--json", *words, **more).json
    return {one["setting"]: (one["value"], one["from"]) for one in found}


def test_show_prints_each_setting_with_its_source_and_no_secret(tmp_path: Path) -> None:
    """Each setting with its line; defaults are called so; no secret is printed, text or JSON."""
    (tmp_path / "pgvow.toml").write_text(_FILE)
    (tmp_path / ".env").write_text("TOKEN=s3cr3t\nDB_NAME=shop\nDB_USER=u\nDB_PASSWORD=pa55\n")
    commands = Commands(tmp_path)
    found = shown(commands)
    assert "gzip:1" == found["backup.compress"][0]
    assert "pgvow.toml line 3" == found["backup.compress"][1]
    assert ("1", "default") == found["backup.jobs"]
    assert ("1", "pgvow.toml line 12") == found["environments.staging.retention.keep_last"]
    assert ("shop", "DB_NAME from .env line 2") == found["connection.prod.dbname"]
    assert ("set, not shown", "DB_PASSWORD from .env line 4") == found["connection.prod.password"]
    assert not [name for name in found if name.startswith("connection.dev")]  # it has no name
    said = commands.pgvow("config", "show")
    assert 0 == said.code
    for secret in ("hunter2", "s3cr3t", "pa55"):
        assert secret not in said.out + said.err + str(found)


def test_without_a_file_the_defaults_apply(tmp_path: Path) -> None:
    """Nothing there is no error, and every setting is the default."""
    commands = Commands(tmp_path)
    assert {"default"} == {source for _, source in shown(commands).values()}
    done = commands.pgvow("config", "check", "--json")
    assert (0, {"schema": "config/1", "path": None, "usable": True}) == (done.code, done.json)


def test_config_option_wins_over_variable_and_current_directory(tmp_path: Path) -> None:
    """``--config``, then PGVOW_CONFIG, then the current directory; a named one has to exist."""
    for name, last in (("pgvow.toml", 1), ("variable.toml", 2), ("option.toml", 3)):
        (tmp_path / name).write_text(f"[retention]\nkeep_last = {last}\n")
    commands = Commands(tmp_path)
    key = "retention.keep_last"
    assert "1" == shown(commands)[key][0]
    assert "2" == shown(commands, PGVOW_CONFIG="variable.toml")[key][0]
    assert "3" == shown(commands, "--config", "option.toml", PGVOW_CONFIG="variable.toml")[key][0]
    for done in (
        commands.pgvow("config", "check", "--config", "gone.toml"),
        commands.pgvow("config", "check", PGVOW_CONFIG="gone.toml"),
    ):
        assert 2 == done.code
        assert "gone.toml" in done.err


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[backup]\n\ncompres = 'gzip'\n", 3, "compress"),
        ("[retension]\nkeep_last = 1\n", 1, "retention"),
        ("[retention]\nkeep_last = 'two'\n", 2, "keep_last"),
        ("[backup]\njobs = 0\n", 2, "jobs"),
        ("[backup\n", 1, "pgvow.toml"),
    ],
)
def test_an_invalid_setting_is_reported_with_line_and_nearest_key(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    """An invalid file is 2 for every command, with the place; nothing is done by halves."""
    (tmp_path / "pgvow.toml").write_text(text)
    commands = Commands(tmp_path)
    for done in (commands.pgvow("config", "check"), commands.pgvow("prune"), commands.run()):
        assert 2 == done.code
        assert words in done.err
        assert f"line {line}" in done.err or f"pgvow.toml:{line}" in done.err
    assert [tmp_path / "pgvow.toml"] == left_in(tmp_path)


def test_show_names_the_variables_of_production(tmp_path: Path) -> None:
    """They are fixed by the contract, and do not begin with the environment's name."""
    (tmp_path / "pgvow.toml").write_text("[environments.prod]\noutput_dir = 'p'\n")
    shown = Commands(tmp_path).pgvow("config", "show", "--json").json
    values = {one["setting"]: one["value"] for one in shown}
    assert ("DB", "DATABASE_URL") == (
        values["environments.prod.prefix"],
        values["environments.prod.url_variable"],
    )


@pytest.mark.majors(18)
def test_an_added_environment_is_backed_up_and_pruned_by_its_own_rules(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A third one is backed up, named so, pruned by rules of its own; the file's options hold.

    A typed option goes before the file; dev keeps the general rules.
    """
    (tmp_path / "pgvow.toml").write_text(_FILE.replace("urls", "# urls"))
    dev = settings_for(server, database)
    staging = {key.replace("DEV_DB_", "STAGE_DB_"): value for key, value in dev.items()}
    commands = Commands(tmp_path, {**dev, **staging})
    for _ in range(2):
        for environment in ("dev", "staging"):
            done = commands.run("--env", environment, "--json")
            assert 0 == done.code, done.err
            assert f"_{environment}_" in done.json["backup_path"]
    typed = commands.run("--env", "staging", "--json", "--compress", "none")
    assert 0 == typed.code, typed.err
    path = tmp_path / typed.json["backup_path"]
    metadata = json.loads(path.with_suffix(".metadata.json").read_text())
    assert ("none", "staging") == (metadata["compression"], metadata["environment"])
    listed = commands.pgvow("list", "--json").json
    assert ["dev", "dev", "staging"] == sorted(one["environment"] for one in listed)
    assert [typed.json["backup_path"]] == [
        one["path"] for one in listed if one["environment"] == "staging"
    ]
    files = [path.name for path in left_in(tmp_path / "kept")]
    assert not [name for name in files if name.endswith(".globals.sql")]
    status = commands.pgvow("status", "--env", "staging", "--json")
    assert ["staging"] == [one["environment"] for one in status.json["databases"]]
    unknown = commands.run("--env", "stagin")
    assert 2 == unknown.code
    assert "staging" in unknown.err
