"""``kill -9`` at random times: nothing half-made passes for a backup, and nothing lives on."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from tests.support.commands import Commands, settings_for
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_KILLS = 50
_NOISE = """
CREATE TABLE noise AS
SELECT n, md5(n::text) || md5((-n)::text) AS bytes FROM generate_series(1, 60000) AS n
"""
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'pgvow%'
"""


@contextlib.contextmanager
def migrating(server: TestServer, database: str) -> Iterator[None]:
    """Queue for the table's exclusive lock again and again, so that pg_dump has to wait for it."""
    stop = threading.Event()

    def migrate() -> None:
        with server.connect(database) as session:
            while not stop.wait(0.03):
                with session.transaction():
                    session.execute("LOCK TABLE noise IN ACCESS EXCLUSIVE MODE")

    thread = threading.Thread(target=migrate)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def live_run(server: TestServer, database: str, commands: Commands) -> Iterator[Path]:
    """Another database's run into the same directory, held in its middle; yields its file."""
    directory = commands.cwd / "db/backups"
    with server.connect(database) as session:
        session.execute(_NOISE)
        session.execute("BEGIN")
        session.execute("LOCK TABLE noise IN ACCESS EXCLUSIVE MODE")
        shell = Commands(commands.cwd, settings_for(server, database))
        run = shell.start("--lock-wait-timeout", "3600")
        wait_until(lambda: list(directory.glob("*.dump.partial")))
        try:
            yield next(directory.glob("*.dump.partial"))
        finally:
            session.execute("COMMIT")
            _, err = run.communicate(timeout=600)
    assert run.returncode == 0, err


def tools_of(directory: Path) -> list[psutil.Process]:
    """Processes of PostgreSQL's tools that write into a directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if words and "pg_dump" in words[0] and str(directory) in " ".join(words):
                found.append(process)
    return found


@pytest.mark.majors(18)
def test_fifty_kills_leave_no_half_made_backup_and_no_session(
    server: TestServer, database: str, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """50 live runs meet kill -9, while migrations make pg_dump wait for locks, and one run goes on.

    Nothing half-made is listed, finished backups keep their checksums, the next run clears what
    was left but for what the live run writes, no pg_dump and no session of ours stays. Many die
    with a file half-made: otherwise this would show nothing.
    """
    commands = Commands(tmp_path, settings_for(server, database))
    directory = tmp_path / "db/backups"
    chance = random.Random(9)
    with server.connect(database) as session:
        session.execute(_NOISE)
    with live_run(server, make_database(server), commands) as alive:
        begun = time.monotonic()
        assert 0 == commands.run().code
        length = time.monotonic() - begun  # whatever this machine does meanwhile
        with migrating(server, database):
            killed = half_made = 0
            while killed < _KILLS:
                run = commands.start()
                time.sleep(chance.uniform(0.1, length))
                run.kill()
                run.communicate()
                killed += run.returncode == -signal.SIGKILL
                half_made += len(partials(directory)) > 1
                wait_until(lambda: not tools_of_killed(directory, alive))
                listed = commands.run("--list", "--json").json
                assert {"ok"} >= {one["status"] for one in listed}
                assert alive.exists()
        assert half_made >= _KILLS // 10
        with server.connect(database) as session:
            wait_until(lambda: session.execute(_SESSIONS).fetchone() == (0,))
        final = commands.run("--json")
        assert final.code == 0, final.err
        assert {alive.name.split(".")[0]} == partials(directory)
    for one in commands.run("--list", "--json").json:
        verified = commands.run("--verify", tmp_path / one["path"])
        assert verified.code == 0, verified.out
    assert not list(directory.glob("*.partial"))
    assert not list(directory.glob(".*"))


def partials(directory: Path) -> set[str]:
    """The stems of which something is half-made."""
    return {path.name.split(".")[0] for path in directory.glob("*.partial")}


def tools_of_killed(directory: Path, alive: Path) -> list[psutil.Process]:
    """The tools that still write there, but for those of the live run."""
    found = []
    for process in tools_of(directory):
        with contextlib.suppress(psutil.Error):
            if alive.name not in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.mark.majors(15, 18)
def test_a_killed_run_that_waits_for_a_lock_leaves_no_session(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A pg_dump that waits behind a migration ends with us, and so does its session."""
    with server.connect(database) as session:
        session.execute(_NOISE)
    commands = Commands(tmp_path, settings_for(server, database))
    with server.connect(database) as watcher, queued_behind_us(server, database):
        run = commands.start("--lock-wait-timeout", "3600")
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'pgvow dump' AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: watcher.execute(waiting).fetchone() == (1,))
        run.kill()
        run.communicate()
        wait_until(lambda: watcher.execute(_SESSIONS).fetchone() == (0,))
    wait_until(lambda: not tools_of(tmp_path))


@contextlib.contextmanager
def queued_behind_us(server: TestServer, database: str) -> Iterator[None]:
    """As soon as our snapshot's locks are there, queue a TRUNCATE behind them."""
    ours = (
        "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)"
        " WHERE a.datname = current_database() AND a.application_name = 'pgvow snapshot'"
        " AND l.relation = 'noise'::regclass AND l.granted"
    )
    stop = threading.Event()

    def truncate() -> None:
        with server.connect(database) as session, server.connect(database) as watcher:
            session.execute("SET lock_timeout = '10s'")
            while not stop.is_set():
                if watcher.execute(ours).fetchone() != (0,):
                    with contextlib.suppress(psycopg.errors.LockNotAvailable):
                        session.execute("TRUNCATE noise")
                    session.execute("INSERT INTO noise VALUES (1, 'again')")

    thread = threading.Thread(target=truncate)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
