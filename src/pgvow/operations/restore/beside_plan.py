"""Plan a copy of tables beside the living ones: everything that can refuse it, and nothing made."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds, read_toc
from pgvow.errors import ConfigurationError, RestoreFailed
from pgvow.operations.archived_tables import TablesByName, with_tables
from pgvow.operations.core.choose_pg_restore import choose_pg_restore, major_of
from pgvow.operations.core.expected import only_of
from pgvow.operations.core.fill import default_jobs
from pgvow.operations.core.stages import CheckedBackup, open_restored
from pgvow.operations.restore.beside_checks import (
    require_present,
    require_rights,
    require_usable,
)
from pgvow.operations.restore.beside_copies import TableCopy
from pgvow.operations.restore.beside_names import (
    DEFAULT_SUFFIX,
    free_name,
    named_after,
    parse_copy_name,
    unquoted,
)
from pgvow.operations.restore.selection import database_definition, mapped, select
from pgvow.postgres.binaries import find_installations
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.databases import Databases, refused, shortened
from pgvow.postgres.pg_restore import RestoreTools
from pgvow.postgres.server import address_of, server_facts
from pgvow.postgres.statements import quoted
from pgvow.postgres.table_copy import taken_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.restore.selection import DatabaseDefinition
    from pgvow.postgres.connection import Session
    from pgvow.postgres.server import Address, ServerFacts
    from pgvow.settings import Settings
    from pgvow.store import StoredBackup

LEFT_OUT = frozenset(
    {
        kinds.ACL, kinds.POLICY, kinds.PUBLICATION_TABLE, kinds.RULE, kinds.SECURITY_LABEL,
        kinds.STATISTICS_DATA, kinds.TRIGGER,
    }
)  # fmt: skip
"""A copy is data: it does nothing by itself, and nobody but its owner may read it."""
_NOT_WORTH_A_WORD = frozenset({kinds.STATISTICS_DATA})
_SHOWN = (
    kinds.INDEX, kinds.CONSTRAINT, kinds.FK_CONSTRAINT, kinds.SEQUENCE, kinds.STATISTICS,
)  # fmt: skip
_PART = r'"(?:[^"]|"")+"|[^\s".]+'
_ALTERED = re.compile(rf"ALTER TABLE (?:ONLY )?(?P<schema>{_PART})\.(?P<name>{_PART})")
_OF_ROWS = frozenset({kinds.TABLE_DATA})


@dataclass(frozen=True, slots=True)
class BesideOptions:
    """The tables to copy into ``database``, which exists, and the names of the copies.

    ``name`` is ``NAME`` or ``SCHEMA.NAME`` for one table; ``schema`` takes any number under their
    own names, and is made if it does not exist. ``confirmed``: the user has seen the plan.
    """

    database: str
    tables: tuple[str, ...]
    name: str | None = None
    schema: str | None = None
    jobs: int = field(default_factory=default_jobs)
    no_owner: bool = False
    owner_map: Mapping[str, str] = field(default_factory=dict)
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An object of the table in the backup that the copy does not get; ``statement`` made it."""

    kind: str
    name: str
    statement: str


@dataclass(frozen=True, slots=True)
class BesidePlan:
    """A copy that nothing stands in the way of: the names, the entries, the programs."""

    options: BesideOptions
    environment: str
    address: Address
    server: ServerFacts
    copies: tuple[TableCopy, ...]
    schema: str
    makes_schema: bool
    left_out: tuple[LeftOut, ...]
    backup: CheckedBackup
    expected: Metadata
    definition: DatabaseDefinition
    tools: RestoreTools

    @property
    def objects(self) -> Mapping[str, int]:
        """The number of objects of each kind that come with the tables."""
        return Counter(entry.desc for entry in self.backup.entries if entry.desc in _SHOWN)


def plan_beside(
    settings: Settings, backup: StoredBackup, options: BesideOptions, context: Context
) -> BesidePlan:
    """Plan the copy of tables into a living database, in which nothing is made or changed.

    Raises the errors of ``pgvow.errors`` for all that would stop it.
    """
    require_usable(options)
    with backup.held(), backup.at_hand() as fetched:
        target = ConnectionTarget(settings.connection, settings.libpq_variables, context.environ)
        with Databases.connect(target, avoiding=options.database) as databases:
            return planned_beside(settings, fetched, options, context, databases)


