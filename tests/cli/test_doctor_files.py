"""``pgvow doctor`` and the settings files: heeded, survived, and looked through."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.cli.test_doctor import age, check, concerns, examined, only_concern, private
from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def healthy(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell with a fresh backup: nothing is left to be desired."""
    commands = Commands(tmp_path, settings_for(server, database))
    made = commands.run("--quiet")
    assert 0 == made.code, made.err
    return commands


def configure(commands: Commands, text: str) -> None:
    """Write pgvow.toml."""
    (commands.cwd / "pgvow.toml").write_text(text)


def test_space_factor_of_pgvow_toml_applies(healthy: Commands) -> None:
    """The doctor asks for the space that a backup asks for, per environment."""
    configure(healthy, "[backup]\nspace_factor = 1e9\n")
    done = examined(healthy, "--json")
    assert "1e+09 times the database" in only_concern(done, 12, "space")["text"]
    assert 5 == healthy.run("--quiet").code
    configure(
        healthy, "[backup]\nspace_factor = 1e9\n[environments.dev.backup]\nspace_factor = 0\n"
    )
    assert 0 == examined(healthy).code
    assert 0 == healthy.run("--quiet").code


def test_max_age_of_pgvow_toml_applies(healthy: Commands) -> None:
    """A weekly backup is fresh for a week if pgvow.toml allows that, and status agrees."""
    age(healthy, timedelta(days=6))
    only_concern(examined(healthy, "--json"), 11, "newest backup")
    configure(healthy, '[status]\nmax_age = "8d"\n')
    assert 0 == examined(healthy).code


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[backup]\njobs = 0\nspce_factor = 2\n", ["pgvow.toml line 2", "pgvow.toml line 3"]),
        ("[backup\n", ["pgvow.toml line 1"]),
        ('[status]\nmax_age = "soon"\n', ["pgvow.toml line 2"]),
    ],
)
def test_12_invalid_pgvow_toml_is_reported_with_lines(
    text: str, problems: list[str], healthy: Commands
) -> None:
    """Every problem with file and line; the rest is looked at all the same."""
    configure(healthy, text)
    done = examined(healthy, "--json")
    found = [one["text"] for one in done.json["checks"] if one["name"] == "pgvow.toml"]
    assert (12, len(problems)) == (done.code, len(found)), done.out + done.err
    assert all(place in text for place, text in zip(problems, found, strict=True))
    assert {"pgvow.toml"} == set(concerns(done))
    assert "good" == check(done, "connection")["level"]
    assert 2 == healthy.run("--quiet").code


@pytest.mark.parametrize("name", [".env", ".env.local"])
def test_11_password_file_readable_by_others(name: str, healthy: Commands) -> None:
    """The file is named with the command that mends it; without a password it may be open."""
    path = healthy.cwd / name
    password = healthy.variables["DEV_DB_PASSWORD"]
    variables = {k: v for k, v in healthy.variables.items() if k != "DEV_DB_PASSWORD"}
    private(path, f"DEV_DB_PASSWORD='{password}'\n")
    shell = Commands(healthy.cwd, variables)
    assert 0 == examined(shell).code
    path.chmod(0o644)
    concern = only_concern(examined(shell, "--json"), 11, "settings file")
    assert name in concern["text"]
    assert concern["hint"].startswith("chmod 600 ")
    path.write_text("ENV_MODE=dev\n")
    assert 0 == examined(healthy).code


def test_11_password_with_an_interpolated_variable(healthy: Commands, server: TestServer) -> None:
    """A ${…} within a password is replaced even in single quotes; one alone is meant so."""
    password = healthy.variables.pop("DEV_DB_PASSWORD")
    private(healthy.cwd / ".env", "DEV_DB_PASSWORD='${WORD}'\n")
    assert 0 == examined(healthy, WORD=password).code
    private(healthy.cwd / ".env", "DEV_DB_PASSWORD='a${WORD}b'\n")
    done = examined(healthy, "--json", WORD=password)
    assert 12 == done.code
    assert "DEV_DB_PASSWORD from .env line 1" in concerns(done)["password"]["text"]
    assert password not in done.out + done.err


def test_11_misspelled_variable_names_the_one_meant(healthy: Commands) -> None:
    """The variable that was meant, if that is not set; any other program's is passed over."""
    name = healthy.variables.pop("DEV_DB_NAME")
    lines = f"DEV_DB_NAM={name}\nSECRET_KEY=x\nPGDATA=/srv\nREDIS_URL=redis://x\nDEV_DB_PORTS=1\n"
    private(healthy.cwd / ".env", lines)
    done = examined(healthy, "--json")
    found = [one for one in done.json["checks"] if one["name"] == "variable"]
    assert ["DEV_DB_NAM from .env line 1 is read by nobody"] == [one["text"] for one in found]
    assert "DEV_DB_NAME" in found[0]["hint"]


def test_variables_of_added_environments_are_known(healthy: Commands) -> None:
    """Names that pgvow.toml adds are right as well; misspellings of them are not."""
    configure(healthy, '[environments.staging]\nprefix = "STAGE_DB"\n')
    private(healthy.cwd / ".env", "STAGE_DB_NAME=x\nSTAGE_DB_HSOT=y\n")
    done = examined(healthy, "--json")
    assert "STAGE_DB_HSOT" in only_concern(done, 11, "variable")["text"]


def test_11_standard_conforming_strings_off_is_named_before_postgresql_19(
    healthy: Commands, server: TestServer, database: str
) -> None:
    """standard_conforming_strings off, by the database, is named before the upgrade."""
    with server.connect(database) as session:
        session.execute(
            sql.SQL("ALTER DATABASE {} SET standard_conforming_strings = off").format(
                sql.Identifier(database)
            )
        )
    concern = only_concern(examined(healthy, "--json"), 11, "strings")
    assert "PostgreSQL 19" in concern["text"]
