"""A row that COPY cannot carry fails the backup with its table, the row, and how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

# Two hundred megabytes of text are no trouble, and six hundred of bytes are too many by far.
_WIDE = """
CREATE TABLE "Wide 'one'" ({} "by tes" bytea, note text);
INSERT INTO "Wide 'one'" ("by tes", note) VALUES ('\\x00', 'small');
INSERT INTO "Wide 'one'" ("by tes", note)
  SELECT pg_catalog.convert_to(repeat('x', 600000000), 'UTF8'), 'wide';
CREATE TABLE beside AS SELECT n FROM generate_series(1, 10) AS n;
"""


@pytest.mark.parametrize(
    ("server", "jobs", "more"),
    [(15, "1", "id serial,"), (15, "2", ""), (18, "2", "id serial,"), (18, "1", "")],
    indirect=["server"],
)
def test_a_row_too_wide_for_copy_is_named_and_exits_7(
    server: TestServer, database: str, tmp_path: Path, jobs: str, more: str
) -> None:
    """Both engines name table and row with a query that finds it, 7; without its rows: 0.

    Whether the rows can be counted by a narrow column, or only by one that is too wide.
    """
    server.psql(database, _WIDE.format(more))
    commands = Commands(tmp_path, settings_for(server, database))
    words = ("--json", "--no-globals", "--space-factor", "0", "--jobs", jobs)
    done = commands.run(*words)
    assert 7 == done.code, done.err
    error = done.json["error"]
    assert """table "Wide 'one'" has a row that COPY cannot carry""" in error["cause"]
    assert "(0,2) of 1,200,000,0" in error["facts"]["Rows (ctid)"]
    assert [] == left_in(tmp_path / "db/backups")
    (step,) = [step for step in error["steps"] if "SELECT ctid" in step]
    with server.connect(database) as session:
        found = session.execute(step[step.index("SELECT ctid") :].encode()).fetchall()
    assert "(0,2)" == found[0][0]
    (step,) = [step for step in error["steps"] if "--exclude-table-data" in step]
    name = step[step.index("the name ") + len("the name ") :]
    without = commands.run(*words, "--exclude-table-data", name)
    assert 0 == without.code, without.err
    assert {"beside": 10} == without.json["metadata"]["table_counts"]
