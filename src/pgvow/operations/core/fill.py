"""Fill an empty database from an archive: the same way for ``restore`` and for ``prove``.

``CheckedBackup`` → ``FilledDatabase`` → ``ComparedDatabase`` (``core.compare``) are the stages that
the two have in common: each is frozen, and made of the one before.

As far as possible a superuser lets a role without special rights restore (``postgres.restorer``).
When rows, indexes and constraints are there, all that it made is given to its owners. Materialized
views come after that, because the server fills each with the rights of its owner.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.archive import Section, definitions_archive, kinds, superuser_entries
from pgvow.postgres.pg_restore import restore_wave
from pgvow.postgres.private_directories import temporary_files
from pgvow.postgres.restore_order import Stage, Wave, event_triggers, waves
from pgvow.postgres.restorer import change_grants
from pgvow.postgres.sql import query
from pgvow.postgres.sqlstates import failed_entry
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Metadata
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import PgRestoreOptions, RestoreError, ServerTools
    from pgvow.postgres.restorer import Restorer
    from pgvow.store import StoredBackup

FEWEST_JOBS = 2
"""A serial pg_restore refills the free space of earlier pages, and changes the order of rows."""
_MOST_JOBS = 8
# pg_restore passes over an entry without any definition, and over its owner with it.
_NO_DEFINITION = "--\n"
_OWNED = (Section.PRE_DATA, Section.POST_DATA)
_BY_THE_HELPER = (Stage.ROWS, Stage.INDEXES, Stage.CONDITIONS)


def default_jobs() -> int:
    """Return the number of processors, but at least ``FEWEST_JOBS`` and at most eight."""
    return max(FEWEST_JOBS, min(os.cpu_count() or 1, _MOST_JOBS))


def is_given_away(entry: TocEntry) -> bool:
    """Whether pg_restore names the owner of an object, as it does of all that it could drop."""
    return bool(entry.owner and entry.drop and entry.section in _OWNED)


def open_restored(tools: ServerTools, dbname: str) -> Session:
    """Open a session in a database that is restored, with an empty search_path.

    Operators that the backup has in ``public`` could take the place of the catalog's in our own
    queries, and run with our rights.
    """
    session = tools.open(dbname)
    session.execute("SET client_encoding TO UTF8")
    session.execute("SET search_path TO ''")
    return session


@dataclass(frozen=True, slots=True)
class CheckedBackup:
    """The first stage: a backup that a server can take; nothing has been made there yet.

    ``stored`` is at hand, for pg_restore reads its dump many times. ``entries`` are those to
    restore; they may name other owners than the dump does, and then ``owners_later`` is set.
    ``tools`` connect as the role that was asked to restore.
    """

    stored: StoredBackup
    metadata: Metadata
    toc: TableOfContents
    entries: tuple[TocEntry, ...]
    tools: ServerTools
    owners_later: bool = False


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """A refusal of the server; ``entry`` is None if it is not certain which one it is of."""

    entry: TocEntry | None
    error: RestoreError


@dataclass(frozen=True, slots=True)
class FilledDatabase:
    """The second stage: a database that has all entries but those of ``failures``."""

    filling: Filling
    failures: tuple[FailedEntry, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RestorerTools:
    """The role that restores in the place of a superuser, and the tools that connect as it.

    One fills one database: the end of a filling takes all its grants, in every database.
    """

    name: str
    tools: ServerTools

    @classmethod
    def of(cls, restorer: Restorer | None, tools: ServerTools) -> RestorerTools | None:
        """Let a role restore on the server that the tools are for; None without a role."""
        return cls(restorer.name, tools.as_role(restorer)) if restorer else None


@dataclass(frozen=True, slots=True)
class Filling:
    """One database, and how it is filled: ``run``, then ``release``, then ``event_triggers``.

    Each of them ends at the first failure; those with a result return the failures. ``seconds`` has
    the time that each stage took so far.
    """

    backup: CheckedBackup
    dbname: str
    manner: PgRestoreOptions
    helper: RestorerTools | None = None
    _borrowed: dict[tuple[str, str | None, str], str] = field(default_factory=dict)
    seconds: dict[Stage, float] = field(default_factory=dict)

    @property
    def _gives(self) -> bool:
        """Whether objects are made without their owners, and given to them afterwards."""
        return self.helper is not None or self.backup.owners_later

    def run(self, after_rows: Callable[[], None] = lambda: None) -> tuple[FailedEntry, ...]:
        """Restore everything but event triggers.

        ``after_rows`` is called between the last row and the first index. Raises psycopg.Error if
        a session of ours fails.
        """
        divided = self._waves()
        self._prepare()
        if failures := self._restore(divided, Stage.ROWS):
            return failures
        after_rows()
        return (
            self._restore(divided, Stage.INDEXES, Stage.CONDITIONS)
            or (self._hand_over() if self._gives else ())
            or self._restore(divided, Stage.VIEWS)
        )

    def release(self) -> None:
        """Take everything from the helper; raises psycopg.Error.

        Objects that the archive names no owner of become our own. Until then the server fills
        views, and analyzes, with the helper's rights.
        """
        if self.helper is None:
            return
        role = sql.Identifier(self.helper.name)
        with self._session() as session:
            session.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
            # Its grants in other databases go too: it may fill no other one at the same time.
            change_grants(session, sql.SQL("DROP OWNED BY {}").format(role))

    def event_triggers(self) -> tuple[FailedEntry, ...]:
        """Make the event triggers, which would act on everything that is done after them.

        By one connection: workers that connect later would meet those that act on a login.
        """
        entries = event_triggers(self.backup.entries)
        return self._definitions(entries, Stage.EVENT_TRIGGERS) if entries else ()

    def _session(self) -> Session:
        return open_restored(self.backup.tools, self.dbname)

    def _waves(self) -> tuple[Wave, ...]:
        entries = self.backup.entries
        if self._gives:
            entries = _without_roles(entries)
        above = superuser_entries(entries) if self.helper else ()
        return waves(entries, jobs=self.manner.jobs, above=above)

    def _restore(self, divided: Sequence[Wave], *stages: Stage) -> tuple[FailedEntry, ...]:
        for wave in divided:
            if wave.stage not in stages:
                continue
            if failures := self._wave(wave):
                return failures
            if wave.above and wave.stage is Stage.ROWS:
                self._borrow()
        return ()

    def _wave(self, wave: Wave) -> tuple[FailedEntry, ...]:
        early = wave.stage in _BY_THE_HELPER
        manner = replace(self.manner, no_owner=self.manner.no_owner or (self._gives and early))
        by_helper = self.helper is not None and early and not wave.above
        tools = self.helper.tools if self.helper and by_helper else self.backup.tools
        with self.backup.stored.local_path() as dump:
            return self._failures(tools, dump, wave, manner)

    def _definitions(self, entries: Sequence[TocEntry], stage: Stage) -> tuple[FailedEntry, ...]:
        """Restore entries as they are here, not as the dump has them, by an archive of our own."""
        # A grant on many large objects is written for the numbers that another entry has.
        needed = {number for entry in entries for number in entry.dependencies}
        toc = self.backup.toc
        special = [
            entry
            for entry in toc.entries
            if entry.desc in kinds.PREAMBLE
            or (entry.desc == kinds.BLOB_METADATA and entry.dump_id in needed)
        ]
        with self.backup.stored.open_dump() as file:
            archive = definitions_archive(file, [*special, *entries], toc.encoding)
        manner = replace(self.manner, alone=True)
        with temporary_files(), temporary_folder("pgvow-restore-") as folder:
            path = folder / "owners.dump"
            path.write_bytes(archive)
            return self._failures(self.backup.tools, path, Wave(stage, tuple(entries)), manner)

    def _failures(
        self, tools: ServerTools, archive: Path, wave: Wave, manner: PgRestoreOptions
    ) -> tuple[FailedEntry, ...]:
        """Restore a wave; returns the entry that was refused, as the dump has it."""
        started = time.monotonic()
        error = restore_wave(tools, archive, self.dbname, wave, manner)
        taken = time.monotonic() - started
        self.seconds[wave.stage] = self.seconds.get(wave.stage, 0.0) + taken
        if error is None:
            return ()
        refused = failed_entry(error, wave.entries)
        number = refused.dump_id if refused else error.dump_id
        entries = self.backup.toc.entries
        return (FailedEntry(next((e for e in entries if e.dump_id == number), None), error),)

    def _hand_over(self) -> tuple[FailedEntry, ...]:
        """Give everything to its owners, and restore the grants."""
        if self.helper is not None:
            self._give_back()
        if not (self.manner.schema_only or self.manner.no_owner):
            self._give_large_objects()
        return self._definitions(_ownership(self.backup.entries), Stage.CONDITIONS)

    def _give_large_objects(self) -> None:
        """Give large objects to their owners: from 17 on pg_restore would make them anew."""
        groups = [entry for entry in self.backup.entries if entry.desc == kinds.BLOB_METADATA]
        if not groups:
            return
        statement = sql.SQL("ALTER LARGE OBJECT {} OWNER TO {}")
        with self._session() as session:
            for group in groups:
                owner = sql.Identifier(group.owner)
                for oid in group.defn.split():
                    session.execute(statement.format(sql.Literal(int(oid)), owner))

    def _prepare(self) -> None:
        """Let the helper make objects in the database, and in its tablespaces."""
        if self.helper is None:
            return
        role = sql.Identifier(self.helper.name)
        grant = sql.SQL("GRANT CREATE, CONNECT, TEMPORARY ON DATABASE {} TO {}")
        spaces = {entry.tablespace for entry in self.backup.entries if self.manner.tablespaces}
        with self._session() as session:
            change_grants(session, grant.format(sql.Identifier(self.dbname), role))
            if default := _default_tablespace(session):
                # It is our own setting, which the helper does not have.
                statement = sql.SQL("ALTER ROLE {} SET default_tablespace TO {}")
                session.execute(statement.format(role, sql.Literal(default)))
                spaces.add(default)
            for name in sorted(spaces - {""}):
                statement = sql.SQL("GRANT CREATE ON TABLESPACE {} TO {}")
                change_grants(session, statement.format(sql.Identifier(name), role))
        self._borrow()

    def _borrow(self) -> None:
        """Let the helper own ``public`` and the tables of extensions during the restore.

        Only an owner may load rows, refer by a foreign key, or make an index. The database itself
        stays a superuser's: its owner could set a search_path for our own sessions.
        """
        if self.helper is None:
            return
        with self._session() as session:
            rows = session.execute(query("extension_relations")).fetchall()
            for kind, schema, name, owner in rows:
                if owner != self.helper.name:
                    _own(session, kind, (schema, name), self.helper.name)
                    self._borrowed[kind, schema, name] = owner

    def _give_back(self) -> None:
        with self._session() as session:
            for (kind, schema, name), owner in self._borrowed.items():
                _own(session, kind, (schema, name), owner)


def _default_tablespace(session: Session) -> str:
    row = session.execute("SHOW default_tablespace").fetchone()
    return str(row[0]) if row else ""


def _without_roles(entries: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Leave out the entries that name roles: they come with the owners."""
    later = _naming_roles(entries)
    return tuple(entry for entry in entries if entry.dump_id not in later)


