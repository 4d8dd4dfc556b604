"""Who keeps a backup waiting for a lock, since when and doing what; and who waits behind it."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from pgvow.postgres.lock_holders import NOT_VISIBLE, Blockers, blockers, shown_query
from pgvow.postgres.snapshot import BeginAnewError, Deadline, hold_snapshot
from tests.support.commands import Commands, settings_for
from tests.support.engines import target_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartServer
    from tests.support.servers import TestServer

_SECRET = "a secret of theirs"
_MIGRATION = f"ALTER TABLE orders ALTER n SET DEFAULT length('{_SECRET}') -- and a comment"
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for a database with one table."""
    server.psql(database, "CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    return Commands(tmp_path, settings_for(server, database))


@contextmanager
def migrating(server: TestServer, database: str) -> Iterator[int]:
    """Hold an ACCESS EXCLUSIVE lock on the table, idle in its transaction; yields its pid."""
    with server.connect(database) as session, session.transaction(force_rollback=True):
        session.execute("SET LOCAL application_name = 'the \x1b[31mmigration'")
        session.execute(_MIGRATION)
        yield session.info.backend_pid


@contextmanager
def waiting(server: TestServer, database: str, statement: str, waits: int) -> Iterator[int]:
    """Run a statement that waits in the table's queue, as number ``waits``; yields its pid."""
    with server.connect(database) as session:

        def run() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                session.execute(statement)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_until(lambda: int(server.psql(database, _WAITS)) == waits)
            yield session.info.backend_pid
        finally:
            session.cancel()
            thread.join()


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_error_names_the_session_that_holds_the_lock(
    commands: Commands, server: TestServer, database: str, jobs: str
) -> None:
    """On 15 to 18: pid, program, state, start and query, in facts and warning; no literal of it."""
    with migrating(server, database) as pid:
        done = commands.run("--json", "--lock-wait-timeout", "3", "--jobs", jobs)
    assert done.code == 7
    error = done.json["error"]
    held = error["facts"]["Held by"]
    assert held.startswith(f"pid {pid} ({server.superuser}, the ")
    assert "idle in transaction for " in held
    assert held.endswith(": ALTER TABLE orders ALTER n SET DEFAULT length('…')")
    assert "orders" == error["facts"]["Locked table"]
    assert f"pg_terminate_backend({pid})" in error["steps"][0]
    assert done.err.count(f"waiting for locks; locked table: orders; held by: pid {pid} ") == 1
    assert _SECRET not in done.out + done.err
    assert "\x1b" not in done.out + done.err


@pytest.mark.majors(15, 18)
def test_a_backup_that_got_its_lock_warns_of_the_wait(
    commands: Commands, server: TestServer, database: str
) -> None:
    """The warning comes while the lock is still waited for, and is in the result too."""
    with migrating(server, database) as pid:
        run = commands.start("--json", "--lock-wait-timeout", "60")
        assert run.stderr is not None
        line = run.stderr.readline()
    out, err = run.communicate()
    assert (0, True) == (run.returncode, f"held by: pid {pid} " in line), err
    assert f"held by: pid {pid} " in out


@pytest.mark.majors(15, 18)
def test_a_lock_that_is_only_queued_for(
    commands: Commands, server: TestServer, database: str
) -> None:
    """A migration that waits for a reader refuses us too: the reader is named as the holder."""
    with server.connect(database) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM orders")
        reading = reader.info.backend_pid
        with waiting(server, database, "TRUNCATE orders", 1) as pid:
            done = commands.run("--json", "--lock-wait-timeout", "2")
    facts = done.json["error"]["facts"]
    assert facts["Held by"].startswith(f"pid {reading} ")
    assert facts["Queued before us"].startswith(f"pid {pid} ")
    assert "TRUNCATE orders" in facts["Queued before us"]
    assert "Waiting behind us" not in facts


def seen(server: TestServer, database: str, user: str | None = None) -> Blockers | None:
    """Look at the table's queue with the session that holds a backup's locks."""
    row = server.psql(database, "SELECT 'orders'::regclass::oid").strip()
    with server.connect(database) as session:
        if user is not None:
            session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(user)))
        return blockers(session, {int(row): "orders"})


def test_who_waits_behind_us(commands: Commands, server: TestServer, database: str) -> None:
    """While a backup holds its locks: a TRUNCATE that waits for it, and a reader behind that."""
    assert commands.cwd.is_dir()
    with (
        hold_snapshot(target_of(server, database), deadline=Deadline.after(60), warn=print) as held,
        waiting(server, database, "TRUNCATE orders", 1) as writer,
        waiting(server, database, "TABLE orders", 2) as reader,
    ):
        known = blockers(held.session, held.keys())
    assert known is not None
    assert [writer, reader] == [each.pid for each in known.behind]
    assert ((), ()) == (known.holders, known.queued)
    assert f"pid {writer} " in known.facts["Waiting behind us"]


