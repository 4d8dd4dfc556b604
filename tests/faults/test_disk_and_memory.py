"""A disk that really fills up, a server that really dies, memory that does not grow."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from pgvow.postgres.throwaway import ThrowawayServer
from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.disks import needs_root
from tests.support.held import pg_dump_stopped_midway
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_NOISE = """
CREATE TABLE noise AS
SELECT n, md5(n::text) || md5((-n)::text) AS bytes FROM generate_series(1, 300000) AS n
"""

# 200 MB that pack badly, in so few blocks that two segments have all of it: rows of 0.8 MB.
_WIDE = """
CREATE TABLE wide (n int, t text);
ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
INSERT INTO wide SELECT n, (
    SELECT string_agg(md5((n * 100000 + k)::text), '') FROM generate_series(1, 25000) AS k
) FROM generate_series(1, 250) AS n
"""
# A table that is no heap by its name is copied whole: one segment, whatever its size.
_NOT_A_HEAP = """
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE whole USING heap2 AS SELECT n, md5(n::text) || md5((-n)::text) || md5((n * 7)::text)
|| md5((n * 11)::text) AS bytes FROM generate_series(1, 1500000) AS n
"""


@pytest.mark.majors(15, 18)
@needs_root
def test_a_disk_full_midway_exits_5_and_keeps_the_earlier_backup(
    server: TestServer, database: str, tmp_path: Path, small_disk: Path
) -> None:
    """Full midway: 5, partial files go, the earlier backup stays and passes."""
    commands = Commands(tmp_path, settings_for(server, database))
    first = commands.run("--output-dir", small_disk, "--space-factor", "0", "--json")
    assert first.code == 0, first.err
    before = left_in(small_disk)
    with server.connect(database) as session:
        session.execute(_NOISE)
    done = commands.run("--output-dir", small_disk, "--space-factor", "0")
    assert done.code == 5, done.err
    assert "df -h" in done.err
    assert left_in(small_disk) == before
    assert commands.run("--verify", first.json["backup_path"]).code == 0


@pytest.mark.majors(15, 18)
def test_a_server_stopped_midway_exits_7_and_leaves_nothing(
    server: TestServer, tmp_path: Path
) -> None:
    """An immediate shutdown during the dump: 7, the cause in the tool's words, nothing left."""
    with ThrowawayServer(server.bin) as doomed:
        import psycopg  # noqa: PLC0415 - the only direct use in this module

        with psycopg.connect(doomed.conninfo("postgres"), autocommit=True) as session:
            session.execute(_NOISE)
        commands = Commands(
            tmp_path,
            {
                "DEV_DB_HOST": doomed.host,
                "DEV_DB_PORT": str(doomed.port),
                "DEV_DB_NAME": "postgres",
                "DEV_DB_USER": doomed.user,
                "DEV_DB_PASSWORD": doomed.password,
                "PGVOW_PG_BIN": str(server.bin),
            },
        )
        run = commands.start()
        with pg_dump_stopped_midway(run, tmp_path):
            os.kill(doomed.pid, signal.SIGQUIT)  # immediate
            wait_until(lambda: psutil.Process(doomed.pid).status() == psutil.STATUS_ZOMBIE)
        _, err = run.communicate(timeout=600)
    assert run.returncode == 7, err
    assert "Troubleshooting" in err
    assert [] == left_in(tmp_path / "db/backups")


@pytest.mark.majors(18)
def test_our_process_stays_under_100_mb(server: TestServer, database: str, tmp_path: Path) -> None:
    """Our own process stays under 100 MB."""
    with server.connect(database) as session:
        session.execute(_NOISE)
        session.execute("CREATE TABLE wide AS SELECT repeat(md5('x'), 3000000) AS text")
    peak = peak_of(Commands(tmp_path, settings_for(server, database)))
    assert 10 << 20 < peak < 100 << 20


@pytest.mark.majors(18)
@pytest.mark.parametrize("made", [_WIDE, _NOT_A_HEAP], ids=["wide rows", "not a heap"])
def test_our_process_stays_under_150_mb_with_many_segments(
    made: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """It stays under 150 MB if a segment is a hundred of these, read faster than compressed."""
    with server.connect(database) as session:
        session.execute(made)
    commands = Commands(tmp_path, settings_for(server, database))
    assert 10 << 20 < peak_of(commands, "--jobs", "2", "--compress", "gzip:6") < 150 << 20


def peak_of(commands: Commands, *options: str) -> int:
    """The most memory that our own process has during a backup, in bytes."""
    run = commands.start("--space-factor", "0", *options)
    process = psutil.Process(run.pid)
    peak = 0
    while run.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    _, err = run.communicate()
    assert 0 == run.returncode, err
    return peak
