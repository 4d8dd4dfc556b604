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


@pytest.mark.majors(15, 18)
@needs_root
def test_a_full_disk(server: TestServer, database: str, tmp_path: Path, small_disk: Path) -> None:
    """Full midway: 5, what was written goes, the earlier backup stays and passes (T011, T051)."""
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
def test_the_server_is_stopped_midway(server: TestServer, tmp_path: Path) -> None:
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
def test_memory_stays_flat(server: TestServer, database: str, tmp_path: Path) -> None:
    """Our own process stays under 100 MB (T054)."""
    with server.connect(database) as session:
        session.execute(_NOISE)
        session.execute("CREATE TABLE wide AS SELECT repeat(md5('x'), 3000000) AS text")
    run = Commands(tmp_path, settings_for(server, database)).start("--space-factor", "0")
    process = psutil.Process(run.pid)
    peak = 0
    while run.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    run.communicate()
    assert run.returncode == 0
    assert 10 << 20 < peak < 100 << 20
