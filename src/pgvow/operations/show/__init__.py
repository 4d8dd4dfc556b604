"""Show what is in a backup without a server: its objects, its code, the commands to restore it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import kinds, roles_named, superuser_entries
from pgvow.errors import AccessDenied, UnreadableFile
from pgvow.model import level_reached
from pgvow.notes import NO_NOTES
from pgvow.operations.show.contents import read_facts
from pgvow.postgres.database_settings import (
    changes_reading,
    createdb_locale,
    settings_for_restore,
)
from pgvow.postgres.majors import OLDEST_PG_RESTORE, OLDEST_PG_RESTORE_OF_ALL
from pgvow.postgres.restore_order import refreshes
from pgvow.postgres.statements import for_database, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Level, Proof
    from pgvow.notes import Notes
    from pgvow.operations.context import Context
    from pgvow.operations.show.contents import BackupFacts, ShownTable
    from pgvow.postgres.statements import Statement
    from pgvow.store import StoredBackup

# Entries on how to read the others, which are no objects.
_NO_OBJECTS = frozenset({"ENCODING", "STDSTRINGS", "SEARCHPATH"})
_EXTENSION = "EXTENSION"


@dataclass(frozen=True, slots=True)
class ShownBackup:
    """The contents of a backup: ``facts``, and conclusions from them.

    ``tables`` are the largest first. ``environment`` and ``moment`` are None if neither metadata
    nor the file's name has them; ``objects`` counts the entries of each kind, the commonest first.
    ``unreadable`` has the causes for which metadata or proof cannot be read.
    """

    facts: BackupFacts
    database: str
    environment: str | None
    moment: datetime | None
    tables: tuple[ShownTable, ...]
    objects: Mapping[str, int]
    roles: tuple[str, ...]
    extensions: tuple[str, ...]
    globals_file: Path | None
    proof: Proof | None
    restore: StockRestore
    unreadable: tuple[str, ...] = ()
    notes: Notes = NO_NOTES

    @property
    def level(self) -> Level | None:
        """The highest level of trust that it has reached."""
        return level_reached(self.facts.metadata, self.proof)


def show_backup(backup: StoredBackup, context: Context) -> ShownBackup:
    """Show a backup; its rows are read only if the metadata does not have their number.

    Raises NotABackupFile, AccessDenied, and ArchiveError if the archive is damaged as far as it had
    to be read: only verifying finds all damage.
    """
    facts = read_facts(backup, progress=context.reporter, fingerprints=False)
    stem, known = backup.stem, facts.metadata
    globals_name = backup.globals_name(known)
    globals_file = backup.path.with_name(globals_name) if backup.has(globals_name) else None
    unreadable = [facts.unreadable] if facts.unreadable else []
    try:
        proof = backup.proof_of(known) if known else None
    except (UnreadableFile, AccessDenied) as error:
        proof = None
        unreadable.append(error.cause)
    return ShownBackup(
        facts=facts,
        database=known.database_name if known else facts.toc.header.database,
        environment=known.environment if known else stem and stem.environment,
        moment=known.backup_timestamp if known else stem and stem.moment,
        tables=tuple(sorted(facts.tables, key=_largest_first)),
        objects=_objects(facts),
        roles=tuple(sorted(roles_named(facts.toc))),
        extensions=_extensions(facts),
        globals_file=globals_file,
        notes=backup.notes(),
        proof=proof,
        restore=stock_restore(
            backup.path,
            facts.toc,
            globals_file,
            broken=bool(proof and proof.broken_rules),
        ),
        unreadable=tuple(unreadable),
    )


def _largest_first(table: ShownTable) -> tuple[int, int, str]:
    size = table.bytes if table.bytes is not None else table.size_bytes
    return -(size or 0), -(table.rows or 0), table.key


def _objects(facts: BackupFacts) -> Mapping[str, int]:
    counted = Counter(entry.desc for entry in facts.toc.entries if entry.desc not in kinds.PREAMBLE)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _extensions(facts: BackupFacts) -> tuple[str, ...]:
    return tuple(sorted(entry.tag for entry in facts.toc.entries if entry.desc == kinds.EXTENSION))


_KINDS = frozenset(
    {
        "AGGREGATE", "CHECK CONSTRAINT", "EVENT TRIGGER", "EXTENSION", "FUNCTION", "PROCEDURE",
        "PROCEDURAL LANGUAGE", "RULE", "TRIGGER",
    }
)  # fmt: skip
# Parts of a definition that the server runs for each row; a comment or a default may have the words
# too, and is then listed though it is none.
_PARTS = {
    "GENERATED COLUMN": re.compile(r"\bGENERATED ALWAYS AS \("),
    "CHECK": re.compile(r"\bCHECK \("),
    "PARTITION KEY": re.compile(r"^PARTITION BY .*\(.*\(", re.MULTILINE),
    "INDEX EXPRESSION": re.compile(r"\A[^(]+ USING \w+ \(.*\("),
}
_DEFINED_IN = {
    "TABLE": ("GENERATED COLUMN", "CHECK", "PARTITION KEY"),
    "FOREIGN TABLE": ("GENERATED COLUMN", "CHECK"),
    "DOMAIN": ("CHECK",),
    "INDEX": ("INDEX EXPRESSION",),
}


@dataclass(frozen=True, slots=True)
class CodeObject:
    """One object that has code: its owner ('' for an extension), kind and name.

    ``needs_superuser`` is whether a superuser has to restore it; it may do anything then.
    """

    owner: str
    kind: str
    name: str
    needs_superuser: bool


def code_in_backup(backup: StoredBackup, context: Context) -> tuple[CodeObject, ...]:
    """List the code of a backup by owner, kind and name, from its table of contents.

    Raises NotABackupFile, AccessDenied and ArchiveError as ``show_backup`` does.
    """
    return code_in(read_facts(backup, progress=context.reporter, fingerprints=False).toc)


def code_in(toc: TableOfContents) -> tuple[CodeObject, ...]:
    """List the code of an archive by owner, kind and name."""
    above = superuser_entries(toc.entries)
    objects = {
        CodeObject(entry.owner, kind, entry.name, entry.dump_id in above)
        for entry in toc.entries
        for kind in _kinds(entry)
    }
    return tuple(sorted(objects, key=lambda code: (code.owner, code.kind, code.name)))


def _kinds(entry: TocEntry) -> Iterator[str]:
    if entry.desc in _KINDS:
        yield entry.desc
    for kind in _DEFINED_IN.get(entry.desc, ()):
        if _PARTS[kind].search(entry.defn):
            yield kind


NEW_DATABASE = "restored"
_ALL_THE_SAME = ("--jobs", "4")
_CAREFULLY = ("--exit-on-error", *_ALL_THE_SAME)


@dataclass(frozen=True, slots=True)
class StockRestore:
    """How to restore: the oldest major of pg_restore that reads the archive, and the commands."""

    pg_restore: int
    commands: tuple[str, ...]


def stock_restore(
    path: Path, toc: TableOfContents, globals_file: Path | None, *, broken: bool = False
) -> StockRestore:
    """Return the commands, into a new database called ``restored``, quoted for a POSIX shell.

    With two jobs or more pg_restore keeps the order of rows; with one it does not. If rules of the
    source are ``broken``, it has to go on after the errors that they cause.
    """
    created = [f"--encoding={toc.encoding}", *createdb_locale(toc)]
    carefully = _ALL_THE_SAME if broken else _CAREFULLY
    commands = [
        ["createdb", "--template", "template0", *created, NEW_DATABASE],
        *_settings(toc, of_reading=False),
        ["pg_restore", *carefully, *_row_security(toc), "--dbname", NEW_DATABASE, _argument(path)],
        *_settings(toc, of_reading=True),
        ["psql", "--dbname", NEW_DATABASE, "--command", "ANALYZE"],
    ]
    if globals_file is not None:
        commands.insert(0, ["psql", "--dbname", "postgres", "--file", _argument(globals_file)])
    return StockRestore(
        pg_restore=OLDEST_PG_RESTORE.get(toc.header.version, OLDEST_PG_RESTORE_OF_ALL),
        commands=tuple(map(shlex.join, commands)),
    )


def _settings(toc: TableOfContents, *, of_reading: bool) -> list[list[str]]:
    """Return commands for the database's settings, which pg_restore restores under its old name.

    Those that change how rows are read come when the rows are there.
    """
    return [
        ["psql", "--dbname", NEW_DATABASE, "--command", _as_text(setting)]
        for setting in settings_for_restore(toc.entries)
        if changes_reading(setting) is of_reading
    ]


def _as_text(statement: Statement) -> str:
    return written(for_database(statement, NEW_DATABASE)).decode("utf-8", "replace")


def _row_security(toc: TableOfContents) -> list[str]:
    """Return the option that fills views whose owners are subject to row security."""
    return ["--enable-row-security"] if refreshes(toc.entries) else []


def _argument(path: Path) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
