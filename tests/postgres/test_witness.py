"""The witness: an error on its thread is raised, and it never delays the run."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgvow.errors import BackupFailed
from pgvow.postgres import witness
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.snapshot import BeginAnewError, Deadline, hold_snapshot
from pgvow.postgres.witness import Witness
from pgvow.settings import load
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.held import held as held_tools
from tests.support.hostile.server import HostileServer
from tests.support.inprocess import back_up
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.postgres.snapshot import HeldSnapshot
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(15, 18)


@pytest.fixture
def target(server: TestServer, database: str, tmp_path: Path) -> ConnectionTarget:
    """A database with two small tables, and the way to it."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE one AS SELECT n FROM generate_series(1, 100) AS n")
        session.execute("CREATE TABLE two AS SELECT n FROM generate_series(1, 200) AS n")
    environ = {**clean_environment(), **settings_for(server, database)}
    return ConnectionTarget(load(env="dev", environ=environ, directory=tmp_path).connection)


@contextmanager
def held(target: ConnectionTarget, *, locked: bool = True) -> Iterator[HeldSnapshot]:
    """Hold a snapshot of the two tables."""
    with hold_snapshot(target, deadline=Deadline.after(600), warn=print, locked=locked) as snapshot:
        yield snapshot


def slowly(snapshot: HeldSnapshot) -> HeldSnapshot:
    """Let each row take a second to count, by the filter that an extension's table may have."""
    tables = [replace(table, filter="WHERE pg_sleep(1) IS NOT NULL") for table in snapshot.tables]
    return replace(snapshot, tables=tuple(tables))


def test_any_error_of_the_witness_fails_the_backup(
    server: TestServer, target: ConnectionTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only errors of the server: a backup without all of its counts is none."""
    count_together = witness.count_together

    def broken(session: psycopg.Connection[tuple[Any, ...]], tables: list[Any]) -> list[int]:
        if any(table.name == "two" for table in tables):
            raise ValueError("our own mistake")
        return count_together(session, tables)

    monkeypatch.setattr(witness, "count_together", broken)
    with pytest.raises(ValueError, match="our own mistake"):
        back_up(server, target.connection.dbname, tmp_path)
    assert list((tmp_path / "backups").iterdir()) == []


def test_leaving_during_a_count_cancels_it(
    server: TestServer, target: ConnectionTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request to cancel comes between two statements, and hits nothing.

    The count would take five minutes.
    """
    requests: list[float] = []
    cancel_safe = psycopg.Connection.cancel_safe

    def too_early_once(self: psycopg.Connection[Any], *, timeout: float = 30.0) -> None:
        requests.append(timeout)
        if len(requests) > 1:
            cancel_safe(self, timeout=timeout)

    monkeypatch.setattr(psycopg.Connection, "cancel_safe", too_early_once)
    monkeypatch.setattr(witness, "_PATIENCE", 600)
    with held(target) as snapshot, server.connect(target.connection.dbname) as watcher:
        counting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'pgvow snapshot' AND wait_event = 'PgSleep'"
        )
        with Witness(target, slowly(snapshot)):
            wait_until(lambda: watcher.execute(counting).fetchone() == (1,))
    assert len(requests) > 1
    assert "witness" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.majors(18)
