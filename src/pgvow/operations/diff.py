"""Compare two backups without a server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from pgvow.archive import kinds
from pgvow.model import in_one_order
from pgvow.operations.show.contents import read_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from pgvow.archive import SequencePosition, TableOfContents, TocEntry
    from pgvow.operations.context import Context
    from pgvow.operations.show.contents import BackupFacts, LargeObjectTotals, ShownTable
    from pgvow.store import StoredBackup


T = TypeVar("T")


class SchemaObject(NamedTuple):
    """The identity of an object in a table of contents."""

    kind: str
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """One thing that both backups have, before and after."""

    before: T
    after: T


@dataclass(frozen=True, slots=True)
class Changes(Generic[T]):
    """The things in the newer backup only, in the older only, and in both but different."""

    added: tuple[T, ...]
    gone: tuple[T, ...]
    changed: tuple[Changed[T], ...]
    unchanged: int

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.changed)


@dataclass(frozen=True, slots=True)
class Definition:
    """A schema object and its definition: statement, owner, tablespace and access method."""

    identity: SchemaObject
    statements: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class BackupDiff:
    """All that changed from ``older`` to ``newer``.

    ``warnings`` are the reasons for which equal data can look changed.
    """

    older: BackupFacts
    newer: BackupFacts
    tables: Changes[ShownTable]
    objects: Changes[Definition]
    sequences: Changes[SequencePosition]
    large_objects: Changed[LargeObjectTotals | None] | None
    warnings: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing changed."""
        return not (self.tables or self.objects or self.sequences or self.large_objects)


def diff_backups(older: StoredBackup, newer: StoredBackup, context: Context) -> BackupDiff:
    """Compare two backups; archives are read only if their metadata lack fingerprints.

    Raises as ``read_facts`` does for either.
    """
    before = read_facts(older, progress=context.reporter, fingerprints=True)
    after = read_facts(newer, progress=context.reporter, fingerprints=True)
    return compare_facts(before, after)


def compare_facts(before: BackupFacts, after: BackupFacts) -> BackupDiff:
    """Set the facts of two backups beside each other."""
    objects = before.large_objects, after.large_objects
    return BackupDiff(
        older=before,
        newer=after,
        tables=_changes(before.tables, after.tables, by=_table, alike=_alike),
        objects=_changes(_definitions(before.toc), _definitions(after.toc), by=_identity),
        sequences=_changes(before.sequences, after.sequences, by=_sequence),
        large_objects=None if objects[0] == objects[1] else Changed(*objects),
        warnings=tuple(_warnings(before, after)),
    )


def _table(table: ShownTable) -> tuple[str, str]:
    return table.schema, table.name


def _sequence(sequence: SequencePosition) -> tuple[str, str]:
    return sequence.schema, sequence.name


def _identity(definition: Definition) -> SchemaObject:
    return definition.identity


def _alike(one: ShownTable, other: ShownTable) -> bool:
    """Compare a table's contents in two archives; its size on a server is none of them."""
    return (one.rows, one.bytes, one.fingerprint) == (other.rows, other.bytes, other.fingerprint)


def _equal(one: T, other: T) -> bool:
    return one == other


def _changes(
    before: Iterable[T],
    after: Iterable[T],
    *,
    by: Callable[[T], Hashable],
    alike: Callable[[T, T], bool] = _equal,
) -> Changes[T]:
    old = {by(each): each for each in before}
    new = {by(each): each for each in after}
    both = [(each, new[name]) for name, each in old.items() if name in new]
    changed = tuple(Changed(*pair) for pair in both if not alike(*pair))
    return Changes(
        added=tuple(each for name, each in new.items() if name not in old),
        gone=tuple(each for name, each in old.items() if name not in new),
        changed=changed,
        unchanged=len(both) - len(changed),
    )


def _definitions(toc: TableOfContents) -> list[Definition]:
    """Gather the definitions of each object: several grants, for example, may have one name."""
    defined: dict[SchemaObject, list[tuple[str, str, str, str]]] = defaultdict(list)
    for entry in toc.entries:
        if entry.desc not in kinds.DATA:
            defined[SchemaObject(entry.desc, entry.namespace, entry.tag)].append(_statement(entry))
    return [
        Definition(identity, tuple(sorted(statements))) for identity, statements in defined.items()
    ]


def _statement(entry: TocEntry) -> tuple[str, str, str, str]:
    return entry.defn, entry.owner, entry.tablespace, entry.table_am


def _warnings(before: BackupFacts, after: BackupFacts) -> Iterable[str]:
    """Yield the reasons for which equal data can look changed, or the other way round."""
    old, new = before.metadata, after.metadata
    if old and new and old.backup_timestamp > new.backup_timestamp:
        yield "the first backup is the newer one: what is called added was there before"
    majors = [_major(facts.toc.header.pg_dump_version) for facts in (before, after)]
    if majors[0] != majors[1]:
        yield (
            f"pg_dump {majors[0]} and pg_dump {majors[1]} may write the same definition differently"
        )
    if old and new and in_one_order(old.selection) != in_one_order(new.selection):
        yield "they are of different parts of the database: what is gone or new may be for that"
    if old and new:
        yield from _settings_warnings(old.settings, new.settings)


def _settings_warnings(old: Mapping[str, str], new: Mapping[str, str]) -> Iterable[str]:
    differing = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    if differing:
        yield f"rows may be written differently, for settings differ: {', '.join(differing)}"


def _major(version: str) -> str:
    return version.partition(".")[0]
