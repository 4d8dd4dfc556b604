"""Counts and dump are of one snapshot, whatever others do to the tables meanwhile."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.commands import Commands, settings_for
from tests.support.held import workers_stopped_midway
from tests.support.restored import restore_fresh, rows_by_key
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

    Session = psycopg.Connection[tuple[object, ...]]

_ROWS = 3000
_TABLES = ("truncated", "dropped", "retyped", "clustered", "written", "quiet")
_FILL = f"SELECT n, md5(n::text) AS text FROM generate_series(1, {_ROWS}) AS n"  # noqa: S608


@contextmanager
def meanwhile(
    server: TestServer,
    database: str,
    *works: Callable[[Session], object],
    pauses: list[float],
) -> Iterator[list[Exception]]:
    """Run each work again and again on a session of its own; yields the errors that it met.

    ``pauses``: the shortest and the longest between two runs, in seconds; the caller may change it.
    """
    stop = threading.Event()
    errors: list[Exception] = []

    def repeat(work: Callable[[Session], object]) -> None:
        pause = random.Random(work.__name__)
        with server.connect(database) as session:
            while not stop.wait(pause.uniform(*pauses)):
                try:
                    work(session)
                except psycopg.Error as error:
                    errors.append(error)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def truncate(session: Session) -> None:
    """Empty and refill in one transaction: any honest snapshot sees all rows."""
    with session.transaction():
        session.execute("TRUNCATE truncated")
        session.execute(f"INSERT INTO truncated {_FILL}")


def drop(session: Session) -> None:
    """Drop and make anew in one transaction."""
    with session.transaction():
        session.execute("DROP TABLE dropped")
        session.execute(f"CREATE TABLE dropped AS {_FILL}")


def retype(session: Session) -> None:
    """Rewrite the whole table."""
    session.execute("ALTER TABLE retyped ALTER COLUMN n TYPE bigint")
    session.execute("ALTER TABLE retyped ALTER COLUMN n TYPE integer")


def cluster(session: Session) -> None:
    """Write the whole table anew, in another order."""
    session.execute("CLUSTER clustered USING clustered_text")


def write(session: Session) -> None:
    """Replace a tenth of the rows."""
    session.execute("UPDATE written SET text = text || 'x' WHERE n % 10 = 0")


@pytest.mark.parametrize(("server", "jobs"), [(15, "2"), (18, "1")], indirect=["server"])
def test_migrations_at_the_start_cause_no_wrong_count_and_no_deadlock(
    server: TestServer, database: str, jobs: str, tmp_path: Path
) -> None:
    """TRUNCATE, DROP, ALTER … TYPE and CLUSTER, again and again: consistent or a clear error.

    Never a wrong count, never a deadlock, on either side.
    """
    with server.connect(database) as session:
        for table in _TABLES:
            session.execute(f"CREATE TABLE {table} AS {_FILL}")
        session.execute("CREATE INDEX clustered_text ON clustered (text)")
    commands = Commands(tmp_path, settings_for(server, database))
    engine = ("--jobs", jobs)
    runs = succeeded = 0
    pauses = [0.2, 0.8]
    works = (truncate, drop, retype, cluster, write)
    with meanwhile(server, database, *works, pauses=pauses) as errors:
        while runs < 6 or not succeeded:
            runs += 1
            done = commands.run("--json", "--full", "--lock-wait-timeout", "8", *engine)
            if done.code == 0:
                succeeded += 1
                assert done.json["metadata"]["table_counts"] == dict.fromkeys(_TABLES, _ROWS)
                with restore_fresh(server, tmp_path / done.json["backup_path"]) as fresh:
                    assert rows_by_key(server, fresh) == dict.fromkeys(_TABLES, _ROWS)
            else:
                assert (done.code, done.json["error"]["title"]) == (7, "A table stayed locked")
                pauses[:] = [2 * pause for pause in pauses]  # this machine is slow today
    assert errors == []
    after = commands.run("--json", "--full", *engine)
    assert after.code == 0, after.err
    assert after.json["metadata"]["table_counts"] == dict.fromkeys(_TABLES, _ROWS)


_LARGE = """
CREATE TABLE {} AS
SELECT n, md5(n::text) || md5((-n)::text) AS text FROM generate_series(1, 150000) AS n
"""
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'relation'
"""