def planned_beside(
    settings: Settings,
    backup: StoredBackup,
    options: BesideOptions,
    context: Context,
    databases: Databases,
) -> BesidePlan:
    """Plan over an open session; see ``plan_beside``."""
    with refused(databases.target):
        server = server_facts(databases.session)
    metadata = backup.metadata()
    installation = choose_pg_restore(
        find_installations(pg_bin=settings.pg_bin, environ=context.environ),
        server_major=server.major,
        made_by=major_of(metadata.pg_dump_version),
    )
    tools = RestoreTools(installation, databases.target)
    with backup.open_dump() as file:
        toc = mapped(read_toc(file), options.owner_map)
    metadata = with_tables(metadata, toc.entries)
    copies = _copies(toc, metadata, options)
    entries = _entries(toc, copies, options.tables, server)
    if not databases.exists(options.database):
        raise RestoreFailed(
            f"there is no database {options.database} to put a table into",
            facts=databases.target.facts,
            steps=["Restore into a new one: --to DATABASE", "See which there are: psql -l"],
        )
    with refused(databases.target), open_restored(tools, options.database) as live:
        copies = _named(live, copies, options, databases.target)
        makes_schema = require_rights(live, copies, server, databases)
        require_present(live, entries, options.database, databases.target)
    return BesidePlan(
        options=options,
        environment=settings.environment,
        address=address_of(databases.session),
        server=server,
        copies=copies,
        schema=copies[0].copy_schema,
        makes_schema=makes_schema,
        left_out=tuple(_left_out(toc, entries, copies)),
        backup=CheckedBackup(backup, metadata, toc, entries, tools),
        expected=only_of(metadata, entries),
        definition=database_definition(toc).without_tablespace(),
        tools=tools,
    )


def _copies(
    toc: TableOfContents, metadata: Metadata, options: BesideOptions
) -> tuple[TableCopy, ...]:
    """Return the tables that are meant, each with the partitions of all levels."""
    known = TablesByName(tuple(each for each in toc.entries if each.desc in kinds.TABLES))
    chosen = list(dict.fromkeys(known.find(name) for name in options.tables))
    below = {table: tuple(_partitions(toc, table)) for table in chosen}
    inner = {part.dump_id for parts in below.values() for part in parts}
    recorded = {(each.schema, each.name): each for each in metadata.tables}
    copies = []
    for table in chosen:
        if table.dump_id in inner:
            continue  # it comes with its root
        parts = (table, *below[table])
        if other := next((part for part in parts if part.desc != kinds.TABLE), None):
            raise ConfigurationError(
                f"{other.name} is a {other.desc.lower()}, and a copy is made of tables",
                steps=["Restore it into a new database: --table NAME --to DATABASE"],
            )
        facts = [each for part in parts if (each := recorded.get((part.namespace, part.tag)))]
        copies.append(
            TableCopy(
                table.namespace,
                table.tag,
                "",
                "",
                None if options.no_owner else table.owner or None,
                sum(each.rows for each in facts),
                sum(each.size_bytes for each in facts),
                tuple((part.namespace, part.tag, "") for part in below[table]),
            )
        )
    return tuple(copies)


def _partitions(toc: TableOfContents, table: TocEntry) -> Iterator[TocEntry]:
    """Yield the partitions of a table and of its partitions."""
    tables = {each.dump_id: each for each in toc.entries if each.desc in kinds.TABLES}
    attached = [each for each in toc.entries if each.desc == kinds.TABLE_ATTACH]
    waiting = [table]
    while waiting:
        parent = waiting.pop()
        for attach in attached:
            if parent.dump_id not in attach.dependencies or attach.name == parent.name:
                continue
            parts = [tables[each] for each in attach.dependencies if each in tables]
            part = next((each for each in parts if each.name == attach.name), None)
            if part is not None:
                yield part
                waiting.append(part)


