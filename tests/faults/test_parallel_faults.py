"""The parallel engine when something breaks midway: the cause is told, and nothing lives on."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from psycopg import sql

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.disks import needs_root
from tests.support.held import workers_stopped_midway
from tests.support.pooler import commands_through, pgbouncer
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from tests.conftest import StartServer
    from tests.support.servers import TestServer

_NOISE = """
CREATE TABLE noise AS
SELECT n, md5(n::text) || md5((-n)::text) AS bytes FROM generate_series(1, 700000) AS n
"""
# Slow enough to be met midway, however seldom we look.
_SLOW = ("--jobs", "2", "--compress", "gzip:9", "--space-factor", "0")
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'pgvow%'
"""
# Of all that we select, only the filter of a configuration table runs code of others.
_OUT_OF_MEMORY = """
CREATE EXTENSION pgvow_conf;
CREATE FUNCTION public.fails() RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200'; END $$;
UPDATE pg_extension SET extcondition[1] = 'WHERE public.fails()' WHERE extname = 'pgvow_conf'
"""
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_ENDS_WITHIN = 2.0
# One whose psql is stopped: it cannot end before it is told to.
_COPYING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'pgvow copy' AND query LIKE '%COPY%'
AND state = 'active' AND wait_event = 'ClientWrite'
"""


@pytest.fixture(scope="module")
def noise(server: TestServer) -> Iterator[str]:
    """A database with one table twice as large as the read-ahead; no test here changes it."""
    name = server.unique_name("noise")
    server.create_database(name)
    with server.connect(name) as session:
        session.execute(_NOISE)
    yield name
    server.drop_database(name)


@pytest.fixture
def commands(server: TestServer, noise: str, tmp_path: Path) -> Commands:
    """A user's shell for that database."""
    return Commands(tmp_path, settings_for(server, noise))


def ended(run: subprocess.Popen[str], directory: Path, workers: list[psutil.Process]) -> str:
    """Wait for the end of a run, check that nothing is left here, and return its error output."""
    _, err = run.communicate(timeout=600)
    assert [] == [worker for worker in workers if worker.is_running()]
    assert [] == left_in(directory / "db/backups")
    return err


def wait_for_no_session(server: TestServer, database: str) -> None:
    """The server may need some time to notice."""
    with server.connect(database) as session:
        wait_until(lambda: (0,) == session.execute(_SESSIONS).fetchone())


def copy_that_waits(session: psycopg.Connection, workers: list[psutil.Process]) -> int:
    """Return the backend of a COPY amid which its worker was stopped.

    Where all were stopped between two statements, they are let go on for a moment.
    """

    def found() -> int:
        if row := session.execute(_COPYING).fetchone():
            return int(row[0])
        for worker in workers:
            worker.resume()
        time.sleep(0.01)
        for worker in workers:
            worker.suspend()
        time.sleep(0.1)  # until the server's buffers are full
        return 0

    return wait_until(found)


@pytest.mark.majors(18)
def test_a_killed_worker_ends_the_others_and_exits_7(
    server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """7, it says who died of what, and the other one ends, even one that is stopped."""
    run = commands.start(*_SLOW)
    with workers_stopped_midway(run, tmp_path) as workers:
        workers[0].kill()
        err = ended(run, tmp_path, workers)
    assert 7 == run.returncode, err
    assert "psql was ended by SIGKILL" in err
    wait_for_no_session(server, noise)


@pytest.mark.majors(18)
@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("pg_cancel_backend", ["canceling statement due to user request"]),
        # A server whose client does not read may have no chance to say why.
        ("pg_terminate_backend", ["terminating connection", "server closed the connection"]),
    ],
)
def test_a_cancelled_copy_ends_the_others_and_exits_7(
    server: TestServer,
    noise: str,
    commands: Commands,
    tmp_path: Path,
    ends: str,
    words: list[str],
) -> None:
    """A COPY that ends early is no table: 7, in the server's words, and the others end as well."""
    run = commands.start(*_SLOW)
    with workers_stopped_midway(run, tmp_path) as workers, server.connect(noise) as session:
        pid = copy_that_waits(session, workers)
        session.execute(sql.SQL("SELECT {}(%s)").format(sql.Identifier(ends)), [pid])
        for worker in workers:
            worker.resume()
        err = ended(run, tmp_path, workers)
    assert 7 == run.returncode, err
    assert any(each in err for each in words)
    assert "Troubleshooting" in err
    wait_for_no_session(server, noise)


