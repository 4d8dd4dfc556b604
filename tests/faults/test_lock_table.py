"""A lock table too small for our locks beside pg_dump's: pg_dump alone still makes the backup."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgvow.engine import DumpCommand, Dumping, DumpOptions
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.snapshot import Deadline, hold_snapshot
from pgvow.postgres.witness import count_rows
from pgvow.progress import Silent
from pgvow.settings import load
from pgvow.spool.files import OpenedDirectory
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.engines import programs_of, target_of
from tests.support.held import workers_stopped_midway
from tests.support.restored import restore_fresh, rows_by_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartServer
    from tests.support.servers import TestServer

_SMALL = {"max_locks_per_transaction": "10", "max_connections": "20"}
_TABLES = 900
"""More than twice as many as the lock table holds, and fewer than once: see the first test."""
_BRIEFLY = 2.0


def make_tables(server: TestServer, count: int) -> None:
    """Make tables of one row, a few at a time: each new table is a lock as well."""
    with server.connect("postgres") as session:
        for start in range(0, count, 50):
            with session.transaction():
                for number in range(start, min(start + 50, count)):
                    session.execute(f"CREATE TABLE t{number} AS SELECT 1 AS n")


@contextmanager
def truncating(server: TestServer) -> Iterator[list[int]]:
    """Empty and refill tables at random in one transaction; yields which, as they are done."""
    stop = threading.Event()
    done: list[int] = []

    def truncate() -> None:
        chance = random.Random(5)
        with server.connect("postgres") as session:
            session.execute("SET lock_timeout = '300ms'")
            while not stop.wait(0.02):
                number = chance.randrange(_TABLES)
                try:
                    with session.transaction():
                        session.execute(f"TRUNCATE t{number}")
                        session.execute(f"INSERT INTO t{number} VALUES (1)")  # noqa: S608
                    done.append(number)
                except psycopg.errors.LockNotAvailable:
                    pass

    thread = threading.Thread(target=truncate)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def test_a_lock_table_too_small_for_two_backs_up_under_pg_dumps_locks(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The backup is made under pg_dump's own locks, says so once, and counts every table."""
    server = start_server(18, **_SMALL)
    make_tables(server, _TABLES)
    done = Commands(tmp_path, settings_for(server, "postgres")).run("--json", "--space-factor", "0")
    assert done.code == 0, done.err
    (warning,) = done.json["warnings"]
    assert "relying on pg_dump's own locks" in warning
    expected = {f"t{number}": 1 for number in range(_TABLES)}
    assert done.json["metadata"]["table_counts"] == expected


