"""The tables that metadata tell of, also those that tell only of rows: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgvow.model import TableFacts
from pgvow.operations.table_names import PUBLIC, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pgvow.archive import TocEntry
    from pgvow.model import Metadata


def with_tables(metadata: Metadata, entries: Iterable[TocEntry]) -> Metadata:
    """Make ``tables`` of ``table_counts`` where there are no more than the contract's nine keys.

    A key is whose entry has it; one that no entry has stays a table, for it is to be missed.
    """
    if metadata.tables:
        return metadata
    return replace(metadata, tables=tuple(_tables(metadata.table_counts, entries)))


def _tables(counts: Mapping[str, int], entries: Iterable[TocEntry]) -> Iterator[TableFacts]:
    left = dict(counts)
    for entry in entries:
        if entry.is_table_data and (rows := left.pop(entry.key, None)) is not None:
            yield TableFacts(entry.namespace, entry.tag, rows, size_bytes=0)
    for key, rows in left.items():
        schema, name = parts_of(key) or (PUBLIC, key)
        yield TableFacts(schema, name, rows, size_bytes=0)