def fingerprints(report: Any) -> dict[str, str]:
    """Return the fingerprint of each table's rows, from the output of a backup."""
    return {table["name"]: table["fingerprint"] for table in report["metadata"]["tables"]}


@pytest.mark.majors(18)
def test_locks_are_held_until_the_last_row_is_copied(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Changes during the copying wait for its end; the dump has the rows from before them."""
    tables = ("truncated", "dropped", "retyped", "clustered")
    with server.connect(database) as session:
        for table in tables:
            session.execute(_LARGE.format(table))
        session.execute("CREATE INDEX clustered_text ON clustered (text)")
    commands = Commands(tmp_path, settings_for(server, database))
    statements = (
        "TRUNCATE truncated",
        "DROP TABLE dropped",
        "ALTER TABLE retyped ALTER COLUMN n TYPE text",
        "CLUSTER clustered USING clustered_text",
    )
    expected = fingerprints(commands.run("--json", "--full", "--space-factor", "0").json)
    run = commands.start(
        *("--json", "--full", "--jobs", "2", "--compress", "gzip:9", "--space-factor", "0"),
        *("--output-dir", "second"),
    )
    with (
        ThreadPoolExecutor(len(statements)) as pool,
        server.connect(database) as session,
        ExitStack() as stack,
    ):
        with workers_stopped_midway(run, tmp_path / "second"):
            changing = [
                pool.submit(stack.enter_context(server.connect(database)).execute, text)
                for text in statements
            ]
            wait_until(lambda: (len(statements),) == session.execute(_WAITING).fetchone())
        out, err = run.communicate(timeout=600)
        assert 0 == run.returncode, err
        for change in changing:
            change.result()
    assert len(tables) == len(expected)
    assert expected == fingerprints(json.loads(out))


@pytest.mark.majors(18)
def test_tables_recreated_before_the_locks_restart_the_selection(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """pg_dump's selection is listed before the locks: tables made since restart it."""
    with server.connect(database) as session:
        session.execute(f"CREATE TABLE dropped AS {_FILL}")
    commands = Commands(tmp_path, settings_for(server, database))
    pauses = [0.2, 0.6]
    with meanwhile(server, database, drop, pauses=pauses) as errors:
        for jobs in ("2", "1", "2", "1"):
            done = commands.run(
                "--json", "--full", "--lock-wait-timeout", "8", "-t", "d*", "--jobs", jobs
            )
            if done.code == 0:
                assert done.json["metadata"]["table_counts"] == {"dropped": _ROWS}
            else:
                assert (done.code, done.json["error"]["title"]) == (7, "A table stayed locked"), (
                    done.json
                )
                pauses[:] = [2 * pause for pause in pauses]
    assert errors == []


@pytest.mark.parametrize(
    ("server", "jobs"), [(15, "1"), (16, "2"), (17, "1"), (18, "2")], indirect=["server"]
)
def test_concurrent_writers_are_not_blocked_and_not_counted(
    server: TestServer, database: str, jobs: str, tmp_path: Path
) -> None:
    """Writers are not blocked, and the counts are those of the very snapshot that was dumped."""
    with server.connect(database) as session:
        session.execute(f"CREATE TABLE busy AS {_FILL}")
        session.execute(f"CREATE TABLE growing AS {_FILL}")
    commands = Commands(tmp_path, settings_for(server, database))
    written = 0

    def insert(session: Session) -> None:
        nonlocal written
        session.execute("INSERT INTO growing SELECT n, 'new' FROM generate_series(1, 50) AS n")
        written += 1

    def rewrite(session: Session) -> None:
        session.execute("UPDATE busy SET text = text || 'x' WHERE n % 10 = 0")
        session.execute("DELETE FROM busy WHERE n = (SELECT min(n) FROM busy)")

    with meanwhile(server, database, insert, rewrite, pauses=[0.0, 0.02]) as errors:
        before = written
        done = commands.run("--json", "--full", "--jobs", jobs)
        during = written - before
    assert done.code == 0, done.err
    assert errors == []
    assert during > 2  # a blocked writer would have ended one at most
    counts = done.json["metadata"]["table_counts"]
    assert counts["growing"] > _ROWS
    with restore_fresh(server, tmp_path / done.json["backup_path"]) as fresh:
        assert rows_by_key(server, fresh) == counts