def test_concurrent_truncates_cause_no_wrong_count(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Whatever is emptied and refilled meanwhile: every count is of the snapshot, or none is told.

    No honest snapshot ever sees one of these tables empty.
    """
    server = start_server(18, **_SMALL)
    make_tables(server, _TABLES)
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    expected = {f"t{number}": 1 for number in range(_TABLES)}
    with truncating(server) as truncated:
        for _ in range(4):
            done = commands.run("--json", "--space-factor", "0", "--lock-wait-timeout", "5")
            if done.code == 0:
                assert done.json["metadata"]["table_counts"] == expected
                with restore_fresh(server, tmp_path / done.json["backup_path"]) as fresh:
                    assert rows_by_key(server, fresh) == expected
            else:
                assert (done.code, done.json["error"]["title"]) == (7, "A table stayed locked")
    assert len(truncated) > 2
    quiet = commands.run("--json", "--space-factor", "0")
    assert quiet.code == 0, quiet.err


def test_more_tables_than_pg_dump_can_lock_exits_7_with_the_setting(
    start_server: StartServer, tmp_path: Path
) -> None:
    """7 with the setting to raise, and not with a page of tables' names."""
    server = start_server(18, **_SMALL)
    make_tables(server, 2000)
    done = Commands(tmp_path, settings_for(server, "postgres")).run("--space-factor", "0")
    assert done.code == 7
    assert "Raise max_locks_per_transaction" in done.err
    assert len(done.err) < 3000


@pytest.mark.majors(15, 18)
def test_counting_keeps_no_locks_on_indexes(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Planning a count locks the table's indexes; once it is counted only the table is locked."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE indexed (a integer PRIMARY KEY, b integer UNIQUE)")
        session.execute("INSERT INTO indexed VALUES (1, 1), (2, 2)")
    environ = {**clean_environment(), **settings_for(server, database)}
    target = ConnectionTarget(load(env="dev", environ=environ, directory=tmp_path).connection)
    with hold_snapshot(target, deadline=Deadline.after(600), warn=print) as held:
        assert count_rows(held.session, held.tables[0]) == 2
        locked = held.session.execute(
            "SELECT class.relkind FROM pg_locks AS lock JOIN pg_class AS class"
            " ON class.oid = lock.relation JOIN pg_namespace AS namespace"
            " ON namespace.oid = class.relnamespace"
            " WHERE lock.pid = pg_backend_pid() AND namespace.nspname = 'public'"
        ).fetchall()
    assert locked == [("r",)]


_INDEXED = """
DO $$ BEGIN FOR n IN 1..40 LOOP
  EXECUTE format('CREATE TABLE a%s (id int PRIMARY KEY, a int UNIQUE)', n);
  EXECUTE format('INSERT INTO a%s VALUES (1, 1), (2, 2)', n);
END LOOP; END $$;
CREATE TABLE z AS
SELECT n, md5(n::text) || md5((-n)::text) AS bytes FROM generate_series(1, 700000) AS n;
CREATE INDEX ON z (n);
"""
_LOCKED = """
SELECT DISTINCT class.relname, class.relkind::text
FROM pg_locks AS lock
JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
JOIN pg_class AS class ON class.oid = lock.relation
WHERE activity.application_name = 'pgvow copy' AND class.relnamespace = 'public'::regnamespace
AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.majors(15, 18)
def test_workers_keep_no_locks_on_indexes(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Of tables that were counted and copied only the tables themselves stay locked."""
    server.psql(database, _INDEXED)
    commands = Commands(tmp_path, settings_for(server, database))
    run = commands.start("--json", "--space-factor", "0", "--jobs", "2", "--compress", "gzip:9")
    with workers_stopped_midway(run, tmp_path), server.connect(database) as session:
        locked = session.execute(_LOCKED).fetchall()
        session.execute("SET lock_timeout = '2s'")
        session.execute("REINDEX INDEX a7_pkey")
    out, err = run.communicate(timeout=600)
    assert 0 == run.returncode, err
    assert '"engine": "parallel"' in out
    tables = {"z", *(f"a{n}" for n in range(1, 41))}
    assert tables == {name for name, kind in locked if kind == "r"}
    assert {name for name, kind in locked if kind == "i"} <= {"z_n_idx"}


def test_indexes_without_room_in_the_lock_table_keep_the_workers(
    start_server: StartServer, tmp_path: Path
) -> None:
    """If the tables have room for each of us, the workers do it, however many indexes."""
    server = start_server(18, **_SMALL)
    with server.connect("postgres") as session:
        for number in range(300):
            columns = ", ".join(f"c{column} int UNIQUE" for column in range(6))
            session.execute(f"CREATE TABLE t{number} ({columns})")
            session.execute(f"INSERT INTO t{number} VALUES (1)")  # noqa: S608
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    done = commands.run("--json", "--space-factor", "0", "--jobs", "2")
    assert 0 == done.code, done.err
    assert ([], "parallel") == (done.json["warnings"], done.json["metadata"]["engine"])


class _LocksAtTheFallback(Silent):
    """At the first warning another session has just locked a table, and keeps it briefly."""

    def __init__(self, server: TestServer) -> None:
        super().__init__()
        self._server = server
        self.locking: list[threading.Thread] = []

    def warn(self, message: str) -> None:
        """Come late, as after a long dump that was thrown away, and lock the first table."""
        super().warn(message)
        if self.locking:
            return
        time.sleep(_BRIEFLY)
        locked = threading.Event()
        self.locking.append(threading.Thread(target=self._lock, args=[locked]))
        self.locking[0].start()
        locked.wait()

    def _lock(self, locked: threading.Event) -> None:
        with self._server.connect("postgres") as session, session.transaction():
            session.execute("LOCK TABLE t0 IN ACCESS EXCLUSIVE MODE")
            locked.set()
            time.sleep(_BRIEFLY / 2)


def test_a_late_fallback_has_a_lock_timeout_of_its_own(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Time that the workers waited before the fallback does not count."""
    server = start_server(18, **_SMALL)
    make_tables(server, _TABLES)
    target = target_of(server, "postgres")
    progress = _LocksAtTheFallback(server)
    with OpenedDirectory(tmp_path) as directory, target.connect("test") as session:
        dumping = Dumping(
            DumpCommand(target, programs_of(server)),
            session,
            DumpOptions(parallel=True, jobs=2),
            lock_wait_timeout=_BRIEFLY,
            free_bytes=lambda: 1 << 40,
            progress=progress,
        )
        filled = dumping.run(directory.create("dump"))
    progress.locking[0].join()
    assert ("pg_dump", _TABLES) == (filled.engine, len(filled.facts))
