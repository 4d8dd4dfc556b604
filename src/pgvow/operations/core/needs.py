"""Find out from an archive, and the roles kept beside it, the things that its restore needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import database_locale, kinds, roles_named, superuser_entries
from pgvow.errors import PgvowError
from pgvow.operations.core.choose_pg_restore import major_of
from pgvow.postgres.majors import OLDEST_PG_RESTORE, OLDEST_PG_RESTORE_OF_ALL
from pgvow.postgres.statements import roles_in, setting_of, statements, words
from pgvow.recovery import NeededExtension, NeededRole, NeededTablespace, RecoveryNeeds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Metadata
    from pgvow.postgres.statements import Statement
    from pgvow.store import StoredBackup

CONTRIB = frozenset(
    {
        "adminpack", "amcheck", "autoinc", "bloom", "bool_plperl", "bool_plperlu", "btree_gin",
        "btree_gist", "citext", "cube", "dblink", "dict_int", "dict_xsyn", "earthdistance",
        "file_fdw", "fuzzystrmatch", "hstore", "hstore_plperl", "hstore_plperlu",
        "hstore_plpython3u", "insert_username", "intagg", "intarray", "isn", "jsonb_plperl",
        "jsonb_plperlu", "jsonb_plpython3u", "lo", "ltree", "ltree_plpython3u", "moddatetime",
        "old_snapshot", "pageinspect", "pg_buffercache", "pg_freespacemap", "pg_logicalinspect",
        "pg_overexplain", "pg_prewarm", "pg_stat_statements", "pg_surgery", "pg_trgm",
        "pg_visibility", "pg_walinspect", "pgcrypto", "pgrowlocks", "pgstattuple", "plperl",
        "plperlu", "plpgsql", "plpython3u", "pltcl", "pltclu", "postgres_fdw", "refint", "seg",
        "sslinfo", "tablefunc", "tcn", "tsm_system_rows", "tsm_system_time", "unaccent",
        "uuid-ossp", "xml2",
    }
)  # fmt: skip
"""The extensions that come with PostgreSQL 15 to 18, some of them in packages of their own."""
# The owner of a database may create these.
_TRUSTED = frozenset(
    {
        "bool_plperl", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "fuzzystrmatch",
        "hstore", "hstore_plperl", "intarray", "isn", "jsonb_plperl", "lo", "ltree", "pg_trgm",
        "pgcrypto", "plperl", "plpgsql", "pltcl", "seg", "tablefunc", "tcn", "tsm_system_rows",
        "tsm_system_time", "unaccent", "uuid-ossp",
    }
)  # fmt: skip
# The extensions that do nothing, or cannot be created, without a library of the whole server's.
_PRELOADED = {
    "age": "age", "citus": "citus", "pg_cron": "pg_cron", "pg_net": "pg_net",
    "pg_qualstats": "pg_qualstats", "pg_squeeze": "pg_squeeze",
    "pg_stat_kcache": "pg_stat_kcache", "pg_stat_statements": "pg_stat_statements",
    "pg_wait_sampling": "pg_wait_sampling", "pgaudit": "pgaudit", "pglogical": "pglogical",
    "powa": "powa", "timescaledb": "timescaledb",
}  # fmt: skip
_LIBRARIES = frozenset({"session_preload_libraries", "local_preload_libraries"})
_BEFORE_VALUE = 5  # ALTER DATABASE name SET setting TO
_ICU = re.compile(r"provider = '?icu\b|COLLATE pg_catalog\.\"[^\"]*-x-icu\"", re.IGNORECASE)
_BUILT_IN = frozenset({"", "pg_default", "pg_global"})
_LARGEST_SCRIPT = 16 << 20


@dataclass(frozen=True, slots=True)
class KeptGlobals:
    """The roles that are kept beside a dump, and the tablespaces with their directories."""

    roles: frozenset[str] = frozenset()
    tablespaces: tuple[NeededTablespace, ...] = ()


def needs_of(
    backup: StoredBackup,
    metadata: Metadata,
    toc: TableOfContents,
    *,
    versions: Mapping[str, str] | None = None,
    database_bytes: int | None = None,
) -> RecoveryNeeds:
    """Return the things that the restore of a backup needs.

    ``versions`` of extensions and ``database_bytes`` are those of a restored database, if there
    was one. Roles that cannot be read are none: they are as good as not kept.
    """
    kept = kept_globals(backup, metadata)
    locale = database_locale(toc)
    above = sorted(_superuser_kinds(toc))
    return RecoveryNeeds(
        postgresql_major=major_of(toc.header.pg_dump_version),
        pg_restore_major=pg_restore_major(toc),
        encoding=toc.encoding,
        locale=locale,
        icu=locale.get("LOCALE_PROVIDER") == "icu" or _has_icu(toc.entries),
        superuser=bool(above),
        superuser_for=tuple(above),
        extensions=_extensions(toc, versions or {}),
        roles=_roles(toc, kept),
        tablespaces=_tablespaces(toc, kept),
        preload_libraries=tuple(sorted(_libraries(toc))),
        dump_bytes=metadata.backup_size_bytes,
        database_bytes=database_bytes or metadata.database_size_bytes,
    )


def pg_restore_major(toc: TableOfContents) -> int:
    """Return the oldest major of pg_restore that reads an archive."""
    return OLDEST_PG_RESTORE.get(toc.header.version, OLDEST_PG_RESTORE_OF_ALL)


def kept_globals(backup: StoredBackup, metadata: Metadata | None) -> KeptGlobals:
    """Read the roles and tablespaces beside a dump; none if they cannot be read."""
    try:
        with backup.store.open(backup.globals_name(metadata)) as file:
            script = file.read(_LARGEST_SCRIPT).decode("utf-8", "surrogateescape")
    except (OSError, PgvowError):
        return KeptGlobals()
    roles: set[str] = set()
    tablespaces: list[NeededTablespace] = []
    for statement in statements(script):
        tokens = words(statement)
        match [token.keyword for token in tokens[:3]]:
            case ["CREATE", "ROLE", _] if tokens[2].name:
                roles.add(tokens[2].name)
            case ["CREATE", "TABLESPACE", _] if tokens[2].name:
                tablespaces.append(NeededTablespace(tokens[2].name, _literal(statement)))
    return KeptGlobals(frozenset(roles), tuple(tablespaces))


def _literal(statement: Statement) -> str | None:
    """Return the last literal of a statement; one with escapes is none that is shown."""
    text = words(statement)[-1].text
    is_plain = len(text) > 1 and text.startswith("'")
    return text[1:-1].replace("''", "'") or None if is_plain else None


def _superuser_kinds(toc: TableOfContents) -> Iterator[str]:
    above = superuser_entries(toc.entries)
    for entry in toc.entries:
        is_trusted = entry.desc == kinds.EXTENSION and entry.tag in _TRUSTED
        if entry.dump_id in above and entry.desc != kinds.COMMENT and not is_trusted:
            yield f"{entry.desc} {entry.tag}" if entry.desc == kinds.EXTENSION else entry.desc


def _has_icu(entries: Iterable[TocEntry]) -> bool:
    return any(_ICU.search(entry.defn) for entry in entries if entry.desc != kinds.COMMENT)


def _extensions(toc: TableOfContents, versions: Mapping[str, str]) -> tuple[NeededExtension, ...]:
    names = sorted({entry.tag for entry in toc.entries if entry.desc == kinds.EXTENSION})
    return tuple(NeededExtension(name, name in CONTRIB, versions.get(name)) for name in names)


def _roles(toc: TableOfContents, kept: KeptGlobals) -> tuple[NeededRole, ...]:
    named = set(roles_named(toc))
    for statement in _properties(toc):
        named |= roles_in(statement)
    return tuple(
        NeededRole(name, name in named, name in kept.roles) for name in sorted(named | kept.roles)
    )


def _tablespaces(toc: TableOfContents, kept: KeptGlobals) -> tuple[NeededTablespace, ...]:
    """Return those that the archive names; the globals are of the whole server."""
    names = {entry.tablespace for entry in toc.entries}
    for entry in toc.entries:
        if entry.desc == kinds.DATABASE:
            names |= {setting_of(each, "TABLESPACE") or "" for each in statements(entry.defn)}
    places = {space.name: space.location for space in kept.tablespaces}
    return tuple(NeededTablespace(name, places.get(name)) for name in sorted(names - _BUILT_IN))


def _properties(toc: TableOfContents) -> Iterator[Statement]:
    for entry in toc.entries:
        if entry.desc == kinds.DATABASE_PROPERTIES:
            yield from statements(entry.defn)


def _libraries(toc: TableOfContents) -> set[str]:
    names = {entry.tag for entry in toc.entries if entry.desc == kinds.EXTENSION}
    libraries = {_PRELOADED[name] for name in names & _PRELOADED.keys()}
    for statement in _properties(toc):
        tokens = words(statement)
        if any(token.name in _LIBRARIES for token in tokens[:_BEFORE_VALUE]):
            listed = (token.text.strip("'\"") for token in tokens[_BEFORE_VALUE:])
            libraries |= {name for name in listed if name not in ("", ",", "TO", "=")}
    return libraries
