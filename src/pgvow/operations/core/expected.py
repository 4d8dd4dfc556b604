"""The contents that a restored database should have, from the metadata and the archive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds, read_archive
from pgvow.errors import CannotBeProven
from pgvow.model import DifferenceKind, RecordedLargeObjects, TocFacts
from pgvow.operations.archived_tables import with_tables
from pgvow.operations.verify.inspect import large_object_facts, sequence_facts, toc_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from pgvow.archive import CopyTarget, TocEntry
    from pgvow.model import Difference, Metadata, RecordedTable

TableName = tuple[str, str]
"""A schema and a name."""
_MOST_NAMED = 5


def completed(metadata: Metadata, file: BinaryIO) -> Metadata:
    """Read from the archive everything that the metadata do not record.

    They lack it after a backup without inspection, and if they have the contract's keys alone.
    """
    if metadata.toc is not None:
        return metadata
    contents = read_archive(file)
    metadata = with_tables(metadata, contents.toc.entries)
    read = {(table.entry.namespace, table.entry.tag): table for table in contents.tables}
    tables = (
        replace(facts, bytes=table.size, fingerprint=table.fingerprint)
        if (table := read.get((facts.schema, facts.name)))
        else facts
        for facts in metadata.tables
    )
    return replace(
        metadata,
        tables=tuple(tables),
        toc=toc_facts(contents),
        large_objects=large_object_facts(contents),
        sequences=sequence_facts(contents),
    )


def only_of(metadata: Metadata, entries: Iterable[TocEntry]) -> Metadata:
    """Return the metadata of a part: of the tables and sequences whose data these entries have."""
    entries = tuple(entries)
    keys = {entry.key for entry in entries if entry.is_table_data}
    sequences = {
        (entry.namespace, entry.tag) for entry in entries if entry.desc == kinds.SEQUENCE_SET
    }
    return replace(
        metadata,
        tables=tuple(table for table in metadata.tables if table.key in keys),
        sequences=tuple(
            each for each in metadata.sequences if (each.schema, each.name) in sequences
        ),
        large_objects=RecordedLargeObjects(0, 0, "0" * 32),
        # Without it ``completed`` would read everything from the archive, chosen or not.
        toc=metadata.toc or TocFacts("", 0),
    )


@dataclass(frozen=True, slots=True)
class ExpectedTable:
    """A table of the backup: its facts, its entry, and the table that its rows are loaded into."""

    facts: RecordedTable
    entry: TocEntry
    target: CopyTarget

    @property
    def loaded_into(self) -> TableName:
        """The table of the COPY statement: mostly itself, or the root of a partition."""
        return self.target.schema or self.entry.namespace, self.target.name

    @property
    def is_loaded_through_root(self) -> bool:
        """Whether the rows of a partition are loaded through its root, and compared there."""
        return self.loaded_into != (self.entry.namespace, self.entry.tag)


def by_root(expected: Iterable[ExpectedTable]) -> dict[TableName, list[ExpectedTable]]:
    """Group tables by the table that their rows are loaded into."""
    groups: dict[TableName, list[ExpectedTable]] = {}
    for table in expected:
        groups.setdefault(table.loaded_into, []).append(table)
    return groups


def is_through_root(parts: Iterable[ExpectedTable]) -> bool:
    """Return whether these rows are loaded through a root, so that any of its leaves may have them.

    A row may belong to another partition in each database: hashes of enums differ.
    """
    return any(part.is_loaded_through_root for part in parts)


def refuse_unknown_text(differences: Sequence[Difference]) -> None:
    """Raise CannotBeProven if the source's TimeZone alone may make rows another text."""
    if differences and all(each.kind is DifferenceKind.VALUES for each in differences):
        raise CannotBeProven(
            f"the rows of {', '.join(each.name for each in differences[:_MOST_NAMED])} read"
            " otherwise than in the dump, and its metadata do not tell the settings of the source,"
            " such as TimeZone, which may be all there is to it",
            steps=["Prove it on a server with the source's settings: pgvow prove FILE --on DSN"],
        )


def size_of(parts: Iterable[ExpectedTable]) -> int:
    """Return the bytes of text of some tables."""
    return sum(part.facts.bytes or 0 for part in parts)