def test_leaving_a_count_that_the_server_is_silent_about_ends_its_thread(
    server: TestServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request to cancel is answered either; and nothing is freed that the thread works with."""
    server.psql(database, "CREATE TABLE t AS SELECT n FROM generate_series(1, 200000) AS n")
    with HostileServer(server, "swallows", after=500_000) as hostile:
        environ = {**clean_environment(), **hostile.variables(settings_for(server, database))}
        for name in ("PGSSLMODE", "PGGSSENCMODE"):
            monkeypatch.setenv(name, environ[name])
        settings = load(env="dev", environ=environ, directory=tmp_path)
        target = ConnectionTarget(settings.connection, settings.libpq_variables, environ)
        with held(target) as snapshot:
            with Witness(target, snapshot) as counting:
                wait_until(lambda: hostile.is_due)
                assert counting._thread.is_alive()
            assert not counting._thread.is_alive()
            with pytest.raises(BackupFailed):
                counting.check()


def test_a_table_truncated_without_our_lock_is_not_counted(
    server: TestServer, target: ConnectionTarget
) -> None:
    """After the snapshot and before anybody's lock: a TRUNCATE would make the count a lie."""
    with held(target, locked=False) as snapshot:
        with server.connect(target.connection.dbname) as session:
            session.execute("TRUNCATE two")
        with Witness(target, snapshot) as counting:
            counting.dump_holds_locks()
            with pytest.raises(BeginAnewError, match="two"):
                counting.facts()


def test_a_table_recreated_without_our_lock_is_not_counted(
    server: TestServer, target: ConnectionTarget
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


def test_a_table_is_counted_after_a_waiting_truncate_gives_up(
    server: TestServer, target: ConnectionTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits behind the dump nobody may lock the table; when it gives up, we count."""
    database = target.connection.dbname
    refused = threading.Event()
    count = Witness._count_in_adopted_snapshot

    def noticed(self: Witness, table: Any) -> int:
        try:
            return count(self, table)
        except psycopg.errors.LockNotAvailable:
            refused.set()
            raise

    monkeypatch.setattr(Witness, "_count_in_adopted_snapshot", noticed)
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
            wait_until(refused.is_set)
            dump.execute("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted")
            queue.join()
            wait_until(lambda: "witness" not in {one.name for one in threading.enumerate()})
            assert [100, 200] == [facts.rows for facts in counting.facts().values()]


def truncate_in_vain(server: TestServer, database: str) -> None:
    """Queue for a table's exclusive lock, until one is told to give up."""
    with server.connect(database) as session, pytest.raises(psycopg.errors.QueryCanceled):
        session.execute("TRUNCATE two")


def test_an_ended_idle_session_does_not_fail_the_backup(
    server: TestServer, target: ConnectionTarget, tmp_path: Path
) -> None:
    """The first session has nothing to do while pg_dump works: without it the backup is made."""
    database = target.connection.dbname
    with server.connect(database) as session:
        tools = held_tools(server.bin, tmp_path)
        run = Commands(tmp_path, settings_for(server, database, bin_dir=tools.bin)).start()
        wait_until(tools.started.exists)
        ended = session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pgvow backup'"
        ).fetchall()
        tools.let_go()
        _, err = run.communicate(timeout=600)
    assert ended == [(True,)]
    assert (run.returncode, err) == (0, "")


def test_many_small_tables_are_counted_by_few_statements(
    server: TestServer, target: ConnectionTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own count, in the catalog's order; a large one and a filtered one come alone."""
    with server.connect(target.connection.dbname) as session, session.transaction():
        for number in range(250):
            session.execute(
                f"CREATE TABLE t{number:03} AS SELECT n FROM generate_series(1, {number}) AS n"  # noqa: S608
            )
        session.execute("CREATE TABLE large AS SELECT n FROM generate_series(1, 20000) AS n")
        session.execute("CREATE TABLE filtered AS SELECT n FROM generate_series(1, 9) AS n")
    statements: list[list[str]] = []
    count_together = witness.count_together

    def noticed(session: psycopg.Connection[tuple[Any, ...]], tables: list[Any]) -> list[int]:
        statements.append([table.name for table in tables])
        return count_together(session, tables)

    monkeypatch.setattr(witness, "count_together", noticed)
    with held(target) as snapshot:
        with_filter = tuple(
            replace(one, filter="WHERE n < 4") if one.name == "filtered" else one
            for one in snapshot.tables
        )
        with Witness(target, replace(snapshot, tables=with_filter)) as counting:
            counting.dump_holds_locks()
            facts = counting.facts()
    expected = {"filtered": 3, "large": 20000, "one": 100, "two": 200}
    expected |= {f"t{number:03}": number for number in range(250)}
    assert expected == {table.name: table.rows for table in facts.values()}
    assert [table.oid for table in snapshot.tables] == list(facts)
    assert sorted([1, 1, 100, 100, 52]) == sorted(map(len, statements))
    assert [["filtered"], ["large"]] == [names for names in statements if len(names) == 1]


def test_counts_refused_together_are_made_one_by_one(
    target: ConnectionTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables whose count is refused together are counted one by one."""
    count_together = witness.count_together

    def cramped(session: psycopg.Connection[tuple[Any, ...]], tables: list[Any]) -> list[int]:
        if len(tables) > 1:
            raise psycopg.errors.OutOfMemory("out of shared memory")
        return count_together(session, tables)

    monkeypatch.setattr(witness, "count_together", cramped)
    with held(target) as snapshot, Witness(target, snapshot) as counting:
        counting.dump_holds_locks()
        assert [100, 200] == [table.rows for table in counting.facts().values()]
