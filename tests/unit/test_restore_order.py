"""In which order entries are given to pg_restore."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from pgvow.postgres.database_settings import options_for
from pgvow.postgres.restore_order import Stage, waves
from tests.support.archives import Schema, Spec, Table, build

if TYPE_CHECKING:
    from collections.abc import Collection


def _names(*parts: Schema | Table, jobs: int = 2, above: Collection[int] = ()) -> list[list[str]]:
    entries = read_toc(io.BytesIO(build(Spec(parts=parts)))).entries
    divided = waves(entries, jobs=jobs, above=above)
    return [[f"{entry.desc} {entry.tag}" for entry in wave.entries] for wave in divided]


def test_check_constraints_come_after_the_last_row() -> None:
    """A domain's check has no dependency on rows, and still waits for all of them."""
    rows, conditions = _names(
        Schema("d", "DOMAIN"),
        Schema("c", "CHECK CONSTRAINT", section=4),
        Table("t"),
    )
    assert ["ENCODING ENCODING", "DOMAIN d", "TABLE DATA t"] == rows
    assert ["CHECK CONSTRAINT c"] == conditions


def test_rows_then_indexes_then_constraints() -> None:
    """All rows, then indexes that need nothing later, then constraints and their dependents."""
    rows, indexes, others = _names(
        Schema("t"),
        Table("t"),
        Schema("k", "CONSTRAINT", section=4),
        Schema("i", "INDEX", section=4),
        Schema("of i", "INDEX", depends_on=(10,), section=4),
        Schema("of k", "INDEX", depends_on=(9,), section=4),
        Schema("t", "ACL", section=1),
    )
    assert ["ENCODING ENCODING", "TABLE t", "TABLE DATA t"] == rows
    assert ["INDEX i", "INDEX of i"] == indexes
    assert ["CONSTRAINT k", "INDEX of k", "ACL t"] == others


def test_event_triggers_come_last() -> None:
    """Nothing is made after an event trigger but others, and the comments on them."""
    *_, before, last = _names(
        Schema("e", "EVENT TRIGGER", section=4),
        Schema("EVENT TRIGGER e", "COMMENT", depends_on=(7,), section=4),
        Schema("f", "EVENT TRIGGER", section=4),
        Schema("t", "ACL", section=1),
    )
    assert "ACL t" == before[-1]
    assert ["EVENT TRIGGER e", "COMMENT EVENT TRIGGER e", "EVENT TRIGGER f"] == last


def test_views_are_filled_after_all_that_they_read() -> None:
    """They come after all that they read, and before entries that would act on it."""
    _, made, filled, last = _names(
        Schema("v", "MATERIALIZED VIEW DATA", section=4),
        Schema("e", "EVENT TRIGGER", section=4),
        Schema("w", "MATERIALIZED VIEW DATA", depends_on=(7,), section=4),
        Schema("t", "ACL", section=1),
    )
    assert ["ACL t"] == made
    assert ["MATERIALIZED VIEW DATA v", "MATERIALIZED VIEW DATA w"] == filled
    assert ["EVENT TRIGGER e"] == last


def test_a_single_transaction_has_the_default_configuration_before_rows() -> None:
    """Rows come by a session that begins when the text search configuration is there."""
    parts = (
        Schema("c", "TEXT SEARCH CONFIGURATION"),
        Schema("t"),
        Table("t"),
        Schema("k", "CONSTRAINT", section=4),
    )
    made, rows, _ = _names(*parts, jobs=1)
    assert "TEXT SEARCH CONFIGURATION c" in made
    assert ["TABLE DATA t"] == rows
    assert "TABLE DATA t" in _names(*parts)[0]


def test_each_role_restores_in_waves_of_its_own() -> None:
    """Entries of a superuser are in waves of their own, between those of the other role."""
    parts = (Schema("e", "EXTENSION"), Schema("t"), Table("t"))
    numbers = {e.dump_id for e in read_toc(io.BytesIO(build(Spec(parts=parts)))).entries[1:2]}
    assert [["ENCODING ENCODING"], ["EXTENSION e"], ["TABLE t", "TABLE DATA t"]] == _names(
        *parts, above=numbers
    )


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Stage.ROWS, True),
        (Stage.VIEWS, False),
    ],
)
def test_rows_are_loaded_with_array_nulls_on(stage: Stage, *, expected: bool) -> None:
    """Rows are read with array_nulls on; views are computed under the database's own settings."""
    assert expected == ("array_nulls=on" in options_for(stage))
