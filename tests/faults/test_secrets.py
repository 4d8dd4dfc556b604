"""The password shows up nowhere: no command line, no output, no file, no exception."""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from psycopg import sql

from tests.support.commands import ROOT, Commands, clean_environment, settings_for
from tests.support.held import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_PASSWORD = "s3cr3t-Übel-'%40@:/?#"
# A quote is written in other ways on a command line, in a URL, in JSON: this part is not.
_MARK = "s3cr3t"


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Iterator[Commands]:
    """A shell whose user has a password worth looking for."""
    role = f"owner_{database}"
    with server.connect(database) as session:
        session.execute(
            sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(_PASSWORD)
            )
        )
        session.execute("CREATE TABLE noise AS SELECT md5('noise') AS bytes")
    settings = settings_for(server, database)
    yield Commands(tmp_path, {**settings, "DEV_DB_USER": role, "DEV_DB_PASSWORD": _PASSWORD})
    with server.connect(database) as session:
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_no_command_line_and_no_file_has_the_password(commands: Commands) -> None:
    """Every command line of the machine is read while the dump runs; then every file and output."""
    tools = held(Path(commands.variables["PGVOW_PG_BIN"]), commands.cwd)
    run = commands.start("--json", PGVOW_PG_BIN=str(tools.bin))
    seen: set[str] = set()
    while run.poll() is None:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                seen.add(" ".join(process.cmdline()))
        if any("pg_dump --format=custom" in line for line in seen):
            tools.let_go()
        time.sleep(0.02)
    out, err = run.communicate()
    assert run.returncode == 0, err
    files = (commands.cwd / "db/backups").iterdir()
    assert any("pg_dump --format=custom" in line for line in seen)
    texts = [*seen, out, err, *(path.read_text() for path in files if path.suffix != ".dump")]
    assert [text for text in texts if _MARK in text] == []


@pytest.mark.parametrize(
    "change",
    [
        {"DEV_DB_NAME": "nowhere"},
        {"DEV_DB_PORT": "1"},
        {"DEV_DB_USER": "nobody_such"},
        {"DEV_DB_PORT": "no number"},
        {"PGVOW_PG_BIN": "/nowhere"},
        {"DEV_DB_HOST": "no such host"},
    ],
)
def test_no_error_shows_the_password(change: dict[str, str], commands: Commands) -> None:
    """Not even with PGVOW_DEBUG=1, which prints tracebacks."""
    done = commands.run(**{**change, "PGVOW_DEBUG": "1"})
    assert done.code != 0
    assert "Traceback" in done.err
    assert _MARK not in done.out + done.err


def test_no_traceback_without_pgvow_debug(commands: Commands) -> None:
    """Users see messages; a traceback only when they ask for it."""
    done = commands.run(DEV_DB_NAME="nowhere")
    assert done.code == 3
    assert "Traceback" not in done.err


def test_the_password_of_a_url_is_not_shown(
    commands: Commands, server: TestServer, database: str
) -> None:
    """A connection URL serves in place of the variables, and its password is as secret."""
    url = (
        f"postgresql://{commands.variables['DEV_DB_USER']}:s3cr3t-%C3%9Cbel-%27%2540%40%3A%2F%3F%23"
        f"@/{database}?host={server.socket_dir}&port={server.port}"
    )
    shell = Commands(commands.cwd, {"DEV_DATABASE_URL": url, "PGVOW_PG_BIN": str(server.bin)})
    done = shell.run("--env", "dev", "--json")
    assert done.code == 0, done.err
    failed = shell.run("--env", "dev", PGVOW_PG_BIN="/nowhere", PGVOW_DEBUG="1")
    assert failed.code == 6
    assert _MARK not in done.out + done.err + failed.out + failed.err


def test_files_are_0600_and_directories_0700(commands: Commands) -> None:
    """Dump, metadata and globals are 0600, the directory that we made is 0700."""
    done = commands.run("--json")
    assert done.code == 0, done.err
    directory = commands.cwd / "db/backups"
    assert directory.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 4  # and the history


def test_missing_libraries_are_one_line_without_traceback(tmp_path: Path) -> None:
    """``python3 backup_db.py`` without dependencies: one line, no traceback."""
    done = subprocess.run(
        [sys.executable, "-S", "-I", ROOT / "backup_db.py"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install" in done.stderr


def test_backup_db_looks_for_every_dependency_of_pyproject() -> None:
    """``backup_db.py`` looks for every dependency of pyproject.toml before it begins."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[<>=;]", line)[0] for line in listed}
    source = ast.parse((ROOT / "backup_db.py").read_text())
    (needed,) = (
        node.value
        for node in source.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NEEDED"
    )
    assert isinstance(needed, ast.Dict)
    assert names == {key.value for key in needed.keys if isinstance(key, ast.Constant)}
