"""``pgvow restore --swap``: the name always stands for a whole database, old or new."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgvow.errors import RestoreFailed
from pgvow.operations.restore import swap as restore_swap
from pgvow.progress import Phase, Silent
from pgvow.store import encode, load_metadata, metadata_name
from tests.support import children, restore_and_die
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.inprocess import back_up
from tests.support.restoring import databases, restore
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.progress import Step
    from tests.support.servers import TestServer

_CLIENTS = 20
_ROWS = 20_000
_BEFORE_THE_SWAP = (
    "phase:checksum",
    "phase:creating",
    "after:^CREATE DATABASE",  # it has no comment yet
    "phase:restoring",
    "after:pg_stat_progress_copy",  # pg_restore is at work
    "phase:analyzing",
    "phase:comparing",
    "phase:settings",
    "phase:naming",
    "before:RENAME TO",
    "after:RENAME TO .*_before_",  # not committed
    "before:RENAME TO (?!.*_before_)",
    "after:RENAME TO (?!.*_before_)",  # nor is this
)
_WHILE_STARTING = "starting:RENAME TO .*_before_"
_NOTHING_LEFT_AT = ("phase:checksum", "phase:creating")
_RENAMING = """
SELECT count(*) FROM pg_stat_activity
WHERE query LIKE 'ALTER DATABASE%RENAME%' AND state = 'active' AND pid <> pg_backend_pid()
"""


class Live:
    """A database in use, whose rows say ``old``, and a backup of it in which they say ``new``."""

    def __init__(self, server: TestServer, name: str, dump: Path) -> None:
        self.server = server
        self.name = name
        self.dump = dump

    def contents(self) -> tuple[str, int]:
        """Return version and row count of the database with the name."""
        with self.server.connect(self.name) as session:
            row = session.execute("SELECT min(version), count(*) FROM versions").fetchone()
        assert row is not None
        return row[0], row[1]

    def others(self) -> set[str]:
        """Return the databases beside it, without the beginning of their names."""
        return {
            name.removeprefix(f"{self.name}_")
            for name in databases(self.server)
            if name.startswith(f"{self.name}_")
        }

    def start(
        self, moment: str, signum: signal.Signals = signal.SIGKILL, *words: str
    ) -> subprocess.Popen[bytes]:
        """Start a restore that gets a signal at a step: see ``restore_and_die``."""
        return subprocess.Popen(
            [
                *(sys.executable, restore_and_die.__file__, moment, signum.name),
                *("restore", self.dump, "--to", self.name, "--swap", *words),
            ],
            cwd=self.dump.parent,
            env={
                **children.environment(),
                **clean_environment(),
                **settings_for(self.server, "postgres"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stopped_at(self, moment: str) -> subprocess.Popen[bytes]:
        """Start a restore and wait until it is stopped at a step; SIGCONT lets it go on."""
        run = self.start(moment, signal.SIGSTOP)
        os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert run.poll() is None
        return run


@pytest.fixture
def live(server: TestServer, tmp_path: Path) -> Iterator[Live]:
    """Make a live database and the backup that is to replace it."""
    name = server.unique_name("live")
    server.create_database(name)
    fill = "CREATE TABLE versions AS SELECT '{}'::text AS version, n FROM generate_series(1, {}) n"
    server.psql(name, fill.format("new", _ROWS))
    dump = back_up(server, name, tmp_path).backup.path
    server.psql(name, f"DROP TABLE versions; {fill.format('old', 7)}")
    yield Live(server, name, dump)
    for each in databases(server):
        if each.startswith(name):
            server.drop_database(each)


def test_swap_gives_the_name_to_the_new_database_and_keeps_the_old(live: Live) -> None:
    """On 15 to 18 the new database takes the name, and the old one is kept whole under another."""
    result = restore(live.server, live.dump, live.name, swap=True)
    assert ("new", _ROWS) == live.contents()
    assert result.kept_as is not None
    assert {result.kept_as} == {f"{live.name}_{other}" for other in live.others()}
    assert result.kept_as.startswith(f"{live.name}_before_")
    kept = Live(live.server, result.kept_as, live.dump)
    assert ("old", 7) == kept.contents()
    comment = "SELECT count(*) FROM pg_shdescription WHERE description LIKE 'pgvow%'"
    assert "0\n" == live.server.psql("postgres", comment)


@pytest.mark.majors(18)
def test_swap_without_an_old_database_is_a_plain_restore(live: Live) -> None:
    """If there is nothing to swap out it is a plain restore."""
    live.server.drop_database(live.name)
    result = restore(live.server, live.dump, live.name, swap=True)
    assert (None, ("new", _ROWS)) == (result.kept_as, live.contents())


@pytest.mark.majors(15, 18)
def test_connected_sessions_stop_a_swap_without_terminate(live: Live) -> None:
    """Without --terminate a connected session stops the swap before anything is made."""
    with live.server.connect(live.name) as session:
        session.execute("SET application_name TO 'the shop'")
        with pytest.raises(RestoreFailed, match=r"1 sessions are connected .*the shop") as caught:
            restore(live.server, live.dump, live.name, swap=True)
        assert any("--terminate" in step for step in caught.value.steps)
        assert ", the shop), idle for " in caught.value.facts["Connected"]
        session.execute("SELECT 1")
    assert ("old", 7) == live.contents()
    assert set() == live.others()


@pytest.mark.majors(18)
def test_a_session_opened_during_the_restore_stops_the_swap(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session opened during the restore is not ended: the swap fails, the old one stays."""
    monkeypatch.setattr(restore_swap, "_WAITING_SECONDS", 0.1)
    compare = restore_swap.put_in_place

    with contextlib.ExitStack() as stack:

        def late(*arguments: object, **options: object) -> int:
            session = stack.enter_context(live.server.connect(live.name))
            session.execute("SELECT 1")
            return compare(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr("pgvow.operations.restore.put_in_place", late)
        with pytest.raises(RestoreFailed, match="accessed by other users") as caught:
            restore(live.server, live.dump, live.name, swap=True)
    assert re.match(r"pid \d+ \(.*\), idle for \d+ s, since .*", caught.value.facts["Connected"])
    assert caught.value.facts["Connected"].endswith(": SELECT 1")
    assert ("old", 7) == live.contents()
    assert set() == live.others()


def forge(dump: Path) -> None:
    """Let the metadata say that each table held one row more."""
    metadata = load_metadata(dump)
    tables = tuple(replace(one, rows=one.rows + 1) for one in metadata.tables)
    counts = {one.key: one.rows for one in tables}
    path = dump.with_name(metadata_name(dump.name))
    path.write_bytes(encode(replace(metadata, tables=tables, table_counts=counts)))


@pytest.mark.majors(15, 18)
def test_a_failed_restore_is_dropped_with_its_subscriptions(live: Live, tmp_path: Path) -> None:
    """A subscription keeps a database from being dropped: it is forgotten first."""
    live.server.psql(
        live.name,
        "CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)",
    )
    dump = back_up(live.server, live.name, tmp_path / "second").backup.path
    forge(dump)
    with pytest.raises(RestoreFailed, match="versions"):
        restore(live.server, dump, live.name, swap=True)
    assert ("old", 7) == live.contents()
    assert set() == live.others()


@pytest.mark.majors(15, 18)
def test_a_difference_keeps_the_old_database(live: Live) -> None:
    """A database that does not compare replaces nothing, and is dropped."""
    forge(live.dump)
    with pytest.raises(RestoreFailed, match="versions"):
        restore(live.server, live.dump, live.name, swap=True)
    assert ("old", 7) == live.contents()
    assert set() == live.others()


@pytest.mark.majors(18)
def test_a_production_swap_needs_confirmation(live: Live) -> None:
    """A swap in production is refused unless confirmed, and without a terminal nobody is asked."""
    with pytest.raises(RestoreFailed, match="not confirmed"):
        restore(live.server, live.dump, live.name, environment="prod", swap=True)
    assert ("old", 7) == live.contents()
    commands = Commands(live.dump.parent, settings_for(live.server, "postgres", environment="prod"))
    words = ("restore", live.dump, "--to", live.name, "--env", "prod", "--swap")
    refused = commands.pgvow(*words)
    assert 10 == refused.code, refused.err
    assert "--yes" in refused.err
    assert ("old", 7) == live.contents()
    done = commands.pgvow(*words, "--yes", "--json")
    assert 0 == done.code, done.err
    assert ("new", _ROWS) == live.contents()
    assert done.json["kept_as"] in databases(live.server)


@pytest.mark.majors(18)
@pytest.mark.parametrize("part", [["--table", "versions"], ["--schema-only"]])
def test_a_partial_restore_cannot_be_swapped_in(live: Live, part: list[str]) -> None:
    """Some tables, or none of their rows, under the name of a database in use: refused, 2."""
    commands = Commands(live.dump.parent, settings_for(live.server, "postgres"))
    done = commands.pgvow("restore", live.dump, "--to", live.name, "--swap", *part)
    assert 2 == done.code, done.err
    assert f"{part[0]} without --swap" in done.err
    assert ("old", 7) == live.contents()


@pytest.mark.majors(18)
@pytest.mark.parametrize("environment", ["prod", "staging"])
def test_swap_asks_for_the_name_outside_development(live: Live, environment: str) -> None:
    """Of all but development the database's name is asked for: mistyped a refusal, typed a swap."""
    environ = settings_for(live.server, "postgres", environment="prod")
    if environment == "staging":
        (live.dump.parent / "pgvow.toml").write_text('[environments.staging]\nprefix = "DB_"\n')
    for typed, code, contents in (("yes", 10, ("old", 7)), (live.name, 0, ("new", _ROWS))):
        ours, theirs = os.openpty()
        os.write(ours, f"{typed}\n".encode())
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pgvow", "restore", live.dump, "--to", live.name),
                *("--env", environment, "--swap"),
            ],
            cwd=live.dump.parent,
            env={**clean_environment(), **environ},
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        os.close(ours)
        os.close(theirs)
        assert code == done.returncode, done.stderr
        assert "Type its name to go on" in done.stderr
        assert contents == live.contents()


