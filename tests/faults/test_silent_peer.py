"""A server or a tool that falls silent, or misbehaves, ends the run in time, and leaves nothing."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psutil
import pytest

from pgvow.runs import Operation
from pgvow.spool import Spool
from pgvow.store import DirectoryStore, backups_in
from pgvow.store.history import History, new_run
from tests.support import backups
from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.held import programs_with, workers_stopped_midway
from tests.support.hostile.server import HostileServer
from tests.support.restoring import databases
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartServer
    from tests.support.commands import Done
    from tests.support.servers import TestServer

_STALL = "2s"
_QUICK = ("--stall-timeout", _STALL, "--space-factor", "0")
_IN_TIME = 90.0  # of a busy machine; without an end these would take for ever
_ENGINES = {"pg_dump": (), "parallel": ("--jobs", "2")}
# Each kind at each point, each with either engine: the engines by turns.
_MISBEHAVIOURS = [
    (kind, after, tuple(_ENGINES)[(turn + point) % len(_ENGINES)])
    for turn, kind in enumerate(("closes", "babbles", "chatters", "shouts"))
    for point, after in enumerate((0, 6_000, 1_000_000))
]
_NOISE = """
CREATE TABLE noise AS
SELECT n, md5(n::text) || md5((-n)::text) AS bytes FROM generate_series(1, 500000) AS n
"""
_SLOW = """
CREATE EXTENSION pgvow_conf;
CREATE FUNCTION public.slow() RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(5); RETURN true; END $$;
UPDATE pg_extension SET extcondition[1] = 'WHERE (SELECT public.slow())'
WHERE extname = 'pgvow_conf'
"""
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'pgvow%'
"""


@pytest.fixture(scope="module")
def noise(server: TestServer) -> Iterator[str]:
    """A database of some megabytes; no test of this module changes it."""
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


def ours(folder: Path) -> list[psutil.Process]:
    """Processes whose working directory is a test's: all that a run of it has started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def nothing_is_left(server: TestServer, database: str, folder: Path) -> None:
    """Neither a file nor a process nor a session nor a lock is left of a run."""
    assert [] == left_in(folder / "db/backups")
    assert [] == ours(folder)
    with server.connect(database) as session:
        wait_until(lambda: (0,) == session.execute(_SESSIONS).fetchone())


def ends(commands: Commands, *words: str | Path, **more: str) -> Done:
    """Run a backup that is to end in time."""
    begin = time.monotonic()
    done = commands.run(*_QUICK, *words, timeout=_IN_TIME, **more)
    assert time.monotonic() - begin < _IN_TIME
    return done


@pytest.mark.majors(18)
@pytest.mark.parametrize("engine", _ENGINES)
@pytest.mark.parametrize("after", [1_500, 6_000, 60_000, 5_000_000])
def test_a_silent_network_ends_the_run_at_any_point(
    engine: str, after: int, server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """7 (3 before there is a connection) wherever it begins, and the message has who and since."""
    with HostileServer(server, "swallows", after=after) as hostile:
        commands.variables = hostile.variables(dict(commands.variables))
        done = ends(commands, *_ENGINES[engine])
    assert done.code in ({7} if after > 6_000 else {3, 7}), done.err
    if done.code == 7:
        assert "has been silent for" in done.err
        assert "--stall-timeout" in done.err
    assert "Traceback" not in done.err
    nothing_is_left(server, noise, tmp_path)


@pytest.mark.majors(18)
@pytest.mark.parametrize(("kind", "after", "engine"), _MISBEHAVIOURS)
def test_a_misbehaving_server_ends_the_run_in_time(
    kind: str,
    after: int,
    engine: str,
    server: TestServer,
    noise: str,
    commands: Commands,
    tmp_path: Path,
) -> None:
    """Each ends in time as a failure to connect or to back up, told briefly, with nothing left."""
    with HostileServer(server, kind, after=after) as hostile:
        commands.variables = hostile.variables(dict(commands.variables))
        done = ends(commands, "--run-timeout", "6s", *_ENGINES[engine])
    assert done.code in (3, 7), done.err[:2000]
    assert "Traceback" not in done.err
    assert len(done.err) < 100_000
    nothing_is_left(server, noise, tmp_path)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("pg_dump", ()),
        ("pg_dump", _ENGINES["parallel"]),
        ("pg_dumpall", ()),
        ("pg_restore", ()),
    ],
)
@pytest.mark.majors(18)
def test_a_stopped_tool_is_named_and_killed(
    tool: str,
    words: tuple[str, ...],
    server: TestServer,
    noise: str,
    commands: Commands,
    tmp_path: Path,
) -> None:
    """7, by its name, and it does not live on."""
    script = f'if [ "$1" != --version ]; then kill -STOP $$; fi\nexec {server.bin / tool} "$@"'
    bin_dir = programs_with(server.bin, tmp_path, tool, script)
    done = ends(commands, *words, PGVOW_PG_BIN=str(bin_dir))
    assert 7 == done.code, done.err
    assert f"{tool}{' --list' if tool == 'pg_restore' else ''} has been silent for" in done.err
    nothing_is_left(server, noise, tmp_path)


@pytest.mark.majors(18)
def test_a_stopped_worker_is_named_with_its_table(
    server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """7, and the message names the worker and its table."""
    run = commands.start(*_QUICK, "--jobs", "2", "--compress", "gzip:9")
    with workers_stopped_midway(run, tmp_path) as workers:
        _, err = run.communicate(timeout=_IN_TIME)
        assert [] == [worker for worker in workers if worker.is_running()]
    assert 7 == run.returncode, err
    assert "psql, worker" in err
    assert "on table noise" in err
    nothing_is_left(server, noise, tmp_path)


@contextmanager
def frozen(server: TestServer) -> Iterator[None]:
    """Stop a server with all its processes."""
    pid = int((server.data_directory / "postmaster.pid").read_text().split("\n", 1)[0])
    postmaster = psutil.Process(pid)
    postmaster.suspend()
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for each in stopped[1:]:
        with suppress(psutil.Error):
            each.suspend()
    try:
        yield
    finally:
        for each in stopped:
            with suppress(psutil.Error):
                each.resume()


@pytest.mark.majors(18)
@pytest.mark.parametrize("engine", _ENGINES)
def test_a_frozen_server_exits_7(engine: str, start_server: StartServer, tmp_path: Path) -> None:
    """7: no other session answers for it either."""
    server = start_server(18)
    server.create_database("noise")
    server.psql("noise", _NOISE)
    commands = Commands(tmp_path, settings_for(server, "noise"))
    run = commands.start(*_QUICK, "--compress", "gzip:9", *_ENGINES[engine])
    wait_until(
        lambda: (
            any(one.stat().st_size for one in tmp_path.rglob("*.dump.partial"))
            or run.poll() is not None
        )
    )
    with frozen(server):
        _, err = run.communicate(timeout=_IN_TIME)
    assert 7 == run.returncode, err
    assert "has been silent for" in err
    assert [] == left_in(tmp_path / "db/backups")
    assert [] == ours(tmp_path)


@pytest.mark.majors(15, 18)
def test_slow_statements_are_not_ended(server: TestServer, database: str, tmp_path: Path) -> None:
    """A statement of twice the time allowed and more is work, for our session as for pg_dump's."""
    server.psql(database, _SLOW)
    commands = Commands(tmp_path, settings_for(server, database))
    begin = time.monotonic()
    done = commands.run("--json", *_QUICK)
    assert 0 == done.code, done.err
    assert time.monotonic() - begin > 5


