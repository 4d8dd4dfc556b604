"""Edge cases of the parallel engine: rights, unknown sizes, very many tables, memory."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.engines import dump_by_pg_dump, dump_in_parallel, script_of
from tests.support.held import programs_with
from tests.support.pooler import pgbouncer
from tests.support.restored import restore_fresh, rows_by_key
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartServer
    from tests.support.servers import TestServer

_PARALLEL = ("--jobs", "2", "--space-factor", "0")
_SECURED = """
CREATE TABLE secret AS SELECT n FROM generate_series(1, 50) AS n;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON secret USING (n < 10);
CREATE ROLE {role} LOGIN PASSWORD 'p';
GRANT SELECT ON secret TO {role};
"""


def as_role(server: TestServer, database: str, role: str, folder: Path) -> Commands:
    """A shell of that role."""
    settings = {**settings_for(server, database), "DEV_DB_USER": role, "DEV_DB_PASSWORD": "p"}
    return Commands(folder, settings)


@pytest.mark.majors(18)
def test_row_security_without_bypassrls_exits_4(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A role that does not see all rows gets no backup, 4; with BYPASSRLS it has them all."""
    role = server.unique_name("reader")
    server.psql(database, _SECURED.format(role=role))
    commands = as_role(server, database, role, tmp_path)
    try:
        refused = commands.run(*_PARALLEL)
        left = left_in(tmp_path / "db/backups")
        server.psql(database, f"ALTER ROLE {role} BYPASSRLS")
        whole = commands.run("--json", "--full", "--no-globals", *_PARALLEL)
    finally:
        server.psql(database, f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert 4 == refused.code, refused.err
    assert "row-level security" in refused.err
    assert "BYPASSRLS" in refused.err
    assert [] == left
    assert 0 == whole.code, whole.err
    assert {"secret": 50} == whole.json["metadata"]["table_counts"]


@pytest.mark.majors(15, 18)
def test_the_true_size_of_an_unvacuumed_table_is_used(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """The catalog has 0 pages of a table before its first VACUUM: its true size is asked for."""
    server.psql(
        database,
        "CREATE TABLE unknown WITH (autovacuum_enabled = off) AS"
        " SELECT n, md5(n::text) FROM generate_series(1, 100000) AS n;"
        "CREATE TABLE beside AS SELECT 1 AS n",
    )
    with server.connect(database) as session:
        assert (0,) == session.execute(
            "SELECT relpages FROM pg_class WHERE relname = 'unknown'"
        ).fetchone()
    done = Commands(tmp_path, settings_for(server, database)).run("--json", "--full", *_PARALLEL)
    assert 0 == done.code, done.err
    metadata = done.json["metadata"]
    assert {"unknown": 100000, "beside": 1} == metadata["table_counts"]
    (table,) = [one for one in metadata["tables"] if one["name"] == "unknown"]
    assert table["segment_blocks"] < table["blocks"]


@pytest.mark.majors(15, 18)
def test_a_large_configuration_table_keeps_its_filter(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """An extension's configuration table keeps its filter, however large it is."""
    server.psql(
        database,
        "CREATE EXTENSION pgvow_conf;"
        "INSERT INTO pgvow_conf.filtered SELECT n, repeat(md5(n::text), 8), n % 2 = 0"
        " FROM generate_series(1001, 60000) AS n",
    )
    filled = dump_in_parallel(server, database, tmp_path / "dump")
    (facts,) = [facts for facts in filled.facts.values() if facts.name == "filtered"]
    assert (29500, 0) == (facts.rows, facts.segment_blocks)
    reference = dump_by_pg_dump(server, database, tmp_path / "reference")
    assert script_of(server, reference) == script_of(server, tmp_path / "dump")


@pytest.mark.majors(15, 18)
def test_planner_settings_do_not_turn_ranges_into_full_scans(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A database's own planner settings do not make each range a scan of the whole table."""
    server.psql(
        database,
        "CREATE TABLE t AS SELECT n, repeat(md5(n::text), 20) AS text"
        " FROM generate_series(1, 60000) AS n",
    )
    server.psql(database, f'ALTER DATABASE "{database}" SET enable_tidscan = off')
    filled = dump_in_parallel(server, database, tmp_path / "dump")
    (facts,) = filled.facts.values()
    assert facts.segment_blocks
    ranges = (facts.blocks or 0) // facts.segment_blocks
    assert ranges > 5
    with server.connect(database) as session:
        wait_until(lambda: (0,) == session.execute(_OURS).fetchone())  # who ends tells of it
        # The count; what made the table; perhaps statistics were gathered.
        assert session.execute(_SCANS).fetchone() in [(1,), (2,), (3,)]


_OURS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'pgvow%'
"""
_SCANS = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 't'"


def peak_of(run: subprocess.Popen[str]) -> int:
    """The most memory that a run of ours itself had, in bytes."""
    process, peak = psutil.Process(run.pid), 0
    while run.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    return peak


@pytest.mark.majors(18)
def test_memory_is_bounded_with_toast_wide_rows_and_many_tables(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Little heap with much TOAST, a row of 40 MB, and thousands of small tables waiting."""
    server.psql(
        database,
        "CREATE TABLE a_wide (n integer, text text);"
        "ALTER TABLE a_wide ALTER COLUMN text SET STORAGE EXTERNAL;"
        "INSERT INTO a_wide SELECT n, repeat(md5(n::text), 1500)"
        " FROM generate_series(1, 1300) AS n;"  # 60 MB
        "CREATE TABLE b_row AS SELECT repeat(md5('x'), 1250000) AS text;"
        "DO $$ BEGIN FOR n IN 1..400 LOOP"
        " EXECUTE format('CREATE TABLE small_%s AS SELECT 1 AS n', n); END LOOP; END $$",
    )
    commands = Commands(tmp_path, settings_for(server, database))
    run = commands.start("--compress", "gzip:9", *_PARALLEL)
    peak = peak_of(run)
    _, err = run.communicate()
    assert 0 == run.returncode, err
    assert 10 << 20 < peak < 150 << 20


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", ["2", "4"])
def test_very_many_tables_are_backed_up_by_one_psql_a_worker(
    server: TestServer, database: str, jobs: str, tmp_path: Path
) -> None:
    """More than are locked by every worker; each is there, and none costs a process."""
    server.psql(
        database,
        "DO $$ BEGIN FOR n IN 1..1200 LOOP"
        " EXECUTE format('CREATE TABLE t%s AS SELECT 1 AS n', n); END LOOP; END $$",
    )
    commands = Commands(tmp_path, settings_for(server, database))
    run = commands.start("--no-globals", "--jobs", jobs, "--space-factor", "0")
    started: set[int] = set()
    process = psutil.Process(run.pid)
    while run.poll() is None:
        try:
            started |= {child.pid for child in process.children() if child.name() == "psql"}
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    _, err = run.communicate()
    assert 0 == run.returncode, err
    assert int(jobs) == len(started)
    dump = next((tmp_path / "db/backups").glob("*.dump"))
    assert '"engine": "parallel"' in dump.with_suffix(".metadata.json").read_text()
    with restore_fresh(server, dump) as fresh:
        assert {f"t{n}": 1 for n in range(1, 1201)} == rows_by_key(server, fresh)


def test_a_small_lock_table_falls_back_to_pg_dump_with_a_notice(
    start_server: StartServer, tmp_path: Path
) -> None:
    """pg_dump does it alone, and both of that and of its locks it is said, once each."""
    server = start_server(18, max_locks_per_transaction="10", max_connections="20")
    with server.connect("postgres") as session:
        for start in range(0, 900, 50):
            with session.transaction():
                for number in range(start, start + 50):
                    session.execute(f"CREATE TABLE t{number} AS SELECT 1 AS n")
    commands = Commands(tmp_path, settings_for(server, "postgres"))
    done = commands.run("--json", "--full", *_PARALLEL)
    assert 0 == done.code, done.err
    assert ["using pg_dump alone", "relying on pg_dump's own locks"] == [
        warning.partition(": ")[2] for warning in done.json["warnings"]
    ]
    assert "pg_dump" == done.json["metadata"]["engine"]
    assert {f"t{number}": 1 for number in range(900)} == done.json["metadata"]["table_counts"]


@pytest.mark.majors(18)
def test_a_session_mode_pooler_serves_without_startup_parameters(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """It refuses startup parameters that we would like to set, and serves without."""
    server.psql(database, "CREATE TABLE t AS SELECT n FROM generate_series(1, 500) AS n")
    with pgbouncer(server, pool_mode="session") as pooler:
        settings = {"DEV_DB_HOST": pooler.host, "DEV_DB_PORT": str(pooler.port)}
        commands = Commands(tmp_path, {**settings_for(server, database), **settings})
        done = commands.run("--json", "--full", *_PARALLEL)
    assert 0 == done.code, done.err
    assert [] == done.json["warnings"]
    assert "parallel" == done.json["metadata"]["engine"]
    assert {"t": 500} == done.json["metadata"]["table_counts"]


@pytest.mark.majors(15, 18)
def test_large_objects_are_dumped_without_table_locks(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Their pg_dump comes last: a migration that waits for us by then must not make it wait."""
    server.psql(
        database,
        "CREATE SCHEMA audit; CREATE TABLE audit.log AS SELECT 1 AS n;"
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 500) AS n;"
        "SELECT lo_from_bytea(0, 'large')",
    )
    started, gate = tmp_path / "started", tmp_path / "gate"
    programs = programs_with(
        server.bin,
        tmp_path,
        "pg_dump",
        f'case "$*" in *file=/dev/fd/*) echo >> {started};'
        f" while [ ! -e {gate} ]; do sleep 0.05; done;; esac\n"
        f'exec {server.bin / "pg_dump"} "$@"',
    )
    settings = settings_for(server, database, bin_dir=programs)
    run = Commands(tmp_path, settings).start("--json", "--full", "--no-globals", *_PARALLEL)
    wait_until(lambda: started.exists() or run.poll() is not None)
    with server.connect(database) as watcher, migrating(server, database):
        wait_until(lambda: (2,) == watcher.execute(_WAITING).fetchone())
        gate.touch()
        out, err = run.communicate(timeout=600)
    assert 0 == run.returncode, err
    assert '"engine": "parallel"' in out
    assert "\n" == started.read_text()  # once: nothing was begun anew
    dump = next((tmp_path / "db/backups").glob("*.dump"))
    assert script_of(server, dump_by_pg_dump(server, database, tmp_path / "by_pg_dump")) == (
        script_of(server, dump)
    )


_WAITING = """
SELECT count(*) FROM pg_locks AS lock JOIN pg_database AS database ON database.oid = lock.database
WHERE datname = current_database() AND NOT granted AND mode = 'AccessExclusiveLock'
"""


@contextmanager
def migrating(server: TestServer, database: str) -> Iterator[None]:
    """Two sessions that each want a table for themselves."""

    def lock(table: str) -> None:
        with server.connect(database) as session, session.transaction():
            session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

    threads = [threading.Thread(target=lock, args=[table]) for table in ("t", "audit.log")]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
