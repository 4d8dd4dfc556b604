"""What of an archive is restored: the entries that pg_restore gets, and those that we see to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.errors import VerificationFailed
from pgvow.operations.table_names import TableNames
from pgvow.postgres.pg_restore import fails_harmlessly
from pgvow.postgres.statements import setting_of, statements, without_setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.statements import Statement

_ON_DATABASE = frozenset({kinds.ACL, kinds.SECURITY_LABEL})
_TABLESPACE = "TABLESPACE"


@dataclass(frozen=True, slots=True)
class DatabaseDefinition:
    """The database itself, as the archive has it: ``pg_restore`` without ``-C`` leaves it out.

    ``properties`` are its settings, its connection limit and its grants, under its old name.
    """

    create: Statement
    owner: str
    properties: tuple[Statement, ...]
    comment: Statement | None

    @property
    def tablespace(self) -> str | None:
        """Where it was; None for the server's default."""
        return setting_of(self.create, _TABLESPACE)

    def without_tablespace(self) -> DatabaseDefinition:
        """Put it where the server puts databases."""
        return replace(self, create=without_setting(self.create, _TABLESPACE))


@dataclass(frozen=True, slots=True)
class Selection:
    """What pg_restore restores, in the archive's order, and what we run after it.

    ``left_out`` are the entries that would fail harmlessly; ``cut_off`` are those of the chosen
    tables that need another, which was not chosen.
    """

    entries: tuple[TocEntry, ...]
    left_out: tuple[TocEntry, ...]
    cut_off: tuple[TocEntry, ...] = ()


def database_definition(toc: TableOfContents) -> DatabaseDefinition:
    """Find what the archive says of the database itself; raises VerificationFailed."""
    database = next((entry for entry in toc.entries if entry.desc == kinds.DATABASE), None)
    if database is None:
        raise VerificationFailed(
            "the archive does not say how its database was made",
            steps=["Create the database, then restore it by hand: pg_restore -j 2 -d NAME FILE"],
        )
    on_it = [entry for entry in toc.entries if database.dump_id in entry.dependencies]
    properties = [
        *(entry for entry in toc.entries if entry.desc == kinds.DATABASE_PROPERTIES),
        *(entry for entry in on_it if entry.desc in _ON_DATABASE),
    ]
    comments = [entry for entry in on_it if entry.desc == kinds.COMMENT]
    return DatabaseDefinition(
        create=next(statements(database.defn)),
        owner=database.owner,
        properties=tuple(_all_statements(properties)),
        comment=next(_all_statements(comments), None),
    )


def _all_statements(entries: Iterable[TocEntry]) -> Iterator[Statement]:
    for entry in entries:
        yield from statements(entry.defn)


def select(toc: TableOfContents, tables: Sequence[str] = (), *, superuser: bool) -> Selection:
    """Choose everything, or only tables by name, with what they need and what hangs on them.

    Raises UnknownTable where a name is not that of one table of the archive.
    """
    on_database = {entry.dump_id for entry in toc.entries if entry.desc in kinds.OF_DATABASE}
    candidates = [
        entry
        for entry in toc.entries
        if entry.desc not in kinds.PREAMBLE
        and entry.dump_id not in on_database
        and on_database.isdisjoint(entry.dependencies)
    ]
    cut_off: tuple[TocEntry, ...] = ()
    if tables:
        chosen = _Chosen(candidates)
        chosen.take(_find(candidates, tables))
        cut_off = chosen.cut_off()
        candidates = [entry for entry in candidates if entry.dump_id in chosen.ids]
    fails = {one.dump_id for one in candidates if fails_harmlessly(one, superuser=superuser)}
    return Selection(
        entries=tuple(entry for entry in candidates if entry.dump_id not in fails),
        left_out=tuple(entry for entry in candidates if entry.dump_id in fails),
        cut_off=cut_off,
    )


def _find(candidates: Sequence[TocEntry], tables: Sequence[str]) -> list[TocEntry]:
    known = TableNames(tuple(entry for entry in candidates if entry.desc in kinds.TABLES))
    return [known.find(name) for name in tables]


class _Chosen:
    """Some tables, grown by what they need and what hangs on them."""

    def __init__(self, candidates: Sequence[TocEntry]) -> None:
        self.ids: set[int] = set()
        self._candidates = candidates
        self._by_id = {entry.dump_id: entry for entry in candidates}
        self._schemas = {entry.tag: entry for entry in candidates if entry.desc == kinds.SCHEMA}
        self._dependants: defaultdict[int, list[TocEntry]] = defaultdict(list)
        for entry in candidates:
            for dump_id in entry.dependencies:
                self._dependants[dump_id].append(entry)

    def take(self, tables: Iterable[TocEntry]) -> None:
        """Take tables with their partitions, all they need, and all that hangs on what is taken."""
        taken = {entry.dump_id for entry in self._with_partitions(tables)}
        self.ids |= self._needed(taken)
        grown = True
        while grown:
            hanging = self._hanging()
            grown = not hanging <= self.ids
            self.ids |= hanging

    def cut_off(self) -> tuple[TocEntry, ...]:
        """What belongs to the tables that are taken, and is not."""
        tables = {
            (entry.namespace, entry.tag)
            for entry in map(self._by_id.__getitem__, self.ids)
            if entry.desc in kinds.RELATIONS
        }
        return tuple(
            entry
            for entry in self._candidates
            if entry.dump_id not in self.ids
            and entry.desc in kinds.TAGGED_BY_TABLE
            and any(
                (entry.namespace, entry.tag[:end]) in tables
                for end, letter in enumerate(entry.tag)
                if letter == " "
            )
        )

    def _with_partitions(self, tables: Iterable[TocEntry]) -> Iterator[TocEntry]:
        waiting = list(tables)
        while waiting:
            table = waiting.pop()
            yield table
            for attach in self._dependants[table.dump_id]:
                if attach.desc == kinds.TABLE_ATTACH and attach.name != table.name:
                    waiting.extend(
                        entry
                        for entry in map(self._by_id.get, attach.dependencies)
                        if entry and entry.desc in kinds.TABLES and entry.name == attach.name
                    )

    def _needed(self, ids: Iterable[int]) -> set[int]:
        """Everything that these need, directly or not, and themselves."""
        needed: set[int] = set()
        waiting = [self._by_id[dump_id] for dump_id in ids]
        while waiting:
            entry = waiting.pop()
            if entry.dump_id in needed:
                continue
            needed.add(entry.dump_id)
            above = [*map(self._by_id.get, entry.dependencies), self._schemas.get(entry.namespace)]
            waiting.extend(one for one in above if one is not None)
        return needed

    def _hanging(self) -> set[int]:
        """What hangs on what is taken, with all it needs, unless that brings another table in."""
        found: set[int] = set()
        for dump_id in tuple(self.ids):
            for entry in self._dependants[dump_id]:
                if entry.dump_id in self.ids or entry.desc not in kinds.PARTS_OF_TABLE:
                    continue
                needed = self._needed([entry.dump_id])
                more = needed - self.ids
                if not any(self._by_id[one].desc in kinds.RELATIONS for one in more):
                    found |= needed
        return found
