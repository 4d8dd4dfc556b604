"""Facts from the SQL of entries: COPY targets, roles, superusers, sequences, the locale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.archive.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgvow.archive.toc import TableOfContents, TocEntry

_NAME = r'(?:"(?:[^"]|"")*"|[^\s"(),.;]+)'
_STATEMENT = re.compile(
    rf"COPY (?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME}) *"
    rf"(?:\((?P<columns>{_NAME}(?:, *{_NAME})*)\))? *FROM stdin;\s*"
)
_NAMES = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """The table that rows are loaded into, and its columns in their order, which may be none.

    It is not the entry's own table if rows are loaded through a partitioned root.
    """

    schema: str
    name: str
    columns: tuple[str, ...]


def copy_target(statement: str) -> CopyTarget:
    """Parse a COPY statement of pg_dump's; raises ArchiveError if it is anything else."""
    match = _STATEMENT.fullmatch(statement)
    if match is None:
        raise ArchiveError("the statement that loads a table's rows cannot be read", offset=0)
    return CopyTarget(
        schema=_bare(match["schema"] or ""),
        name=_bare(match["name"]),
        columns=tuple(_bare(name[0]) for name in _NAMES.finditer(match["columns"] or "")),
    )


_PRIMARY_KEY = re.compile(
    rf"ALTER TABLE (?:ONLY )?(?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME})\s+ADD CONSTRAINT {_NAME}"
    rf" PRIMARY KEY \((?P<columns>{_NAME}(?:, *{_NAME})*)(?: WITHOUT OVERLAPS)?\)"
)
_ATTACH = re.compile(
    rf"ALTER TABLE (?:ONLY )?(?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME}) ATTACH PARTITION "
    rf"(?:(?P<its_schema>{_NAME})\.)?(?P<its_name>{_NAME}) "
)
_ALWAYS = re.compile(
    rf"ALTER TABLE (?:ONLY )?(?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME}) ALTER COLUMN {_NAME}"
    r" ADD GENERATED ALWAYS AS IDENTITY"
)


