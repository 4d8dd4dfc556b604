"""The entries of an archive that are restored, the database's own definition, and owner maps.

``--owner-map`` gives to another role all that a role owned or was granted; the old one need not
exist. First everything is restored as by ``--no-owner``, without the entries that name roles. Then
``core.fill`` writes an archive that has the new roles' names and no definitions, and pg_restore
itself makes each ALTER … OWNER TO of it, for all kinds of objects that it knows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.errors import ConfigurationError, Problem, VerificationFailed
from pgvow.operations.archived_tables import TablesByName
from pgvow.postgres.pg_restore import fails_harmlessly
from pgvow.postgres.statements import setting_of, statements, with_roles, without_setting, written
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.statements import Statement

_ON_DATABASE = frozenset({kinds.ACL, kinds.SECURITY_LABEL})
_NAMING_ROLES = kinds.NAMING_ROLES | {kinds.DATABASE_PROPERTIES}
_TABLESPACE = "TABLESPACE"


@dataclass(frozen=True, slots=True)
class DatabaseDefinition:
    """The archive's definition of the database itself, which pg_restore without ``-C`` leaves out.

    ``properties`` are its settings, its connection limit and its grants, under its old name.
    """

    create: Statement
    owner: str
    properties: tuple[Statement, ...]
    comment: Statement | None

    @property
    def tablespace(self) -> str | None:
        """Its tablespace at the source; None if it was the server's default."""
        return setting_of(self.create, _TABLESPACE)

    def without_tablespace(self) -> DatabaseDefinition:
        """Return the definition without its tablespace: the server's default takes its place."""
        return replace(self, create=without_setting(self.create, _TABLESPACE))


@dataclass(frozen=True, slots=True)
class Selection:
    """The entries that pg_restore gets, in the archive's order, and those that it does not get.

    ``left_out`` would fail there, and are applied by us; ``cut_off`` belong to a chosen table and
    need another, which was not chosen.
    """

    entries: tuple[TocEntry, ...]
    left_out: tuple[TocEntry, ...]
    cut_off: tuple[TocEntry, ...] = ()


def database_definition(toc: TableOfContents) -> DatabaseDefinition:
    """Return the definition of the database itself; raises VerificationFailed if there is none."""
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
    """Choose all entries, or tables by name, with all they need and all that belongs to them.

    Raises UnknownTable if a name does not mean exactly one table of the archive.
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
        known = TablesByName(tuple(entry for entry in candidates if entry.desc in kinds.TABLES))
        chosen = _ChosenTables(candidates)
        chosen.take([known.find(name) for name in tables])
        cut_off = chosen.cut_off()
        candidates = [entry for entry in candidates if entry.dump_id in chosen.ids]
    fails = {each.dump_id for each in candidates if fails_harmlessly(each, superuser=superuser)}
    return Selection(
        entries=tuple(entry for entry in candidates if entry.dump_id not in fails),
        left_out=tuple(entry for entry in candidates if entry.dump_id in fails),
        cut_off=cut_off,
    )


class _ChosenTables:
    """The numbers of the entries that come with some tables: ``ids``."""

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
        """Take tables, their partitions, all that they need, and all that belongs to these."""
        taken = {entry.dump_id for entry in self._with_partitions(tables)}
        self.ids |= self._needed(taken)
        grown = True
        while grown:
            belonging = self._belonging()
            grown = not belonging <= self.ids
            self.ids |= belonging

    def cut_off(self) -> tuple[TocEntry, ...]:
        """Return the entries that belong to a table that was taken, and were not taken."""
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
        """Return these and everything that they need, directly or not."""
        needed: set[int] = set()
        waiting = [self._by_id[dump_id] for dump_id in ids]
        while waiting:
            entry = waiting.pop()
            if entry.dump_id in needed:
                continue
            needed.add(entry.dump_id)
            above = [*map(self._by_id.get, entry.dependencies), self._schemas.get(entry.namespace)]
            waiting.extend(each for each in above if each is not None)
        return needed

    def _belonging(self) -> set[int]:
        """Return the entries that belong to those taken, unless they need another table."""
        belonging: set[int] = set()
        for dump_id in tuple(self.ids):
            for entry in self._dependants[dump_id]:
                if entry.dump_id in self.ids or entry.desc not in kinds.PARTS_OF_TABLE:
                    continue
                needed = self._needed([entry.dump_id])
                if all(self._by_id[each].desc not in kinds.RELATIONS for each in needed - self.ids):
                    belonging |= needed
        return belonging


def read_owner_map(path: Path) -> dict[str, str]:
    """Read lines ``old=new``; ``#`` begins a comment. Raises ConfigurationError."""
    try:
        lines = read_small(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the owner map cannot be read: {error}",
            steps=["Check the path that --owner-map names"],
        ) from error
    result: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        old, equals, new = (part.strip() for part in line.partition("="))
        if not (old and equals and new) or old in result:
            complaint = "is mapped twice" if old in result else "is not old=new"
            source = f"{path} line {number}"
            problems.append(Problem(line.strip(), source, complaint, "shop_owner=shop_dev"))
            continue
        result[old] = new
    if problems:
        raise ConfigurationError.of(problems)
    return result


def mapped(toc: TableOfContents, owner_map: Mapping[str, str]) -> TableOfContents:
    """Replace roles in a table of contents: as owners, and in grants."""
    if not owner_map:
        return toc

    def renamed(name: str) -> str:
        return owner_map.get(name, name)

    def with_new_roles(entry: TocEntry) -> TocEntry:
        defn = entry.defn
        if entry.desc in _NAMING_ROLES:
            rewritten = (written(with_roles(each, renamed)) for each in statements(defn))
            defn = "".join(each.decode("utf-8", "surrogateescape") + ";\n" for each in rewritten)
        return replace(entry, owner=renamed(entry.owner), defn=defn)

    return replace(toc, entries=tuple(map(with_new_roles, toc.entries)))
