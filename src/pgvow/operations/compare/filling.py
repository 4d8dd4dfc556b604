"""Fill an empty database from an archive: the one way, for ``restore`` and for ``prove``.

What a superuser restores, a role without his rights restores, as far as it can (``restorer``): all
that it makes is given to its owners when rows, indexes and constraints are there. Materialized
views come behind that, for the server fills each as its owner.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.archive import Section, definitions_archive, superuser_entries
from pgvow.finished_file import open_finished
from pgvow.postgres.pg_restore import restore_wave
from pgvow.postgres.restore_order import Stage, Wave, event_triggers, waves
from pgvow.postgres.restorer import change_grants
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from pgvow.archive import Entry, TableOfContents
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import Manner, RestoreError, ToolsFor

_NAMING_ROLES = frozenset({"ACL", "DEFAULT ACL", "POLICY", "USER MAPPING"})
_SAID_OF_IT = frozenset({"COMMENT", "SECURITY LABEL"})
_LARGE_OBJECTS = "BLOB METADATA"
_SPECIAL = ("ENCODING", "STDSTRINGS", "SEARCHPATH")
# An entry without any definition is passed over, and its owner with it.
_NOTHING = "--\n"
_OWNED = (Section.PRE_DATA, Section.POST_DATA)
_EARLY = (Stage.ROWS,)
_BEFORE_OWNERS = (Stage.INDEXES, Stage.CONDITIONS)
_AFTER_OWNERS = (Stage.VIEWS,)
_LAST = (Stage.EVENT_TRIGGERS,)


def is_given_away(entry: Entry) -> bool:
    """Whether pg_restore names the owner of an object, as it does of all that it could drop."""
    return bool(entry.owner and entry.drop and entry.section in _OWNED)


@dataclass(frozen=True, slots=True)
class Helper:
    """The role that restores in the place of a superuser, and the tools that connect as it.

    One fills one database: the end of a filling takes all its grants, in every database.
    """

    name: str
    tools: ToolsFor


@dataclass(frozen=True, slots=True)
class Filling:
    """One database to fill.

    ``tools`` connect as the role that was asked to restore, and ``session`` opens one as it in the
    database. ``entries`` may name other owners than the dump does; ``owners_later`` is for that.
    """

    dump: Path
    dbname: str
    toc: TableOfContents
    entries: tuple[Entry, ...]
    tools: ToolsFor
    session: Callable[[], AbstractContextManager[Session]]
    manner: Manner
    helper: Helper | None = None
    owners_later: bool = False
    _borrowed: dict[tuple[str, str | None, str], str] = field(default_factory=dict)

    @property
    def _gives(self) -> bool:
        """Whether objects are made without their owners, and given to them afterwards."""
        return self.helper is not None or self.owners_later

    def run(self, when_rows_are_there: Callable[[], None] = lambda: None) -> RestoreError | None:
        """Restore all but event triggers, and stop at the first error, which is returned.

        ``when_rows_are_there`` is called between the last row and the first index. Raises
        psycopg.Error if the session fails.
        """
        divided = self._divided()
        self._prepare()
        if error := self._each(divided, _EARLY):
            return error
        when_rows_are_there()
        error = self._each(divided, _BEFORE_OWNERS)
        if error is None and self._gives:
            error = self._hand_over()
        return error or self._each(divided, _AFTER_OWNERS)

    def finish(self) -> RestoreError | None:
        """Keep nothing for the helper, then make the event triggers, which would act on that.

        Objects that the archive names no owner of become our own; until then the server fills
        views, and analyzes, with the helper's rights. Raises psycopg.Error.
        """
        self._release()
        return self._each(self._divided(), _LAST)

    def _divided(self) -> tuple[Wave, ...]:
        entries = without_roles(self.entries) if self._gives else self.entries
        above = superuser_entries(entries) if self.helper else ()
        return waves(entries, jobs=self.manner.jobs, above=above)

    def _release(self) -> None:
        if self.helper is None:
            return
        role = sql.Identifier(self.helper.name)
        with self.session() as session:
            session.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
            # Also what it was granted elsewhere: no other database may be filled by it meanwhile.
            change_grants(session, sql.SQL("DROP OWNED BY {}").format(role))

    def _each(self, divided: Sequence[Wave], stages: tuple[Stage, ...]) -> RestoreError | None:
        for wave in divided:
            if wave.stage not in stages:
                continue
            if error := self._wave(wave):
                return error
            if wave.above and wave.stage is Stage.ROWS:
                self._borrow()
        return None

    def _wave(self, wave: Wave) -> RestoreError | None:
        if self._gives and wave.stage is Stage.EVENT_TRIGGERS:
            return self.definitions(wave.entries, stage=wave.stage)
        before = wave.stage not in (*_AFTER_OWNERS, *_LAST)
        manner = replace(self.manner, no_owner=self.manner.no_owner or (self._gives and before))
        tools = self.helper.tools if self.helper and before and not wave.above else self.tools
        return restore_wave(tools, self.dump, self.dbname, wave, manner)

    def definitions(
        self, entries: Sequence[Entry], *, stage: Stage = Stage.CONDITIONS
    ) -> RestoreError | None:
        """Restore entries as they are here, not as the dump has them, by an archive of our own."""
        # A grant on many large objects is written for the numbers that another entry has.
        leaning = {number for entry in entries for number in entry.dependencies}
        special = [
            entry
            for entry in self.toc.entries
            if entry.desc in _SPECIAL or (entry.desc == _LARGE_OBJECTS and entry.dump_id in leaning)
        ]
        with open_finished(self.dump) as file:
            archive = definitions_archive(file, [*special, *entries], self.toc.encoding)
        manner = replace(self.manner, alone=True)
        with tempfile.TemporaryDirectory(prefix="pgvow-restore-") as folder:
            path = Path(folder) / "owners.dump"
            path.write_bytes(archive)
            wave = Wave(stage, tuple(entries))
            return restore_wave(self.tools, path, self.dbname, wave, manner)

    def _hand_over(self) -> RestoreError | None:
        """Give everything to its owners, and grant what was granted."""
        if self.helper is not None:
            self._give_back()
        if not (self.manner.schema_only or self.manner.no_owner):
            self._give_large_objects()
        return self.definitions(_ownership(self.entries))

    def _give_large_objects(self) -> None:
        """From 17 on an entry has many of them, and pg_restore would make them anew."""
        groups = [entry for entry in self.entries if entry.desc == _LARGE_OBJECTS]
        if not groups:
            return
        statement = sql.SQL("ALTER LARGE OBJECT {} OWNER TO {}")
        with self.session() as session:
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
        spaces = {entry.tablespace for entry in self.entries if self.manner.tablespaces}
        with self.session() as session:
            change_grants(session, grant.format(sql.Identifier(self.dbname), role))
            if default := _default_tablespace(session):
                # Ours is where objects would go; the helper has no setting of its own.
                statement = sql.SQL("ALTER ROLE {} SET default_tablespace TO {}")
                session.execute(statement.format(role, sql.Literal(default)))
                spaces.add(default)
            for name in sorted(spaces - {""}):
                statement = sql.SQL("GRANT CREATE ON TABLESPACE {} TO {}")
                change_grants(session, statement.format(sql.Identifier(name), role))
        self._borrow()

    def _borrow(self) -> None:
        """Let the helper own ``public`` and the tables of extensions for the time of the restore.

        Only an owner may load rows, refer by a foreign key, or make an index. The database itself
        stays a superuser's: its owner could set a search_path for our own sessions.
        """
        if self.helper is None:
            return
        with self.session() as session:
            rows = session.execute(query("extension_relations")).fetchall()
            for kind, schema, name, owner in rows:
                if owner != self.helper.name:
                    _own(session, kind, (schema, name), self.helper.name)
                    self._borrowed[kind, schema, name] = owner

    def _give_back(self) -> None:
        with self.session() as session:
            for (kind, schema, name), owner in self._borrowed.items():
                _own(session, kind, (schema, name), owner)


def _default_tablespace(session: Session) -> str:
    row = session.execute("SHOW default_tablespace").fetchone()
    return str(row[0]) if row else ""


def without_roles(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Leave out what names roles: it has its turn with the owners."""
    later = _naming_roles(entries)
    return tuple(entry for entry in entries if entry.dump_id not in later)


def _naming_roles(entries: Iterable[Entry]) -> set[int]:
    """Return the numbers of entries that name roles, and of the comments on those."""
    entries = tuple(entries)
    found = {entry.dump_id for entry in entries if entry.desc in _NAMING_ROLES}
    return found | {
        entry.dump_id
        for entry in entries
        if entry.desc in _SAID_OF_IT and not found.isdisjoint(entry.dependencies)
    }


def _ownership(restored: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return entries that give each object to its owner, and those that name roles."""
    later = _naming_roles(restored)
    events = {entry.dump_id for entry in event_triggers(restored)}
    found = [
        entry if entry.dump_id in later else replace(entry, defn=_NOTHING)
        for entry in restored
        if entry.dump_id not in events and (entry.dump_id in later or is_given_away(entry))
    ]
    # A sequence that belongs to a table goes with it, and by itself only where it is already there.
    return tuple(sorted(found, key=lambda entry: entry.desc == "SEQUENCE"))


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