def primary_keys(toc: TableOfContents) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the columns of each primary key in the key's order, by its table's schema and name."""
    keys = {}
    for entry in toc.entries:
        if entry.desc == kinds.CONSTRAINT and (match := _PRIMARY_KEY.match(entry.defn)):
            columns = tuple(_bare(name[0]) for name in _NAMES.finditer(match["columns"]))
            keys[_table_named(match, entry)] = columns
    return keys


def has_identity_always(toc: TableOfContents, table: TocEntry) -> bool:
    """Return whether a table, or one that it is a partition of, is GENERATED ALWAYS AS IDENTITY."""
    parents, always = {}, set()
    for entry in toc.entries:
        if entry.desc == kinds.TABLE_ATTACH and (match := _ATTACH.match(entry.defn)):
            child = _bare(match["its_schema"] or entry.namespace), _bare(match["its_name"])
            parents[child] = _table_named(match, entry)
        elif entry.desc == kinds.SEQUENCE and (match := _ALWAYS.match(entry.defn)):
            always.add(_table_named(match, entry))
    name: tuple[str, str] | None = (table.namespace, table.tag)
    while name is not None and name not in always:
        name = parents.pop(name, None)  # popped: an archive may attach a table to itself
    return name is not None


def _table_named(match: re.Match[str], entry: TocEntry) -> tuple[str, str]:
    return _bare(match["schema"] or entry.namespace), _bare(match["name"])


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


_TOKEN = re.compile(r"""(?P<name>"(?:[^"]|"")*")|'(?:[^']|'')*'|(?P<word>[^\s"'(),;]+)|[(),;]""")
# Words before a role's name in the SQL of ``kinds.NAMING_ROLES``.
_BEFORE_ROLE = frozenset({"TO", "FROM", "FOR", "ROLE", "AUTHORIZATION"})
# Words that are no role if they are not quoted. A user mapping is "FOR public".
_NO_ROLE = frozenset(
    {"PUBLIC", "public", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", "DEFAULT", "ROLE", "USER"}
    | {"ALL", "SELECT", "INSERT", "UPDATE", "DELETE"}  # a policy is FOR one of these
)


def roles_named(toc: TableOfContents) -> frozenset[str]:
    """Return every role that owns something, is granted something, or has a policy or mapping."""
    roles = {entry.owner for entry in toc.entries}
    for entry in toc.entries:
        if entry.desc in kinds.NAMING_ROLES:
            roles.update(_in_statements(entry.defn))
    return frozenset(roles - {""})


def superusers_named(toc: TableOfContents) -> frozenset[str]:
    """Return the owners of objects that only a superuser may own."""
    return frozenset(
        entry.owner
        for entry in toc.entries
        if entry.desc in kinds.OWNED_BY_SUPERUSER and entry.owner
    )


def _in_statements(text: str) -> Iterator[str]:
    """Yield the roles of GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, CREATE POLICY, USER MAPPING.

    Inside parentheses there are columns and expressions, and no roles.
    """
    depth, expected = 0, False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        depth += (mark == "(") - (mark == ")")
        if depth or mark in "()":
            continue
        name = _role(token) if expected else None
        if name is not None:
            yield name
        goes_on = text.startswith(",", token.end())  # "TO a, b"
        expected = mark in _BEFORE_ROLE or (expected and (mark == "," or goes_on))


def _role(token: re.Match[str]) -> str | None:
    if token["name"] is not None:
        return _bare(token["name"])
    word = token["word"]
    return word if word is not None and word not in _NO_ROLE else None


_ROUTINES = frozenset({kinds.FUNCTION, kinds.PROCEDURE})
_TYPES = frozenset({kinds.SHELL_TYPE, kinds.TYPE})
_LANGUAGE = re.compile(r"^\s*LANGUAGE (\"[^\"]+\"|\w+)", re.MULTILINE)
_TRUSTED = frozenset({"sql", "plpgsql", "plperl", "pltcl", "plv8", "pllua", "pljava", "plr"})
# These attributes, and a function's own value for a setting of superusers, need one. If only the
# body of a function has the words, a superuser creates it all the same: that runs none of it.
_ATTRIBUTES = re.compile(
    r"\b(?:LEAKPROOF|SUPPORT)\b|^\s*SET (?:session_replication_role|log_|track_|lc_messages|jit_"
    r"|deadlock_timeout|zero_damaged_pages|ignore_|max_stack_depth|temp_file_limit|update_process"
    r"|compute_query_id|dynamic_library_path|session_preload|allow_system|backtrace|event_triggers"
    r"|lo_compat|commit_delay|wal_|auto_explain|pg_stat|pgaudit)",
    re.MULTILINE,
)
_BASE_TYPE = re.compile(r"^CREATE TYPE .*\(\n\s+(?:INTERNALLENGTH|INPUT) = ", re.MULTILINE)


def superuser_entries(entries: Iterable[TocEntry]) -> frozenset[int]:
    """Return the numbers of the entries that need a superuser, with the comments on those."""
    entries = tuple(entries)
    base_types = {
        entry.name
        for entry in entries
        if entry.desc == kinds.TYPE and _BASE_TYPE.search(entry.defn)
    }
    needing = frozenset(entry.dump_id for entry in entries if _needs_superuser(entry, base_types))
    return needing | {
        entry.dump_id
        for entry in entries
        if entry.desc == kinds.COMMENT and not needing.isdisjoint(entry.dependencies)
    }


def _needs_superuser(entry: TocEntry, base_types: set[str]) -> bool:
    if entry.desc in _ROUTINES:
        languages = {name.strip('"') for name in _LANGUAGE.findall(entry.defn)}
        return bool(languages - _TRUSTED) or bool(_ATTRIBUTES.search(entry.defn))
    if entry.desc in _TYPES:
        return entry.name in base_types
    return entry.desc in kinds.RESTORED_BY_SUPERUSER


_VALUES = re.compile(r", (-?\d+), (true|false)\);\s*$")


@dataclass(frozen=True, slots=True)
class SequencePosition:
    """One sequence: its last value, and whether the next one is beyond it (``is_called``)."""

    schema: str
    name: str
    last_value: int
    is_called: bool


def sequence_positions(toc: TableOfContents) -> tuple[SequencePosition, ...]:
    """Return the positions of all sequences whose data is in the archive.

    Raises ArchiveError if an entry is not the ``setval`` that pg_dump writes.
    """
    return tuple(
        _position(entry.namespace, entry.tag, entry.defn)
        for entry in toc.entries
        if entry.desc == kinds.SEQUENCE_SET
    )


def _position(schema: str, name: str, statement: str) -> SequencePosition:
    values = _VALUES.search(statement)
    if values is None:
        complaint = f"the position of sequence {schema}.{name} cannot be read"
        raise ArchiveError(complaint, offset=0)
    return SequencePosition(schema, name, int(values[1]), values[2] == "true")


_DATABASE = re.compile(r'CREATE DATABASE (?:"(?:[^"]|"")*"|\S+) ')  # which may look like an option
_OPTION = re.compile(r"\b([A-Z_]+) = ('(?:[^']|'')*'|[A-Za-z_]\w*)")
_OF_LOCALE = frozenset(
    {
        "LOCALE_PROVIDER", "LOCALE", "LC_COLLATE", "LC_CTYPE",
        "ICU_LOCALE", "ICU_RULES", "BUILTIN_LOCALE",
    }
)  # fmt: skip


def database_locale(toc: TableOfContents) -> dict[str, str]:
    """Return the locale's options of the archive's CREATE DATABASE; none without that entry."""
    statement = next((entry.defn for entry in toc.entries if entry.desc == kinds.DATABASE), "")
    name = _DATABASE.match(statement)
    return {
        name: value[1:-1].replace("''", "'") if value.startswith("'") else value
        for name, value in _OPTION.findall(statement, name.end() if name else 0)
        if name in _OF_LOCALE
    }
