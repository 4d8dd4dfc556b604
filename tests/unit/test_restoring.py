"""In which order entries are given to pg_restore."""

from __future__ import annotations

import io

import pytest

from pgvow.archive import read_toc
from pgvow.postgres.restoring import waves
from tests.support.archives import Schema, Spec, Table, build


def _names(*parts: Schema | Table, rows_first: bool = False) -> list[list[str]]:
    entries = read_toc(io.BytesIO(build(Spec(parts=parts)))).entries
    divided = waves(entries, rows_first=rows_first)
    return [[f"{entry.desc} {entry.tag}" for entry in wave] for wave in divided]


def test_one_run_does() -> None:
    """Where every table's rows come with the table, pg_restore sees what has to wait for what."""
    (wave,) = _names(Schema("t"), Table("t"), Schema("k", "FK CONSTRAINT", section=4))
    assert ["ENCODING ENCODING", "TABLE t", "TABLE DATA t", "FK CONSTRAINT k"] == wave


def test_rows_of_an_extension_come_first() -> None:
    """Where an extension makes the table, nothing is made of its rows before all rows are there."""
    first, second = _names(
        Schema("e", "EXTENSION"),
        Table("t"),
        Schema("k", "FK CONSTRAINT", section=4),
        Schema("t", "ACL", section=1),
    )
    assert ["ENCODING ENCODING", "EXTENSION e", "TABLE DATA t"] == first
    assert ["FK CONSTRAINT k", "ACL t"] == second


def test_rows_come_first_where_they_are_read_next() -> None:
    """All rows, then indexes that need nothing later, then constraints and what leans on them."""
    rows, indexes, others = _names(
        Schema("t"),
        Table("t"),
        Schema("k", "CONSTRAINT", section=4),
        Schema("i", "INDEX", section=4),
        Schema("of i", "INDEX", depends_on=(10,), section=4),
        Schema("of k", "INDEX", depends_on=(9,), section=4),
        Schema("t", "ACL", section=1),
        rows_first=True,
    )
    assert ["ENCODING ENCODING", "TABLE t", "TABLE DATA t"] == rows
    assert ["INDEX i", "INDEX of i"] == indexes
    assert ["CONSTRAINT k", "INDEX of k", "ACL t"] == others


@pytest.mark.parametrize("rows_first", [False, True])
def test_event_triggers_come_last(*, rows_first: bool) -> None:
    """Nothing is made after an event trigger but others, and what is said of them."""
    *_, before, last = _names(
        Schema("e", "EVENT TRIGGER", section=4),
        Schema("EVENT TRIGGER e", "COMMENT", depends_on=(7,), section=4),
        Schema("f", "EVENT TRIGGER", section=4),
        Schema("t", "ACL", section=1),
        rows_first=rows_first,
    )
    assert "ACL t" == before[-1]
    assert ["EVENT TRIGGER e", "COMMENT EVENT TRIGGER e", "EVENT TRIGGER f"] == last


def test_views_that_row_security_may_hide_rows_from() -> None:
    """They are filled by themselves, after all that they read and before what would act on it."""
    views = (
        Schema("v", "MATERIALIZED VIEW DATA", section=4),
        Schema("e", "EVENT TRIGGER", section=4),
        Schema("w", "MATERIALIZED VIEW DATA", depends_on=(7,), section=4),
    )
    secured = Schema("t", "ROW SECURITY", section=4)
    assert 2 == len(_names(*views))
    _, filled, last = _names(*views, secured)
    assert ["MATERIALIZED VIEW DATA v", "MATERIALIZED VIEW DATA w"] == filled
    assert ["EVENT TRIGGER e"] == last


def test_what_may_be_a_default_is_there_before_rows() -> None:
    """Rows come by sessions that begin when the database's text search configuration is there."""
    parts = (
        Schema("c", "TEXT SEARCH CONFIGURATION"),
        Schema("t"),
        Table("t"),
        Schema("k", "CONSTRAINT", section=4),
    )
    made, rest = _names(*parts)
    assert "TEXT SEARCH CONFIGURATION c" in made
    assert ["TABLE DATA t", "CONSTRAINT k"] == rest
    assert "TABLE DATA t" in _names(*parts, rows_first=True)[0]
