"""An unchanged database gives the same bytes of every table, with any number of workers."""

from __future__ import annotations

import fcntl
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgvow.postgres import psql_session
from pgvow.postgres.process import RunningTool
from pgvow.postgres.psql_session import CopySession
from tests.support.engines import (
    dump_by_pg_dump,
    dump_in_parallel,
    programs_of,
    script_of,
    target_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.engine import FilledArchive
    from tests.support.servers import TestServer

_SETUP = """
CREATE TABLE tall AS
SELECT n, md5(n::text) || md5((-n)::text) AS bytes FROM generate_series(1, 150000) AS n;
DELETE FROM tall WHERE n BETWEEN 60000 AND 120000;
CREATE TABLE wide (n integer, text text);
ALTER TABLE wide ALTER COLUMN text SET STORAGE EXTERNAL;
INSERT INTO wide SELECT n, repeat(md5(n::text), 1000) FROM generate_series(1, 400) AS n;
CREATE TABLE empty (n integer);
CREATE TABLE small AS SELECT n FROM generate_series(1, 10) AS n;
"""
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, Linux
_PIECE = 2 << 20


def stored(filled: FilledArchive) -> dict[str, str]:
    """The digest of each table's block."""
    assert filled.contents is not None
    return {table.entry.tag: table.stored.digest for table in filled.contents.tables}


@pytest.mark.majors(15, 18)
def test_an_unchanged_database_gives_the_same_bytes_with_any_workers(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Twice, with 1, 2 and 4 workers: several segments, TOAST, holes, nothing."""
    server.psql(database, _SETUP)
    compress = "gzip" if server.major < 16 else "zstd"
    found = []
    for number, jobs in enumerate((1, 2, 2, 4)):
        path = tmp_path / f"{number}.dump"
        found.append(dump_in_parallel(server, database, path, compress=compress, jobs=jobs))
    first = found[0]
    assert {"tall", "wide", "empty", "small"} == stored(first).keys()
    assert [stored(first)] * 4 == [stored(one) for one in found]
    cut = {facts.name: (facts.blocks, facts.segment_blocks) for facts in first.facts.values()}
    blocks, step = cut["tall"]
    assert blocks is not None
    assert step
    assert blocks > 3 * step
    assert (cut["wide"][1] or 0) < step  # its rows are elsewhere
    reference = dump_by_pg_dump(server, database, tmp_path / "reference")
    assert script_of(server, reference) == script_of(server, tmp_path / "3.dump")


@pytest.mark.majors(18)
def test_a_changed_row_gives_other_bytes(server: TestServer, database: str, tmp_path: Path) -> None:
    """The comparison above turns red; and tables that did not change keep theirs."""
    server.psql(database, _SETUP)
    before = stored(dump_in_parallel(server, database, tmp_path / "before"))
    server.psql(database, "UPDATE tall SET bytes = 'x' WHERE n = 5")
    after = stored(dump_in_parallel(server, database, tmp_path / "after"))
    assert {"tall"} == {name for name, digest in after.items() if digest != before[name]}


@pytest.mark.majors(15, 18)
def test_answers_near_the_buffer_size_are_cut_and_counted_right(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Answers about as long as a buffer: whole, in pieces of the same size, rows counted right."""
    target = target_of(server, database)
    lengths = [_PIECE + more for more in (-60, -30, -2, -1, 0, 1, 2, 25, 26, 27, 30, 60, _PIECE)]
    with (
        target.connect("test") as session,
        CopySession(target, programs_of(server), session, watched=False) as copy,
    ):
        copy.prepare()
        for length in lengths:
            statement = f"COPY (SELECT repeat('x', {length - 1})) TO STDOUT"
            copy.send(copy.constant(statement.encode()))
            pieces = list(copy.receive(_PIECE))
            assert [_PIECE] * (len(pieces) - 1) == [len(piece) for piece in pieces[:-1]]
            assert b"x" * (length - 1) + b"\n" == b"".join(pieces)
            for piece in pieces:  # as whoever counts its rows relies on
                assert isinstance(piece.obj, bytearray)
                assert bytes(piece) == bytes(piece.obj[: len(piece)])
        assert "1" == copy.execute(b"SELECT 1")


@pytest.mark.majors(18)
def test_queued_small_answers_keep_no_large_buffers(server: TestServer, database: str) -> None:
    """Thousands of them may wait for their turn."""
    target = target_of(server, database)
    with (
        target.connect("test") as session,
        CopySession(target, programs_of(server), session, watched=False) as copy,
    ):
        copy.prepare()
        for length in (1, 1000, _PIECE // 2, _PIECE + 100):
            statement = f"COPY (SELECT repeat('x', {length})) TO STDOUT"
            copy.send(copy.constant(statement.encode()))
            for piece in copy.receive(_PIECE):
                assert isinstance(piece.obj, bytearray)
                assert len(piece.obj) <= 3 * len(piece)


def test_a_copy_that_fails_midway_has_its_sqlstate(server: TestServer, database: str) -> None:
    """It is told with its SQLSTATE: not every psql knows that there was an error."""
    target = target_of(server, database)
    failing = b"COPY (SELECT 1 / (5000 - n) FROM generate_series(1, 10000) AS n) TO STDOUT"
    with (
        target.connect("test") as session,
        CopySession(target, programs_of(server), session, watched=False) as copy,
    ):
        copy.prepare()
        copy.end_at_errors()
        copy.send(copy.constant(failing) + copy.constant(b"SELECT 1"))
        with pytest.raises(psycopg.errors.DivisionByZero, match=r"^division by zero$"):
            list(copy.receive(_PIECE))


@pytest.mark.majors(15, 18)
def test_notices_are_not_taken_for_the_error(server: TestServer, database: str) -> None:
    """Notices and debug messages of a server are not taken for the error."""
    target = target_of(server, database)
    failing = rb"""DO $$ BEGIN RAISE NOTICE E'two\nlines'; RAISE INFO 'i'; RAISE DEBUG 'd';
        RAISE EXCEPTION 'this' USING HINT = 'that'; END $$"""
    with (
        target.connect("test") as session,
        CopySession(target, programs_of(server), session, watched=False) as copy,
    ):
        copy.prepare()
        copy.execute(b"SET client_min_messages = debug1")
        with pytest.raises(psycopg.errors.RaiseException, match=r"^this\nHINT:  that$"):
            copy.execute(failing)


@pytest.mark.majors(15, 18)
def test_a_failed_statement_does_not_end_the_session(server: TestServer, database: str) -> None:
    """Until then an error ends nothing: a lock that was not granted is tried again."""
    target = target_of(server, database)
    with (
        target.connect("test") as session,
        CopySession(target, programs_of(server), session, watched=False) as copy,
    ):
        copy.prepare()
        with pytest.raises(psycopg.errors.UndefinedTable, match=r'^relation "nowhere" does not'):
            copy.execute(b"SELECT FROM nowhere")
        assert "1" == copy.execute(b"SELECT 1")


def test_data_that_looks_like_a_mark_is_not_the_end(server: TestServer, database: str) -> None:
    """The byte that begins a mark is no end if something else follows it."""
    target = target_of(server, database)
    with (
        target.connect("test") as session,
        CopySession(target, programs_of(server), session, watched=False) as copy,
    ):
        copy.prepare()
        assert "a\v" + "b" * 99 + "\vc" == copy.execute(
            rb"SELECT E'a\013' || repeat('b', 99) || E'\013c'"
        )
        copy.send(copy.constant(rb"COPY (SELECT E'a\013b') TO STDOUT"))
        assert [b"a\\vb\n"] == [bytes(piece) for piece in copy.receive(_PIECE)]


class _ToolWithSmallPipes(RunningTool):
    """One whose pipes have a page each, as those of somebody who has too many already."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        super().__init__(argv, **options)
        for pipe in (self.stdin, self.stdout):
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, 4096)


@pytest.mark.majors(18)
@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform != "linux", reason="pipes have no size elsewhere")
def test_pipes_of_one_page_cause_no_deadlock(
    server: TestServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent ahead that psql could not read: neither side waits for ever."""
    server.psql(
        database,
        "DO $do$ BEGIN FOR n IN 1..200 LOOP"
        " EXECUTE format('CREATE TABLE small_%s AS SELECT repeat(''x'', 9000) AS text', n);"
        " END LOOP; END $do$",
    )
    monkeypatch.setattr(psql_session, "RunningTool", _ToolWithSmallPipes)
    monkeypatch.setattr(psql_session, "_widen", lambda _: None)
    filled = dump_in_parallel(server, database, tmp_path / "dump")
    assert [1] * 200 == [facts.rows for facts in filled.facts.values()]


@pytest.mark.majors(18)
def test_long_statements_and_answers_cause_no_deadlock(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """More of both than pipes hold: neither side waits for the other for ever."""
    columns = ", ".join(f"{'column':_>40}_{number} integer" for number in range(100))
    server.psql(
        database,
        "DO $do$ BEGIN FOR n IN 1..60 LOOP"
        f" EXECUTE format('CREATE TABLE wide_%s (text text, {columns})', n);"
        " EXECUTE format('INSERT INTO wide_%s SELECT repeat(''x'', 200000)', n);"
        " END LOOP; END $do$",
    )
    filled = dump_in_parallel(server, database, tmp_path / "dump")
    assert [1] * 60 == [facts.rows for facts in filled.facts.values()]
