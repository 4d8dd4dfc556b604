"""Do something to a server while a restore on it is at a certain statement."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import psutil

from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.support.servers import TestServer

PAUSE = """
CREATE FUNCTION pause(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF i = 1 AND current_database() LIKE 'pgvow_proof_%' THEN PERFORM pg_sleep(2); END IF;
  RETURN i;
END $$;
CREATE TABLE t (n integer, body text);
INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 2000) AS n;
"""
MOMENTS = {
    "COPY": "ALTER TABLE t ADD CHECK (public.pause(n) > 0)",
    "CREATE INDEX": "CREATE INDEX ON t (public.pause(n), body)",
    "REFRESH MATERIALIZED VIEW": "CREATE MATERIALIZED VIEW v AS SELECT public.pause(n) FROM t",
}
"""What a server process is busy with, by its title, and what makes it pause there in a proof."""


def back_up_each(server: TestServer, folder: Path) -> Mapping[str, Path]:
    """Make one sound backup for each step; returns the dumps by step."""
    made: dict[str, Path] = {}
    for moment, schema in MOMENTS.items():
        database = server.unique_name()
        server.create_database(database)
        try:
            server.psql(database, PAUSE + schema)
            made[moment] = back_up(server, database, folder / moment).backup.path
        finally:
            server.drop_database(database)
    return made


@contextlib.contextmanager
def at(moment: str, act: Callable[[psutil.Process], None]) -> Iterator[threading.Event]:
    """Act on the server process that pauses in a proof, once; the event is set when it was done."""
    done, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set() and not done.is_set():
            if (process := _paused(moment)) is not None:
                act(process)
                done.set()
            over.wait(0.02)

    thread = threading.Thread(target=watch, name="moment")
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def _paused(moment: str) -> psutil.Process | None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if "pgvow_proof_" in title and title.rstrip().endswith(f"] {moment}"):
                return process
    return None
