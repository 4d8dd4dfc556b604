"""A real PgBouncer between us and the server: one mode is refused, the other one serves."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.directories import left_in
from tests.support.pooler import Pooler, commands_through, pgbouncer
from tests.support.restored import restore_fresh, rows_by_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

    Left = dict[int, list[tuple[str, str]]]

pytestmark = pytest.mark.majors(15, 18)

# All that a stranger who is handed the session next would find changed.
_LEFT = """
SELECT name, setting FROM pg_settings WHERE source = 'session'
UNION ALL SELECT 'prepared', name FROM pg_prepared_statements
UNION ALL SELECT 'cursor', name FROM pg_cursors
UNION ALL SELECT 'listening', channel FROM pg_listening_channels() AS channel
ORDER BY 1, 2
"""


def make_tables(server: TestServer, database: str) -> None:
    """Make something to back up."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 500) AS n")


def left_in_pool(pooler: Pooler, database: str, count: int) -> Left:
    """Return the settings of so many sessions of the pool, by the server's process id."""
    with ExitStack() as stack:
        found = {}
        for _ in range(count):
            session = stack.enter_context(pooler.connect(database))
            stack.enter_context(session.transaction())  # held, so that the next one gets another
            (pid,) = session.execute("SELECT pg_backend_pid()").fetchone() or (0,)
            found[pid] = session.execute(_LEFT).fetchall()
        return found


def unchanged(before: Left, after: Left) -> bool:
    """Whether sessions new and old look like those before: an empty pool proves nothing."""
    looks = {tuple(left) for left in before.values()}
    return bool(looks) and looks == {tuple(left) for left in after.values()}


@pytest.mark.majors(18)
@pytest.mark.parametrize("turns", [0, 1], ids=["last-used", "round-robin"])
@pytest.mark.parametrize("sessions", [1, 2, 3, 5])
def test_transaction_mode_is_refused(
    sessions: int, turns: int, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Refused with 2 and advice, however the pool hands its sessions out; none is changed."""
    make_tables(server, database)
    settings = {"pool_mode": "transaction", "server_round_robin": turns}
    with pgbouncer(server, **settings) as pooler:
        before = left_in_pool(pooler, database, sessions)
        assert sessions == len(before)
        done = commands_through(pooler, database, tmp_path).run()
        after = left_in_pool(pooler, database, sessions)
    assert 2 == done.code, done.err
    assert "pooler in transaction mode" in done.err
    assert "DEV_DB_PORT" in done.err
    assert "pool_mode = session" in done.err
    assert [] == left_in(tmp_path / "db/backups")
    assert unchanged(before, after)


def test_a_setting_left_in_a_pooled_session_is_detected(server: TestServer, database: str) -> None:
    """The check above turns red if a setting stays behind."""
    with pgbouncer(server, pool_mode="transaction") as pooler:
        with pooler.connect(database) as session:
            session.execute("SET search_path TO ''")
        (left,) = left_in_pool(pooler, database, 1).values()
    assert ("search_path", '""') in left


def test_doctor_reports_transaction_mode_with_12(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """The doctor says the same: 12, with the step that mends it."""
    with pgbouncer(server, pool_mode="transaction") as pooler:
        done = commands_through(pooler, database, tmp_path).pgvow("doctor", "--json")
    assert 12 == done.code, done.err
    (found,) = [one for one in done.json["checks"] if one["level"] == "bad"]
    assert "connection" == found["name"]
    assert "transaction mode" in found["text"]
    assert "Connect to PostgreSQL itself" in found["hint"]


def test_session_mode_makes_a_backup_that_restores(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A backup through it is made, without a warning, and restores; the doctor wants attention."""
    make_tables(server, database)
    with pgbouncer(server, pool_mode="session") as pooler:
        commands = commands_through(pooler, database, tmp_path)
        done = commands.run("--json")
        examined = commands.pgvow("doctor", "--json")
    assert 0 == done.code, done.err
    assert [] == done.json["warnings"]
    with restore_fresh(server, tmp_path / done.json["backup_path"]) as fresh:
        assert {"t": 500} == rows_by_key(server, fresh)
    assert 11 == examined.code
    assert ["pooler"] == [one["name"] for one in examined.json["checks"] if one["level"] != "good"]


def test_session_mode_leaves_no_settings_behind(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Settings of ours in a pooled session are gone when the next client is given it."""
    make_tables(server, database)
    with pgbouncer(server, pool_mode="session") as pooler:
        before = left_in_pool(pooler, database, 4)
        done = commands_through(pooler, database, tmp_path).run()
        after = left_in_pool(pooler, database, 4)
    assert 0 == done.code, done.err
    assert unchanged(before, after)