@pytest.mark.majors(15, 18)
def test_a_dump_that_meets_its_limit(commands: Commands, server: TestServer, database: str) -> None:
    """What queued between our locks and pg_dump's is seen before our locks are gone, and warned."""
    assert commands.cwd.is_dir()
    warnings: list[str] = []
    deadline = Deadline.after(60, warnings.append)
    with waiting_for_us(server, database, deadline) as writer:
        pass
    assert {"Locked table", "Waiting behind us"} == deadline.watch.facts.keys()
    assert deadline.watch.facts["Waiting behind us"].startswith(f"pid {writer} ")
    assert [f"waiting for locks; locked table: orders; waiting behind us: pid {writer} "] == [
        each[: each.index("(")] for each in warnings
    ]


@contextmanager
def waiting_for_us(server: TestServer, database: str, deadline: Deadline) -> Iterator[int]:
    """End a dump as if pg_dump had met its limit while a TRUNCATE waits; yields its pid."""
    with ExitStack() as stack:
        with (
            suppress(BeginAnewError),
            hold_snapshot(target_of(server, database), deadline=deadline, warn=print),
        ):
            pid = stack.enter_context(waiting(server, database, "TRUNCATE orders", 1))
            raise BeginAnewError("pg_dump has met its limit")
        yield pid


@pytest.mark.majors(15, 18)
def test_a_role_that_may_not_see_others(
    commands: Commands, server: TestServer, database: str
) -> None:
    """It gets the pid, and the right that would show the rest; pg_monitor shows it."""
    assert commands.cwd.is_dir()
    role = server.unique_name("blind")
    server.psql("postgres", f'CREATE ROLE "{role}"')
    try:
        with migrating(server, database) as pid:
            known = seen(server, database, role)
            assert known is not None
            assert known.facts["Held by"].startswith(f"pid {pid} (")
            assert known.facts["Held by"].endswith(NOT_VISIBLE)
            assert "ALTER TABLE" not in known.facts["Held by"]
            server.psql("postgres", f'GRANT pg_monitor TO "{role}"')
            known = seen(server, database, role)
            assert known is not None
            assert "ALTER TABLE" in known.facts["Held by"]
    finally:
        server.psql("postgres", f'DROP ROLE "{role}"')


@pytest.mark.majors(15, 18)
def test_nobody_holds_it(commands: Commands, server: TestServer, database: str) -> None:
    """Without a lock that refuses ours nobody is named, readers and writers least."""
    assert commands.cwd.is_dir()
    with server.connect(database) as writer, writer.transaction():
        writer.execute("INSERT INTO orders VALUES (1)")
        assert seen(server, database) is None


@pytest.mark.parametrize("major", [15, 18])
def test_a_prepared_transaction(start_server: StartServer, tmp_path: Path, major: int) -> None:
    """One that no session has any more is named by its identifier, and how to end it."""
    server = start_server(major, max_prepared_transactions="1")
    server.psql("postgres", "CREATE TABLE orders (n int)")
    with server.connect("postgres") as session:
        for statement in ("BEGIN", "LOCK TABLE orders", "PREPARE TRANSACTION 'forgotten'"):
            session.execute(statement)
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    done = commands.run("--json", "--lock-wait-timeout", "2")
    error = done.json["error"]
    assert "no session (" in error["facts"]["Held by"]
    assert "prepared as forgotten" in error["facts"]["Held by"]
    assert "ROLLBACK PREPARED" in error["steps"][0]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT 'a''b', \"it's\", 'c'", "SELECT '…', \"it's\", '…'"),
        (r"SELECT E'a\'b', 'C:\', 'd'", "SELECT '…', '…', '…'"),
        ("ALTER ROLE a PASSWORD 'cut by the ser", "ALTER ROLE a PASSWORD '…'"),
        ("DO $x$ it's 'here' $x$; COMMIT", "DO '…'; COMMIT"),
        ("SELECT 1 -- it's a secret\n, 2 /* another's */ + 3", "SELECT 1 , 2 + 3"),
        ("SELECT\n\t1\x1b[2J", "SELECT 1\\x1b[2J"),
        ("x" * 5000, "x" * 120 + "…"),
        ("SELECT $1, $2", "SELECT $1, $2"),
    ],
)
def test_a_query_without_its_literals(query: str, shown: str) -> None:
    """What stands in quotes is others' data, a password perhaps; the rest is one short line."""
    assert shown == shown_query(query)