def _entries(
    toc: TableOfContents,
    copies: Sequence[TableCopy],
    names: Sequence[str],
    server: ServerFacts,
) -> tuple[TocEntry, ...]:
    """Return the entries of the copied tables and all that they need, without others' rows."""
    kept = tuple(entry for entry in toc.entries if entry.desc not in LEFT_OUT)
    selection = select(replace(toc, entries=kept), names, superuser=server.is_superuser)
    members = frozenset().union(*(copy.members for copy in copies))
    return tuple(
        entry
        for entry in selection.entries
        if entry.desc not in _OF_ROWS or (entry.namespace, entry.tag) in members
    )


def _named(
    live: Session,
    copies: Sequence[TableCopy],
    options: BesideOptions,
    target: ConnectionTarget,
) -> tuple[TableCopy, ...]:
    """Give the copies names that the living database does not have; raises RestoreFailed."""
    given = parse_copy_name(options.name) if options.name is not None else (None, None)
    schema = options.schema or given[0] or copies[0].schema
    taken = taken_names(live, schema)
    result = []
    for copy in copies:
        name = given[1]
        if name is None:
            name = copy.name
            if options.schema is None and name in taken:
                name = shortened(name, DEFAULT_SUFFIX)
        if name in taken:
            raise _name_taken(schema, name, options, target)
        taken.add(name)
        partitions = []
        for part_schema, part, _ in copy.partitions:
            chosen = free_name(named_after(part, copy.name, name), taken)
            taken.add(chosen)
            partitions.append((part_schema, part, chosen))
        result.append(
            replace(copy, copy_schema=schema, copy_name=name, partitions=tuple(partitions))
        )
    return tuple(result)


def _name_taken(
    schema: str, name: str, options: BesideOptions, target: ConnectionTarget
) -> RestoreFailed:
    another = "--as-schema ANOTHER" if options.schema is not None else "--as ANOTHER_NAME"
    return RestoreFailed(
        f"{options.database} has something named {name} in the schema {schema}, which is left as"
        " it is",
        facts=target.facts,
        steps=[f"Choose another name for the copy: {another}"],
    )


def _left_out(
    toc: TableOfContents, entries: Sequence[TocEntry], copies: Sequence[TableCopy]
) -> Iterator[LeftOut]:
    """Yield the objects of the copied tables that are not copied, in the archive's order."""
    restored = {entry.dump_id for entry in entries}
    members = frozenset().union(*(copy.members for copy in copies))
    tables = {
        entry.dump_id
        for entry in toc.entries
        if entry.desc == kinds.TABLE and (entry.namespace, entry.tag) in members
    }
    wanted = (LEFT_OUT | kinds.TAGGED_BY_TABLE) - _NOT_WORTH_A_WORD
    for entry in toc.entries:
        if (
            entry.desc in wanted
            and entry.dump_id not in restored
            and not tables.isdisjoint(entry.dependencies)
            and not (entry.desc == kinds.FK_CONSTRAINT and not _is_own(entry, members))
        ):
            yield LeftOut(entry.desc, entry.name, _for_copy(entry, copies))


def _for_copy(entry: TocEntry, copies: Sequence[TableCopy]) -> str:
    """Return the statement of an entry, a foreign key's with the copy in the table's place."""
    statement = entry.defn.strip()
    if entry.desc != kinds.FK_CONSTRAINT:
        return statement
    names = {
        (schema, name): (copy.copy_schema, new)
        for copy in copies
        for schema, name, new in ((copy.schema, copy.name, copy.copy_name), *copy.partitions)
    }
    head = _ALTERED.match(statement)
    table = (unquoted(head["schema"]), unquoted(head["name"])) if head else None
    if head is None or table not in names:
        return statement
    copied = ".".join(map(quoted, names[table]))
    return f"{statement[: head.start('schema')]}{copied}{statement[head.end() :]}"


def _is_own(entry: TocEntry, members: Iterable[tuple[str, str]]) -> bool:
    """Whether a foreign key is of a copied table, and not of another that refers to it."""
    return any(
        entry.namespace == schema and entry.tag.startswith(f"{table} ") for schema, table in members
    )
