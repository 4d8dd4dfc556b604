"""What a restored database should hold, from the metadata and the archive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.archive import read_archive
from pgvow.errors import CannotBeProven
from pgvow.model import DifferenceKind
from pgvow.operations.recorded_tables import with_tables
from pgvow.operations.verify.inspect import large_object_facts, sequence_facts, toc_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from pgvow.archive import CopyTarget, TocEntry
    from pgvow.model import Difference, Metadata, TableFacts

Target = tuple[str, str]
_MOST_NAMED = 5


def completed(metadata: Metadata, file: BinaryIO) -> Metadata:
    """Fill in what a backup without inspection, or of the contract's keys alone, did not record."""
    if metadata.toc is not None:
        return metadata
    contents = read_archive(file)
    metadata = with_tables(metadata, contents.toc.entries)
    found = {(one.entry.namespace, one.entry.tag): one for one in contents.tables}
    tables = (
        replace(table, bytes=one.size, fingerprint=one.fingerprint)
        if (one := found.get((table.schema, table.name)))
        else table
        for table in metadata.tables
    )
    return replace(
        metadata,
        tables=tuple(tables),
        toc=toc_facts(contents),
        large_objects=large_object_facts(contents),
        sequences=sequence_facts(contents),
    )


@dataclass(frozen=True, slots=True)
class Expected:
    """A table of the backup: what is recorded, its entry, and where its rows are loaded."""

    facts: TableFacts
    entry: TocEntry
    target: CopyTarget

    @property
    def is_loaded_through_root(self) -> bool:
        """Whether the rows of a partition are loaded through its root, and compared there."""
        own = (self.entry.namespace, self.entry.tag)
        return (self.target.schema or self.entry.namespace, self.target.name) != own


def by_root(expected: Iterable[Expected]) -> dict[Target, list[Expected]]:
    """Group tables by where their rows are loaded: most by themselves, some by their root."""
    groups: dict[Target, list[Expected]] = {}
    for one in expected:
        target = (one.target.schema or one.entry.namespace, one.target.name)
        groups.setdefault(target, []).append(one)
    return groups


def is_through_root(parts: Iterable[Expected]) -> bool:
    """Return whether these rows are loaded through a root, so that any of its leaves may have them.

    What decides on a row's partition may be another in each database: hashes of enums are.
    """
    return any(part.is_loaded_through_root for part in parts)


def refuse_unknown_text(differences: Sequence[Difference]) -> None:
    """Raise CannotBeProven where rows may be other text for the source's TimeZone alone."""
    if differences and all(one.kind is DifferenceKind.VALUES for one in differences):
        raise CannotBeProven(
            f"the rows of {', '.join(one.name for one in differences[:_MOST_NAMED])} read otherwise"
            " than in the dump, and its metadata do not tell the settings of the source, such as"
            " TimeZone, which may be all there is to it",
            steps=["Prove it on a server with the source's settings: pgvow prove FILE --on DSN"],
        )


def size_of(parts: Iterable[Expected]) -> int:
    """Return the bytes of text of some tables."""
    return sum(part.facts.bytes or 0 for part in parts)
