"""``pgvow prove`` as a person types it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.store import proof_path
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer


@pytest.fixture
def commands(pg18: TestServer, make_database: MakeDatabase, tmp_path: Path) -> Commands:
    """A directory with one backup of a small database."""
    database = make_database(pg18)
    pg18.psql(database, "CREATE TABLE t (id integer); INSERT INTO t SELECT generate_series(1, 77)")
    commands = Commands(tmp_path, settings_for(pg18, database))
    assert 0 == commands.pgvow("backup", "--quiet").code
    return commands


def test_prove_latest_writes_a_proof_that_list_shows(commands: Commands) -> None:
    """The newest backup is proven, its proof written, and the list shows it with the time."""
    assert "✓ ok, decoded" in commands.pgvow("list").out
    done = commands.pgvow("prove", "--latest", "--jobs", "2")
    assert 0 == done.code, done.err
    assert done.out.startswith("✓ Backup proven")
    assert "1 tables, 77 rows" in done.out
    (listed,) = commands.pgvow("list", "--json").json
    assert "proven" == listed["level"]
    assert listed["proof"]["passed"][0]["restore_seconds"] == listed["restore_seconds"]
    assert "proven  restored in" in commands.pgvow("list").out


def test_prove_on_uses_the_named_server(commands: Commands, pg18: TestServer) -> None:
    """With --on the proof is made there, and --json tells it."""
    (listed,) = commands.pgvow("list", "--json").json
    on = pg18.conninfo("postgres")
    done = commands.pgvow("prove", listed["path"], "--on", on, "--json")
    assert 0 == done.code, done.err
    assert done.json["ok"]
    assert 77 == done.json["proof"]["rows"]
    assert (str(pg18.socket_dir), pg18.port) == (done.json["host"], done.json["port"])
    text = commands.pgvow("prove", listed["path"], "--on", on).out
    assert re.search(
        rf"Server: +PostgreSQL \S+ at port {pg18.port} by the socket in {pg18.socket_dir}\n", text
    )
    assert pg18.password not in done.out + done.err


def test_a_difference_fails_the_proof_with_8(commands: Commands, tmp_path: Path) -> None:
    """Rows that differ from the metadata are a failed proof: exit 8, reported and kept."""
    (listed,) = commands.pgvow("list", "--json").json
    (path,) = tmp_path.glob("db/backups/*.metadata.json")
    metadata = json.loads(path.read_text())
    metadata["tables"][0]["rows"] = metadata["table_counts"]["t"] = 78
    path.write_text(json.dumps(metadata))
    done = commands.pgvow("prove", listed["path"], "--quiet")
    assert 8 == done.code
    assert "rows of t: 78 expected, 77 found" in done.out
    assert "✗ proof failed  decoded before" in commands.pgvow("list").out


def test_prove_takes_either_a_file_or_latest(commands: Commands, tmp_path: Path) -> None:
    """A name or --latest, not both and not neither; a file that is not there is a usage error."""
    assert 2 == commands.pgvow("prove").code
    assert 2 == commands.pgvow("prove", "a.dump", "--latest").code
    assert 2 == commands.pgvow("prove", "--latest", "--on", "no connection = string").code
    missing = commands.pgvow("prove", "a.dump")
    assert 2 == missing.code
    assert "there is no file a.dump" in missing.err
    assert 2 == commands.pgvow("prove", "--latest", "--env", "prod").code
    (dump,) = tmp_path.glob("db/backups/*.dump")
    assert not proof_path(dump).exists()


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Give a temporary directory of our own, that the server's user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="pgvow-test-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_proof_leaves_nothing(
    commands: Commands, temporary: Path, signum: signal.Signals
) -> None:
    """Ctrl-C while the throw-away server runs: no server, no files, no proof, 130 as ever."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pgvow", "prove", "--latest"],
        cwd=commands.cwd,
        env={**clean_environment(), **commands.variables, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: any(temporary.glob("*/data/postmaster.pid")))
        child.send_signal(signum)
        _, errors = child.communicate(timeout=600)
    finally:
        child.kill()
    assert 128 + signum == child.returncode, errors
    assert [] == list(temporary.iterdir())
    assert [] == list(commands.cwd.glob("db/backups/*.proof.json*"))
