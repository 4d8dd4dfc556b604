"""A hot standby can be backed up; if recovery cancels the backup, the error says so with advice."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.engines import target_of
from tests.support.held import pg_dump_stopped_midway, workers_stopped_midway
from tests.support.restored import restore_fresh, rows_by_key
from tests.support.servers import TestServer
from tests.support.waiting import wait_until
from tests.support.written_late import facts_while_written, pages_are_newer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartServer

_IMPATIENT = {"max_standby_streaming_delay": "500ms", "hot_standby_feedback": "off"}


@contextmanager
def standby_of(primary: TestServer) -> Iterator[TestServer]:
    """Make a server, and let it begin again with the primary's files, following it."""
    with TestServer(primary.major, _IMPATIENT) as standby:
        standby.stop()
        data = standby.data_directory
        shutil.rmtree(data)
        subprocess.run(
            [primary.bin / "pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast"],
            env=primary.environment("postgres"),
            check=True,
            capture_output=True,
        )
        for path in (data, *data.rglob("*")):
            standby._account.give(path)
        standby.password = primary.password
        standby._process = standby._started()
        standby._wait_until_ready()
        yield standby


def caught_up(primary: TestServer, standby: TestServer) -> bool:
    """Whether the standby has replayed all that the primary has written."""
    with primary.connect("postgres") as here, standby.connect("postgres") as there:
        written = here.execute("SELECT pg_current_wal_lsn()").fetchone()
        return (True,) == there.execute(
            "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written
        ).fetchone()


def waits_for_a_lock(standby: TestServer) -> bool:
    """Whether recovery has met a lock that it may not take yet."""
    with standby.connect("postgres") as session:
        row = session.execute(
            "SELECT wait_event_type FROM pg_stat_activity WHERE backend_type = 'startup'"
        ).fetchone()
    return row == ("Lock",)


def stopped_midway(
    run: subprocess.Popen[str], folder: Path, jobs: str
) -> AbstractContextManager[object]:
    """Stop the processes of a run that read rows."""
    if jobs == "1":
        return pg_dump_stopped_midway(run, folder)
    return workers_stopped_midway(run, folder)


@pytest.mark.parametrize(("major", "jobs"), [(15, "1"), (18, "2")])
def test_a_standby_is_backed_up_and_a_recovery_conflict_exits_7(
    major: int, jobs: str, start_server: StartServer, tmp_path: Path
) -> None:
    """Rows of logged tables, unlogged tables without any; then a conflict with recovery: 7."""
    primary = start_server(major)
    with primary.connect("postgres") as session, standby_of(primary) as standby:
        session.execute("CREATE TABLE kept AS SELECT n FROM generate_series(1, 700) AS n")
        session.execute("CREATE UNLOGGED TABLE fleeting (id serial, n integer)")
        session.execute("INSERT INTO fleeting (n) VALUES (1), (2)")
        wait_until(lambda: caught_up(primary, standby))
        commands = Commands(tmp_path, settings_for(standby, "postgres"))
        done = commands.run("--json", "--space-factor", "0", "--jobs", jobs)
        assert (done.code, done.err) == (0, "")
        assert done.json["metadata"]["table_counts"] == {"kept": 700}
        with restore_fresh(primary, tmp_path / done.json["backup_path"]) as fresh:
            assert rows_by_key(primary, fresh) == {"fleeting": 0, "kept": 700}

        session.execute(
            "CREATE TABLE noise AS SELECT md5(n::text) || md5((-n)::text) AS bytes"
            " FROM generate_series(1, 700000) AS n"
        )
        wait_until(lambda: caught_up(primary, standby))
        run = commands.start("--space-factor", "0", "--compress", "gzip:9", "--jobs", jobs)
        with stopped_midway(run, tmp_path, jobs) as stopped:
            session.execute("TRUNCATE kept")
            wait_until(lambda: waits_for_a_lock(standby))
            time.sleep(2)  # four times what its patience is
            for worker in stopped or ():
                worker.resume()
        _, err = run.communicate(timeout=600)
    assert run.returncode == 7
    assert "conflict with recovery" in err
    assert "max_standby_streaming_delay" in err
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("major", [15, 18])
def test_pages_replayed_after_the_snapshot_have_a_later_lsn(
    major: int, start_server: StartServer
) -> None:
    """A standby's own position is recorded, and before it has its snapshot."""
    primary = start_server(major)
    with primary.connect("postgres") as session, standby_of(primary) as standby:
        session.execute("SET synchronous_commit = on")  # written is then what was committed
        session.execute("CREATE EXTENSION pageinspect")
        session.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 50) AS n")
        wait_until(lambda: caught_up(primary, standby))

        def write() -> None:
            session.execute("INSERT INTO t VALUES (51)")
            wait_until(lambda: caught_up(primary, standby))

        facts = facts_while_written(target_of(standby, "postgres"), write)
        with standby.connect("postgres") as there:
            assert {True} == pages_are_newer(there, facts)
