"""Give what one role owned or was granted to another: ``--owner-map``.

The old role need not exist. First everything is restored as by ``--no-owner``, without what names
roles; then an archive of our own, which has the other roles' names and no definition but of that,
lets pg_restore itself write each ALTER … OWNER TO, for all the kinds of objects that it knows.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.archive import Section, definitions_archive
from pgvow.errors import ConfigurationError, Problem
from pgvow.operations.restoring.tool import open_restored
from pgvow.postgres.databases import refused
from pgvow.postgres.statements import statements, with_roles, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pgvow.archive import Entry, TableOfContents
    from pgvow.operations.restoring.tool import PgRestore

_NAMING_ROLES = frozenset({"ACL", "DEFAULT ACL", "POLICY", "USER MAPPING"})
_SAID_OF_IT = frozenset({"COMMENT", "SECURITY LABEL"})
_LARGE_OBJECTS = "BLOB METADATA"
_SPECIAL = ("ENCODING", "STDSTRINGS", "SEARCHPATH")
# An entry without any definition is passed over, and its owner with it.
_NOTHING = "--\n"
_OWNED = (Section.PRE_DATA, Section.POST_DATA)


def read_owner_map(path: Path) -> dict[str, str]:
    """Read a line ``old=new`` each; ``#`` begins a comment. Raises ConfigurationError."""
    try:
        lines = path.read_text("utf-8").splitlines()
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
    """Write other roles into a table of contents: as owners, and in what is granted."""
    if not owner_map:
        return toc

    def renamed(name: str) -> str:
        return owner_map.get(name, name)

    def entry(one: Entry) -> Entry:
        defn = one.defn
        if one.desc in _NAMING_ROLES or one.desc == "DATABASE PROPERTIES":
            found = (written(with_roles(each, renamed)) for each in statements(defn))
            defn = "".join(each.decode("utf-8", "surrogateescape") + ";\n" for each in found)
        return replace(one, owner=renamed(one.owner), defn=defn)

    return replace(toc, entries=tuple(map(entry, toc.entries)))


def without_roles(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Leave out what names roles: it has its turn in ``give_to_owners``."""
    later = _naming_roles(entries)
    return tuple(entry for entry in entries if entry.dump_id not in later)


def _naming_roles(entries: Iterable[Entry]) -> set[int]:
    """The numbers of entries that name roles, and of what is said of those."""
    entries = tuple(entries)
    found = {entry.dump_id for entry in entries if entry.desc in _NAMING_ROLES}
    return found | {
        entry.dump_id
        for entry in entries
        if entry.desc in _SAID_OF_IT and not found.isdisjoint(entry.dependencies)
    }


def is_given_away(entry: Entry) -> bool:
    """Whether pg_restore says whose an object is, as it does of all that it could drop."""
    return bool(entry.owner and entry.drop and entry.section in _OWNED)


def give_to_owners(
    pg_restore: PgRestore, dump: Path, toc: TableOfContents, restored: Sequence[Entry]
) -> None:
    """Give what was restored to its owners, and grant what was granted; raises RestoreFailed."""
    if not pg_restore.schema_only:
        _give_large_objects(pg_restore, restored)
    restore_definitions(pg_restore, dump, toc, _ownership(restored))


def restore_definitions(
    pg_restore: PgRestore, dump: Path, toc: TableOfContents, entries: Sequence[Entry]
) -> None:
    """Restore entries as they are here, by an archive of our own; raises RestoreFailed."""
    special = [entry for entry in toc.entries if entry.desc in _SPECIAL]
    with dump.open("rb") as file:
        archive = definitions_archive(file, [*special, *entries], toc.encoding)
    with tempfile.TemporaryDirectory(prefix="pgvow-restore-") as folder:
        path = Path(folder) / "owners.dump"
        path.write_bytes(archive)
        pg_restore.run(path, entries)


def _ownership(restored: Sequence[Entry]) -> tuple[Entry, ...]:
    later = _naming_roles(restored)
    found = [
        entry if entry.dump_id in later else replace(entry, defn=_NOTHING)
        for entry in restored
        if entry.dump_id in later or is_given_away(entry)
    ]
    # A sequence that belongs to a table goes with it, and by itself only where it is already there.
    return tuple(sorted(found, key=lambda entry: entry.desc == "SEQUENCE"))


def _give_large_objects(pg_restore: PgRestore, restored: Sequence[Entry]) -> None:
    """From 17 on an entry has many of them, and pg_restore would make them anew."""
    groups = [entry for entry in restored if entry.desc == _LARGE_OBJECTS]
    if not groups:
        return
    target = pg_restore.tools.target
    with open_restored(target, pg_restore.database) as session, refused(target):
        for group in groups:
            for oid in group.defn.split():
                statement = sql.SQL("ALTER LARGE OBJECT {} OWNER TO {}")
                session.execute(
                    statement.format(sql.Literal(int(oid)), sql.Identifier(group.owner))
                )