def _naming_roles(entries: Iterable[TocEntry]) -> set[int]:
    """Return the numbers of entries that name roles, and of the comments on those."""
    entries = tuple(entries)
    naming = {entry.dump_id for entry in entries if entry.desc in kinds.NAMING_ROLES}
    return naming | {
        entry.dump_id
        for entry in entries
        if entry.desc in kinds.REMARKS and not naming.isdisjoint(entry.dependencies)
    }


def _ownership(restored: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Return entries that give each object to its owner, and those that name roles."""
    later = _naming_roles(restored)
    events = {entry.dump_id for entry in event_triggers(restored)}
    giving = [
        entry if entry.dump_id in later else replace(entry, defn=_NO_DEFINITION)
        for entry in restored
        if entry.dump_id not in events and (entry.dump_id in later or is_given_away(entry))
    ]
    # A sequence of a table goes with the table; by itself it can go only if it is there already.
    return tuple(sorted(giving, key=lambda entry: entry.desc == kinds.SEQUENCE))


def _own(session: Session, kind: str, name: tuple[str | None, str], owner: str) -> None:
    """Give a schema, table or sequence to a role."""
    keyword = {"SCHEMA": sql.SQL("SCHEMA"), "SEQUENCE": sql.SQL("SEQUENCE")}.get(kind)
    session.execute(
        sql.SQL("ALTER {} {} OWNER TO {}").format(
            keyword or sql.SQL("TABLE"),
            sql.Identifier(*filter(None, name)),
            sql.Identifier(owner),
        )
    )
