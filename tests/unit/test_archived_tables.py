"""The tables of metadata that tell of rows alone."""

from __future__ import annotations

import io
from dataclasses import replace

from pgvow.archive import read_toc
from pgvow.model import RecordedTable
from pgvow.operations.archived_tables import with_tables
from tests.support.archives import Spec, Table, build
from tests.support.backups import metadata

_TABLES = (Table("orders"), Table("log", schema="audit"), Table("a.b", schema='c"d'))
_TOC = read_toc(io.BytesIO(build(Spec(parts=_TABLES))))


def test_each_count_finds_its_archive_entry() -> None:
    """Each count is of the entry whose key it is, whatever has to be quoted in that."""
    counts = {"orders": 3, "audit.log": 0, '"c""d"."a.b"': 7}
    nine = replace(metadata(), tables=(), table_counts=counts)
    expected = (
        RecordedTable("public", "orders", 3, 0),
        RecordedTable("audit", "log", 0, 0),
        RecordedTable('c"d', "a.b", 7, 0),
    )
    assert expected == with_tables(nine, _TOC.entries).tables


def test_a_count_without_an_entry_is_a_missing_table() -> None:
    """A table that only the counts have is missed, by its own name; one of neither is not made."""
    nine = replace(metadata(), tables=(), table_counts={'x."y z"': 1, "gone": 2, "": 3})
    expected = (
        RecordedTable("x", "y z", 1, 0),
        RecordedTable("public", "gone", 2, 0),
        RecordedTable("public", "", 3, 0),
    )
    assert expected == with_tables(nine, _TOC.entries).tables


def test_recorded_tables_are_unchanged() -> None:
    """Metadata of ours are not touched."""
    assert metadata() == with_tables(metadata(), _TOC.entries)