class Client:
    """Connects, reads and leaves, again and again, whatever it meets."""

    def __init__(self, live: Live, stop: threading.Event) -> None:
        self.seen: list[tuple[str, int]] = []
        self._live = live
        self._stop = stop
        self._thread = threading.Thread(target=self._hammer)
        self._thread.start()

    def _hammer(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(psycopg.OperationalError):
                self.seen.append(self._live.contents())

    def join(self) -> None:
        """Wait for its last round."""
        self._thread.join()


@pytest.mark.majors(18)
def test_reconnecting_clients_see_the_old_database_then_the_new(live: Live) -> None:
    """With 20 clients that reconnect the swap succeeds, and each sees the old one, then the new."""
    stop = threading.Event()
    clients = [Client(live, stop) for _ in range(_CLIENTS)]
    try:
        wait_until(lambda: all(client.seen for client in clients))
        result = restore(live.server, live.dump, live.name, swap=True, terminate=True)
        wait_until(lambda: all(client.seen[-1][0] == "new" for client in clients))
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert result.kept_as in databases(live.server)
    for client in clients:
        assert ["old", "new"] == list(dict.fromkeys(version for version, _ in client.seen))
        assert {("old", 7), ("new", _ROWS)} == set(client.seen)


@pytest.mark.majors(18)
@pytest.mark.parametrize("moment", _BEFORE_THE_SWAP)
def test_a_kill_before_the_swap_keeps_the_old_database(live: Live, moment: str) -> None:
    """The old one stands whole; the next run drops the leftovers, says so, and succeeds."""
    run = live.start(moment)
    assert -signal.SIGKILL == run.wait(600)
    assert ("old", 7) == live.contents()
    left = live.others()
    assert (moment in _NOTHING_LEFT_AT) == (not left)
    with pytest.raises(RestoreFailed) as caught:
        restore(live.server, live.dump, live.name)
    assert any("--swap" in step for step in caught.value.steps)
    assert set() == live.others()
    result = restore(live.server, live.dump, live.name, swap=True)
    assert () == result.warnings
    assert ("new", _ROWS) == live.contents()


@pytest.mark.majors(18)
def test_the_next_run_names_the_databases_it_dropped(live: Live) -> None:
    """Databases that a dead run left are named when they are dropped."""
    live.start("after:^CREATE DATABASE").wait(600)
    (left,) = live.others()
    result = restore(live.server, live.dump, live.name, swap=True)
    assert any(f"dropped {live.name}_{left}" in warning for warning in result.warnings)


@pytest.mark.majors(18)
@pytest.mark.parametrize("sign", ["a session", "a comment", "a name"])
def test_temporary_databases_of_others_are_not_dropped(live: Live, sign: str) -> None:
    """A temporary database that somebody is in or has described stays, and so does a likeness."""
    live.start("after:^CREATE DATABASE").wait(600)
    (left,) = (f"{live.name}_{other}" for other in live.others())
    kept = left
    with contextlib.ExitStack() as stack:
        if sign == "a session":
            stack.enter_context(live.server.connect(left)).execute("SELECT 1")
        elif sign == "a comment":
            live.server.psql("postgres", f"COMMENT ON DATABASE \"{left}\" IS 'to be looked at'")
        else:
            kept = left.replace("_pgvow_", "_pgvow_0")
            live.server.psql("postgres", f'ALTER DATABASE "{left}" RENAME TO "{kept}"')
        result = restore(live.server, live.dump, live.name, swap=True)
    assert kept in databases(live.server)
    assert (sign != "a name") == any(f"dropdb {kept}" in each for each in result.warnings)


@pytest.mark.majors(15, 18)
def test_a_kill_after_the_swap_keeps_the_new_database(live: Live) -> None:
    """The new one stands whole, the old one beside it, and the next run names that one."""
    run = live.start("phase:named")
    assert -signal.SIGKILL == run.wait(600)
    assert ("new", _ROWS) == live.contents()
    (kept,) = live.others()
    with pytest.raises(RestoreFailed) as caught:
        restore(live.server, live.dump, live.name)
    assert f"{live.name}_{kept}" == caught.value.facts["Swapped out before"]


@pytest.mark.majors(18)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_an_ended_rename_keeps_the_old_database(live: Live, signum: signal.Signals) -> None:
    """Ended in the middle of the transaction: the old one stands, and keeps its client."""
    run = live.stopped_at("phase:naming")
    with live.server.connect(live.name) as client, live.server.connect("postgres") as watcher:
        client.execute("SELECT 1")
        run.send_signal(signal.SIGCONT)
        wait_until(lambda: watcher.execute(_RENAMING).fetchone() == (1,))
        run.send_signal(signum)
        assert (143 if signum == signal.SIGTERM else -signum) == run.wait(600)
        wait_until(lambda: watcher.execute(_RENAMING).fetchone() == (0,))
        client.execute("SELECT 1")
    assert ("old", 7) == live.contents()
    assert (signum == signal.SIGKILL) == bool(live.others())
    restore(live.server, live.dump, live.name, swap=True)
    assert ("new", _ROWS) == live.contents()


@pytest.mark.majors(18)
@pytest.mark.parametrize("moment", [*_BEFORE_THE_SWAP, _WHILE_STARTING])
def test_sigterm_before_the_rename_exits_143_and_leaves_nothing(live: Live, moment: str) -> None:
    """SIGTERM before the names have changed ends a restore with 143, and leaves nothing behind."""
    assert 143 == live.start(moment, signal.SIGTERM).wait(600)
    assert ("old", 7) == live.contents()
    assert set() == live.others()


@pytest.mark.majors(18)
def test_sigterm_after_the_rename_keeps_both_databases(live: Live) -> None:
    """SIGTERM when the names have changed leaves both whole; nothing is undone."""
    assert 143 == live.start("phase:named", signal.SIGTERM).wait(600)
    assert ("new", _ROWS) == live.contents()
    (kept,) = live.others()
    assert kept.startswith("before_")


@pytest.mark.majors(18)
def test_a_second_restore_into_the_same_name_is_refused(live: Live) -> None:
    """A second restore into the same name is refused while the first one lives."""
    run = live.stopped_at("phase:comparing")
    try:
        with pytest.raises(RestoreFailed, match="another restore"):
            restore(live.server, live.dump, live.name, swap=True)
        assert len(live.others()) == 1
    finally:
        run.send_signal(signal.SIGCONT)
        code = run.wait(600)
    assert 0 == code
    assert ("new", _ROWS) == live.contents()


class Visitors(Silent):
    """Connects when the names are to be exchanged, leaves when it is named; another comes late."""

    def __init__(self, live: Live, stack: contextlib.ExitStack) -> None:
        self.live = live
        self.stack = stack
        self.warnings: list[str] = []
        self.session: psycopg.Connection[tuple[object, ...]] | None = None
        self.late = threading.Thread(target=self.come_late)

    def update(self, step: Step) -> None:
        """Connect before the names change."""
        if step.phase is Phase.NAMING and self.session is None:
            self.session = self.stack.enter_context(self.live.server.connect(self.live.name))
            self.session.execute("SET application_name TO 'the shop'")
            self.session.execute("BEGIN")
            self.late.start()

    def come_late(self) -> None:
        """Connect while the first attempt to rename waits."""
        wait_until(lambda: self.live.server.psql("postgres", _RENAMING).strip() == "1")
        with self.live.server.connect(self.live.name):
            pass

    def warn(self, message: str) -> None:
        """Leave when it is said who is in the way."""
        self.warnings.append(message)
        if self.session is not None:
            self.session.close()


@pytest.mark.majors(18)
def test_who_keeps_a_swap_waiting(live: Live) -> None:
    """A session in the way is named while it is waited for, and those that wait behind the swap."""
    with contextlib.ExitStack() as stack:
        visitors = Visitors(live, stack)
        result = restore(live.server, live.dump, live.name, swap=True, progress=visitors)
        visitors.late.join()
    (warning,) = visitors.warnings
    assert f"waiting for the sessions of {live.name}; connected: pid " in warning
    assert "the shop), idle in transaction for " in warning
    assert re.search(r"waited behind us: 1 new connections \(pid \d+\)", warning)
    assert (warning,) == result.warnings
    assert ("new", _ROWS) == live.contents()