@pytest.mark.majors(18)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_workers_and_sessions_in_two_seconds(
    signum: int, code: int, server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """Within two seconds workers end, even stopped ones, and so do their sessions."""
    run = commands.start(*_SLOW)
    with workers_stopped_midway(run, tmp_path) as workers:
        begin = time.monotonic()
        run.send_signal(signum)
        err = ended(run, tmp_path, workers)
        wait_for_no_session(server, noise)
    assert time.monotonic() - begin < _ENDS_WITHIN
    assert code == run.returncode, err


@pytest.mark.majors(18)
def test_an_interrupt_while_connecting_ends_in_two_seconds(
    server: TestServer, noise: str, tmp_path: Path
) -> None:
    """Two seconds are the bound here too, however many workers a pooler lets wait."""
    with pgbouncer(server, pool_mode="session", default_pool_size=3) as pooler:
        run = commands_through(pooler, noise, tmp_path).start("--jobs", "6", *_SLOW[2:])
        with server.connect(noise) as session:
            wait_until(lambda: (3,) == session.execute(_OTHERS).fetchone())
        process = psutil.Process(run.pid)
        workers = wait_until(
            lambda: [one for one in process.children() if one.name() == "psql"][5:]
        )
        workers = [one for one in process.children() if one.name() == "psql"]
        time.sleep(0.5)  # those that are let in become ready
        begin = time.monotonic()
        run.send_signal(signal.SIGTERM)
        err = ended(run, tmp_path, workers)
        assert time.monotonic() - begin < _ENDS_WITHIN
    assert 143 == run.returncode, err


@pytest.mark.majors(18)
def test_a_pooler_without_free_sessions_exits_3(
    server: TestServer, noise: str, tmp_path: Path
) -> None:
    """A worker that is let in and then gets no answer is waited for, but not for ever: 3."""
    with pgbouncer(server, pool_mode="session", default_pool_size=3) as pooler:
        commands = commands_through(pooler, noise, tmp_path)
        done = commands.run("--jobs", "6", *_SLOW[2:], PGCONNECT_TIMEOUT="4")
    assert 3 == done.code, done.err
    assert "not ready within 8 seconds" in done.err
    assert "--jobs 1" in done.err
    assert [] == left_in(tmp_path / "db/backups")


@pytest.mark.majors(18)
def test_a_killed_run_takes_its_workers_along(
    server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """Its workers end with it, and their sessions; the next run clears the file and succeeds."""
    run = commands.start(*_SLOW)
    with workers_stopped_midway(run, tmp_path) as workers:
        run.kill()
        run.communicate()
        for worker in workers:
            worker.resume()
        wait_until(lambda: not any(worker.is_running() for worker in workers))
    wait_for_no_session(server, noise)
    assert list(tmp_path.rglob("*.dump.partial"))
    after = commands.run("--jobs", "2", "--json")
    assert 0 == after.code, after.err
    assert not list(tmp_path.rglob("*.partial"))
    assert {"noise": 700000} == after.json["metadata"]["table_counts"]


@pytest.mark.majors(18)
def test_an_immediate_shutdown_exits_7_with_the_cause(
    server: TestServer, start_server: StartServer, tmp_path: Path
) -> None:
    """An immediate shutdown: 7, what the server said or that it is gone, and what to do."""
    doomed = start_server(server.major)
    with doomed.connect("postgres") as session:
        session.execute(_NOISE)
    run = Commands(tmp_path, settings_for(doomed, "postgres")).start(*_SLOW)
    with workers_stopped_midway(run, tmp_path) as workers:
        os.kill(doomed.pid, signal.SIGQUIT)  # immediate
        wait_until(lambda: psutil.Process(doomed.pid).status() == psutil.STATUS_ZOMBIE)
        for worker in workers:
            worker.resume()
        err = ended(run, tmp_path, workers)
    assert 7 == run.returncode, err
    assert "Troubleshooting" in err


@pytest.mark.majors(18)
@needs_root
def test_a_full_disk_exits_5_and_leaves_nothing(
    server: TestServer, noise: str, commands: Commands, small_disk: Path
) -> None:
    """5 and advice; partial files go."""
    done = commands.run("--jobs", "2", "--space-factor", "0", "--output-dir", small_disk)
    assert 5 == done.code, done.err
    assert "df -h" in done.err
    assert [] == left_in(small_disk)
    wait_for_no_session(server, noise)


@pytest.mark.majors(18)
def test_a_file_size_limit_exits_5(
    server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """The same for ``ulimit -f``, which is a signal to processes that do not ignore it."""
    bound = Commands(tmp_path, commands.variables, ("prlimit", f"--fsize={1 << 20}"))
    done = bound.run("--jobs", "2", "--space-factor", "0")
    assert 5 == done.code, done.err
    assert "ulimit -f" in done.err
    assert [] == left_in(tmp_path / "db/backups")
    wait_for_no_session(server, noise)


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", [1, 3])
def test_at_most_two_connections_beside_the_workers(
    jobs: int, server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """Never more than two beside the workers; and a server's log has nobody who just left."""
    begin = server.log_path.stat().st_size
    run = commands.start("--jobs", str(jobs), "--engine", "parallel", "--space-factor", "0")
    most = 0
    with server.connect(noise) as session:
        while run.poll() is None:
            (now,) = session.execute(_SESSIONS).fetchone() or (0,)
            most = max(most, now)
    _, err = run.communicate()
    assert 0 == run.returncode, err
    assert jobs + 1 <= most <= jobs + 2
    wait_for_no_session(server, noise)
    complaints = [line for line in log_of(server, begin) if f"pgvow copy/{noise}" in line]
    assert [] == [line for line in complaints if "unexpected EOF" in line]


def log_of(server: TestServer, begin: int) -> list[str]:
    """Return the server's log since then."""
    with server.log_path.open(encoding="utf-8", errors="replace") as file:
        file.seek(begin)
        return file.readlines()


@pytest.mark.majors(15, 18)
def test_an_out_of_memory_server_is_not_a_full_lock_table(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """It has the SQLSTATE of a full lock table, and is none: 7, and nothing is begun anew."""
    with server.connect(database) as session:
        session.execute(_OUT_OF_MEMORY)
    done = Commands(tmp_path, settings_for(server, database)).run("--jobs", "2")
    assert 7 == done.code, done.err
    assert "out of memory" in done.err
    assert "The server ran out of memory" in done.err
    assert "lock table" not in done.err
    assert "max_locks_per_transaction" not in done.err


@pytest.mark.majors(18)
def test_a_connection_limit_exits_3_with_advice(
    server: TestServer, noise: str, tmp_path: Path
) -> None:
    """A role that may not have so many: 3, and how to do with fewer."""
    role = server.unique_name("bounded")
    with server.connect(noise) as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p' CONNECTION LIMIT 3")
        session.execute(f"GRANT pg_read_all_data TO {role}")
    try:
        settings = {**settings_for(server, noise), "DEV_DB_USER": role, "DEV_DB_PASSWORD": "p"}
        done = Commands(tmp_path, settings).run("--jobs", "4", "--space-factor", "0")
        wait_for_no_session(server, noise)
    finally:
        with server.connect(noise) as session:
            session.execute(f"DROP ROLE {role}")
    assert 3 == done.code, done.err
    assert "--jobs 1" in done.err
    assert [] == left_in(tmp_path / "db/backups")
