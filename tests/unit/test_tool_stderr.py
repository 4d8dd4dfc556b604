"""Of a program's standard error the part with the cause is kept."""

from __future__ import annotations

from pgvow.postgres.tool_stderr import StderrExcerpt, without_statement

_COLUMNS = [f"c{number} text,\n" for number in range(1000)]
_REFUSED = [
    "pg_restore: while PROCESSING TOC:\n",
    "pg_restore: from TOC entry 215; 1259 16390 TABLE wide postgres\n",
    'pg_restore: error: could not execute query: ERROR:  type "public.kind" does not exist\n',
    "LINE 2:     k public.kind,\n",
    "            ^\n",
]


def _said(*lines: str) -> StderrExcerpt:
    complaints = StderrExcerpt()
    for line in lines:
        complaints.add(line)
    return complaints


def test_a_long_statement_keeps_the_servers_words() -> None:
    """The server's words stay, the beginning of the statement, and the lines after it."""
    ended = "pg_restore: error: a worker process died unexpectedly\n"
    text = _said(*_REFUSED, "Command was: CREATE TABLE wide (\n", *_COLUMNS, ended).text()
    kept = [*_REFUSED, "Command was: CREATE TABLE wide (\n", *_COLUMNS[:9], "…\n", ended]
    assert "".join(kept).strip() == text


def test_query_and_detail_of_pg_dump_are_recognized() -> None:
    """pg_dump calls a statement a query, and a detail."""
    query = "pg_dump: detail: Query was: SELECT\n"
    text = _said("pg_dump: error: query failed: ERROR:  no\n", query, *_COLUMNS).text()
    assert 12 == len(text.splitlines())
    assert text.startswith("pg_dump: error: query failed: ERROR:  no\n")


def test_an_error_after_many_lines_is_kept() -> None:
    """However many lines come first, the server's words are among the last."""
    notices = ["NOTICE:  here\n"] * 5000
    text = _said(*notices, *_REFUSED, "Command was: CREATE TABLE\n", *_COLUMNS).text()
    assert "".join(_REFUSED) in text


def test_an_error_before_many_lines_is_kept() -> None:
    """And among the first if a function's text comes behind them."""
    assert _said(*_REFUSED, *_COLUMNS).text().startswith("".join(_REFUSED))


def test_an_error_is_returned_once() -> None:
    """Twice the same is never told."""
    complaints = _said("one\n", "two\n")
    assert ["one\ntwo", "", ""] == [complaints.take(), complaints.take(), complaints.text()]
    complaints.add("three\n")
    assert "three" == complaints.take()


def test_the_statement_can_be_left_out() -> None:
    """The server's error, without the statement."""
    words = "".join(_REFUSED).strip()
    assert words == without_statement("".join([*_REFUSED, "Command was: CREATE\n", "TABLE x\n"]))
    assert "no statement" == without_statement("no statement")