def test_run_timeout_exits_7_and_publishes_nothing(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """--run-timeout ends a working run as well: 7, and nothing is published."""
    server.psql(database, _SLOW)
    commands = Commands(tmp_path, settings_for(server, database))
    done = commands.run("--run-timeout", "2s", "--space-factor", "0", timeout=_IN_TIME)
    assert 7 == done.code, done.err
    assert "did not end within 2 s" in done.err
    nothing_is_left(server, database, tmp_path)


@pytest.mark.majors(18)
@pytest.mark.parametrize(("command", "code"), [("verify", 1), ("prove", 1), ("restore", 10)])
def test_a_stopped_pg_restore_is_no_verdict(
    command: str, code: int, server: TestServer, noise: str, commands: Commands, tmp_path: Path
) -> None:
    """No verdict: nothing is recorded against the backup, and no database is left."""
    made = commands.run("--json", "--space-factor", "0")
    assert 0 == made.code, made.err
    path = next((tmp_path / "db/backups").glob("*.dump"))
    before = databases(server)
    when = '[ "$1" = --list ]' if command == "verify" else '[ "$1" = --verbose ]'
    script = f'if {when}; then kill -STOP $$; fi\nexec {server.bin / "pg_restore"} "$@"'
    bin_dir = programs_with(server.bin, tmp_path, "pg_restore", script)
    to = {
        "verify": (),
        "prove": ("--on", server.conninfo("postgres")),
        "restore": ("--to", server.unique_name("never")),
    }[command]
    done = commands.pgvow(
        command, path, *to, "--stall-timeout", _STALL, timeout=_IN_TIME, PGVOW_PG_BIN=str(bin_dir)
    )
    assert code == done.code, done.err
    assert "pg_restore" in done.err
    assert "has been silent for" in done.err
    assert before == databases(server)
    assert [] == ours(tmp_path)
    (backup,) = backups_in(DirectoryStore(tmp_path / "db/backups"))
    assert backup.proof is None or backup.proof.failed is None


@pytest.mark.majors(18)
@pytest.mark.parametrize(
    ("schedule", "hours", "alarms"),
    [("", 25, 1), ("", 23, 0), ("0 * * * *", 2, 1), ("0 2 * * *", 20, 0)],
)
def test_an_overdue_lock_is_a_critical_alarm(
    schedule: str, hours: int, alarms: int, server: TestServer, commands: Commands, tmp_path: Path
) -> None:
    """9 as ever, and a critical alarm with since when and which process, told as any other."""
    folder = tmp_path / "db/backups"
    store = Spool(folder)
    store.prepare()
    job = f'[[schedule.jobs]]\njob = "backup"\nat = "{schedule}"\n' if schedule else ""
    (tmp_path / "pgvow.toml").write_text(
        f'[notifications]\nurls = ["json://127.0.0.1:1/nobody"]\n{job}'
    )
    begun = datetime.now(UTC) - timedelta(hours=hours)
    run = new_run(Operation.BACKUP, begun)
    history = History(folder)
    history.begin(run)
    with store.lock(commands.variables["DEV_DB_NAME"], "dev", backups.clock):
        done = commands.run("--space-factor", "0")
    assert 9 == done.code, done.err
    state = json.loads((folder / ".pgvow-notifications.json").read_text())
    found = [text for key, text in state["alarms"].items() if '"stuck"' in key]
    assert alarms == len(found)
    for text in found:
        assert f"{begun:%Y-%m-%dT%H:%M}" in text
        assert f"process {run.pid}" in text
    bodies = [one["body"] for one in state["waiting"] if one["event"] == "alarm"]
    news = [body for body in bodies if "has been running since" in body]
    assert alarms == len(news)
    assert all("critical" in body for body in news)
