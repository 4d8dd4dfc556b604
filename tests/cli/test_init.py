"""``pgvow init``: from five answers to settings that work, and to the first proven backup."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.operations.init import Answers, _quoted
from pgvow.settings.env_files import parse_env_file
from tests.support.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def shell(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """An empty folder of somebody who has the programs, and whose database has a table."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    return Commands(tmp_path, {"PGVOW_PG_BIN": str(server.bin)})


def options(server: TestServer, database: str) -> list[str]:
    """Return the options that name a database."""
    return [
        *("--host", server.socket_dir, "--port", str(server.port)),
        *("--dbname", database, "--user", server.superuser),
    ]


def with_password(shell: Commands, server: TestServer, *words: str) -> subprocess.CompletedProcess:
    """Run ``pgvow init`` with the password on standard input."""
    return subprocess.run(
        shell._argv(["-m", "pgvow", "init", *words, "--password-stdin"]),
        cwd=shell.cwd,
        env=shell._environment({}),
        input=f"{server.password}\n",
        capture_output=True,
        text=True,
        check=False,
    )


def test_five_answers_lead_to_a_proven_backup(
    shell: Commands, server: TestServer, database: str
) -> None:
    """Asked on a terminal: the settings are written for their owner only, and they work."""
    screen = shell.on_terminal(
        "init",
        "--port",
        str(server.port),
        answers=[
            ("Server", str(server.socket_dir)),
            ("Database", database),
            ("User", server.superuser),
            ("Password", server.password),
            ("Where shall backups be?", "kept here"),
            ("Make the first backup now", "y"),
            ("every night", "n"),
        ],
    )
    assert 0 == screen.code, screen.text
    assert "Backup proven" in screen.text
    assert re.search(r"\bTook: +[0-9.]+ s, .* of the database's size", screen.text)
    assert server.password not in screen.text
    settings = shell.cwd / ".env.local"
    assert 0o600 == settings.stat().st_mode & 0o777
    assert 'output_dir = "kept here"' in (shell.cwd / "pgvow.toml").read_text()
    (listed,) = shell.pgvow("list", "--json").json
    assert ("prod", "proven") == (listed["environment"], listed["level"])
    assert (shell.cwd / listed["path"]).is_relative_to(shell.cwd / "kept here")
    assert 0 == shell.pgvow("backup", "--env", "prod").code


def test_options_alone_are_enough(shell: Commands, server: TestServer, database: str) -> None:
    """Without a terminal: one command from nothing to a proven backup, reported as JSON."""
    done = with_password(shell, server, *options(server, database), "--now", "--json")
    assert 0 == done.returncode, done.stderr
    result = json.loads(done.stdout)
    assert result["proven"]
    assert [".env.local", "pgvow.toml"] == result["files"]
    assert (shell.cwd / result["backup"]).is_file()
    assert server.password not in done.stdout + done.stderr
    assert 0 == shell.pgvow("config", "check").code


def test_a_connection_that_fails_writes_nothing(
    shell: Commands, server: TestServer, database: str
) -> None:
    """Settings that do not work are not kept: the folder is as before, the error a backup's."""
    words = [*options(server, f"{database}_none")]
    assert 3 == with_password(shell, server, *words).returncode
    assert [] == list(shell.cwd.iterdir())


def test_a_second_init_is_refused_and_changes_nothing(
    shell: Commands, server: TestServer, database: str
) -> None:
    """A second init is refused and names the lines; for the other environment it adds its own."""
    (shell.cwd / ".env.local").write_text("OTHER=kept")
    (shell.cwd / "pgvow.toml").write_text('output_dir = "mine"\n')
    assert 0 == with_password(shell, server, *options(server, database)).returncode
    before = (shell.cwd / ".env.local").read_text()
    assert before.startswith("OTHER=kept\nDB_HOST=")
    assert 'output_dir = "mine"\n' == (shell.cwd / "pgvow.toml").read_text()
    again = with_password(shell, server, *options(server, database))
    assert 2 == again.returncode
    assert "DB_NAME (.env.local line 4)" in again.stderr
    assert before == (shell.cwd / ".env.local").read_text()
    assert 0 == with_password(shell, server, *options(server, database), "--env", "dev").returncode
    assert 0 == shell.pgvow("backup", "--env", "dev").code


def test_the_password_of_a_url_comes_from_standard_input(
    shell: Commands, server: TestServer, database: str
) -> None:
    """A URL without a password, and the password by ``--password-stdin``: both are written."""
    place = quote(str(server.socket_dir), safe="")
    url = f"postgresql://{server.superuser}@{place}:{server.port}/{database}"
    done = with_password(shell, server, "--url", url, "--env", "dev")
    assert (0, "") == (done.returncode, done.stderr)
    assert 0 == shell.pgvow("backup", "--env", "dev").code


def test_without_a_terminal_nothing_is_asked(shell: Commands) -> None:
    """A script gets a usage error that says what to type, and does not wait for an answer."""
    done = shell.pgvow("init")
    assert 2 == done.code
    assert "pgvow init --url" in done.err


def test_a_repository_that_would_take_the_password_is_named(
    shell: Commands, server: TestServer, database: str
) -> None:
    """In a Git repository that does not ignore .env.local a warning says how to; else none."""
    subprocess.run(["git", "init", "-q", str(shell.cwd)], check=True)
    done = with_password(shell, server, *options(server, database))
    assert "echo .env.local >> .gitignore" in done.stderr
    (shell.cwd / ".env.local").unlink()
    (shell.cwd / ".gitignore").write_text(".env.local\n")
    assert "gitignore" not in with_password(shell, server, *options(server, database)).stderr


@given(st.text(st.characters(exclude_characters="\0\n\r", codec="utf-8"), min_size=1))
def test_any_password_is_read_back_as_it_was_typed(password: str) -> None:
    """Quotes, backslashes, ``${…}`` and the rest: a backup reads the password as it was typed."""
    read = parse_env_file(".env.local", f"DB_PASSWORD={_quoted(password)}\n", {"x": "wrong"})
    assert not read.problems
    assert password == read.entries["DB_PASSWORD"].value


def test_repr_of_the_answers_masks_the_password() -> None:
    """A traceback that shows them gives nothing away."""
    assert "s3cret" not in repr(Answers("prod", url="postgresql://u:s3cret@h/d", password="s3cret"))
