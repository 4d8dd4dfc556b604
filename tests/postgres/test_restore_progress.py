"""How far a restore is, as a real server tells it, while rows are on their way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from pgvow.operations.restore.progress import AFTER_ROWS, PHASE, RowsWatch
from pgvow.progress import Silent, Step
from tests.support.inprocess import back_up
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_TABLES = """
CREATE SCHEMA "The 'other'";
CREATE TABLE a (n integer, pad text); CREATE TABLE "The 'other'".b (n integer, pad text);
"""
_ROWS = 3000
# Row by row: of one long message libpq would keep the end back, and the server wait for it.
_HALF = [f"{n}\t{'x' * 20}\n".encode() for n in range(_ROWS // 2)]
_FILL = "SELECT n, repeat('x', 20) FROM generate_series(1, 3000) AS n"


class Last(Silent):
    """Keeps the last step, and fails if one goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Step("")

    def update(self, step: Step) -> None:
        """Keep it."""
        if step.phase == PHASE:
            assert self.step.done <= step.done <= step.total
        self.step = step


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_counts_finished_and_running_tables(
    server: TestServer,
    database: str,
    make_database: MakeDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int,
) -> None:
    """Rows of a COPY under way and those of tables before it are told; then come the indexes."""
    monkeypatch.setattr("pgvow.operations.restore.progress._LOOK_SECONDS", 0)
    server.psql(database, f"{_TABLES} INSERT INTO a {_FILL}; INSERT INTO \"The 'other'\".b {_FILL}")
    backup = back_up(server, database, tmp_path)
    with backup.backup.path.open("rb") as file:
        entries = sorted(read_toc(file).table_data, key=lambda entry: entry.tag)
    target = make_database(server)
    server.psql(target, _TABLES)
    last = Last()
    with server.connect(target) as loading, server.connect(target) as looking:
        watch = RowsWatch(looking, backup.metadata, entries, one_by_one=jobs == 1, progress=last)

        def shown() -> int:
            watch.look()
            return int(last.step.detail.split()[0].replace(",", ""))

        if jobs == 1:
            loading.execute("BEGIN")
        for number, entry in enumerate(entries):
            with loading.cursor().copy(entry.copy_stmt) as copy:
                for row in _HALF:
                    copy.write(row)
                before = _ROWS * number
                wait_until(lambda before=before: before < shown() <= before + _ROWS // 2)  # type: ignore[misc]
                for row in _HALF:
                    copy.write(row)
            if jobs > 1:
                loading.execute("SELECT pg_stat_force_next_flush()")
        watch.look()
        if jobs == 1:
            loading.execute("COMMIT")
        wait_until(lambda: (watch.look(), last.step == Step(AFTER_ROWS))[1])


@pytest.mark.majors(18)
def test_a_lost_progress_session_fails_nothing(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A lost session is not queried again, and nothing fails."""
    metadata = back_up(server, database, tmp_path).metadata
    last = Last()
    with server.connect(database) as session:
        facts = replace(metadata, tables=())
        watch = RowsWatch(session, facts, (), one_by_one=False, progress=last)
        session.close()
        watch.look()
    assert Step("") == last.step
