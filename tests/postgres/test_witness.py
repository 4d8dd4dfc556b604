"""The witness: what goes wrong on its thread is heard, and it never keeps anybody waiting."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgvow.postgres import witness
from pgvow.postgres.connection import Target
from pgvow.postgres.snapshot import BeginAnewError, Deadline, hold_snapshot
from pgvow.postgres.witness import Witness
from pgvow.settings import load
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.inprocess import back_up
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.postgres.snapshot import HeldSnapshot
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(15, 18)


@pytest.fixture
def target(server: TestServer, database: str, tmp_path: Path) -> Target:
    """A database with two small tables, and the way to it."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE one AS SELECT n FROM generate_series(1, 100) AS n")
        session.execute("CREATE TABLE two AS SELECT n FROM generate_series(1, 200) AS n")
    environ = {**clean_environment(), **settings_for(server, database)}
    return Target(load(env="dev", environ=environ, directory=tmp_path).connection)


@contextmanager
def held(target: Target, *, locked: bool = True) -> Iterator[HeldSnapshot]:
    """Hold a snapshot of the two tables."""
    with hold_snapshot(target, deadline=Deadline.after(5), warn=print, locked=locked) as snapshot:
        yield snapshot


def slowly(snapshot: HeldSnapshot) -> HeldSnapshot:
    """Let each row take a second to count, by the filter that an extension's table may have."""
    tables = [replace(table, filter="WHERE pg_sleep(1) IS NOT NULL") for table in snapshot.tables]
    return replace(snapshot, tables=tuple(tables))


def test_whatever_fails_on_the_thread_fails_the_backup(
    server: TestServer, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only what the server refuses: a backup without all of its counts is none."""
    count_rows = witness.count_rows

    def broken(session: psycopg.Connection[tuple[Any, ...]], table: Any) -> int:
        if table.name == "two":
            raise ValueError("our own mistake")
        return count_rows(session, table)

    monkeypatch.setattr(witness, "count_rows", broken)
    with pytest.raises(ValueError, match="our own mistake"):
        back_up(server, target.connection.dbname, tmp_path)
    assert list((tmp_path / "backups").iterdir()) == []


def test_leaving_while_a_count_runs_takes_no_longer_than_a_cancellation(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request to cancel comes between two statements, and hits nothing."""
    requests: list[float] = []
    cancel_safe = psycopg.Connection.cancel_safe

    def too_early_once(self: psycopg.Connection[Any], *, timeout: float = 30.0) -> None:
        requests.append(timeout)
        if len(requests) > 1:
            cancel_safe(self, timeout=timeout)

    monkeypatch.setattr(psycopg.Connection, "cancel_safe", too_early_once)
    started = 0.0
    with held(target) as snapshot, Witness(target, slowly(snapshot)):
        time.sleep(0.5)
        started = time.monotonic()
    assert time.monotonic() - started < 3
    assert "witness" not in {thread.name for thread in threading.enumerate()}


def test_without_locks_of_ours_a_table_emptied_since_is_not_counted(
    server: TestServer, target: Target
) -> None:
    """After the snapshot and before anybody's lock: a TRUNCATE would make the count a lie."""
    with held(target, locked=False) as snapshot:
        with server.connect(target.connection.dbname) as session:
            session.execute("TRUNCATE two")
        with Witness(target, snapshot) as counting:
            counting.dump_holds_locks()
            with pytest.raises(BeginAnewError, match="two"):
                counting.facts()


def test_without_locks_of_ours_a_table_made_anew_is_not_counted(
    server: TestServer, target: Target
) -> None:
    """Another table of the same name is not the one of the snapshot."""
    with held(target, locked=False) as snapshot:
        with server.connect(target.connection.dbname) as session:
            session.execute("DROP TABLE two")
            session.execute("CREATE TABLE two AS SELECT 1 AS n")
        with Witness(target, snapshot) as counting:
            counting.dump_holds_locks()
            with pytest.raises(BeginAnewError, match="two"):
                counting.facts()


def test_without_locks_of_ours_a_truncate_that_gives_up_is_waited_for(
    server: TestServer, target: Target
) -> None:
    """While it waits behind the dump nobody may lock the table; when it gives up, we count."""
    database = target.connection.dbname
    with (
        held(target, locked=False) as snapshot,
        server.connect(database) as dump,
        dump.transaction(),
    ):
        dump.execute("LOCK TABLE one, two IN ACCESS SHARE MODE")
        queue = threading.Thread(target=truncate_in_vain, args=(server, database))
        queue.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: dump.execute(waiting).fetchone() == (1,))
        with Witness(target, snapshot) as counting:
            counting.dump_holds_locks()
            queue.join()
            wait_until(lambda: "witness" not in {one.name for one in threading.enumerate()})
            assert [100, 200] == [facts.rows for facts in counting.facts().values()]


def truncate_in_vain(server: TestServer, database: str) -> None:
    """Queue for a table's exclusive lock, and give up after a second."""
    with server.connect(database) as session:
        session.execute("SET lock_timeout = '1s'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute("TRUNCATE two")


def test_a_session_that_idles_is_ended_midway(
    server: TestServer, target: Target, tmp_path: Path
) -> None:
    """The first session has nothing to do while pg_dump works: without it the backup is made."""
    database = target.connection.dbname
    with server.connect(database) as session:
        session.execute(
            "CREATE TABLE noise AS SELECT md5(n::text) FROM generate_series(1, 400000) AS n"
        )
        run = Commands(tmp_path, settings_for(server, database)).start("--space-factor", "0")
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.rglob("*.dump.partial")))
        ended = session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pgvow backup'"
        ).fetchall()
        _, err = run.communicate(timeout=60)
    assert ended == [(True,)]
    assert (run.returncode, err) == (0, "")
