"""The owners of restored objects: a role without rights has them all, and gives them away."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from psycopg import errors, sql

from pgvow.archive import Section, kinds
from pgvow.operations.core.stages import open_restored
from pgvow.postgres.restore_order import event_triggers
from pgvow.postgres.restorer import change_grants
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvow.archive import TocEntry
    from pgvow.operations.core.stages import CheckedBackup, RestorerTools
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import PgRestoreOptions

# pg_restore passes over an entry without any definition, and over its owner with it.
NO_DEFINITION = "--\n"
"""The definition of an entry that only names an owner."""
_OWNED = (Section.PRE_DATA, Section.POST_DATA)


def is_given_away(entry: TocEntry) -> bool:
    """Whether pg_restore names the owner of an object, as it does of all that it could drop."""
    return bool(entry.owner and entry.drop and entry.section in _OWNED)


@dataclass(frozen=True, slots=True)
class Owners:
    """The rights of the helper in one database, and how they are taken back.

    ``lenient``: large objects whose owner is missing stay with the role that restores.
    """

    backup: CheckedBackup
    dbname: str
    manner: PgRestoreOptions
    helper: RestorerTools | None
    lenient: bool = False
    _borrowed: dict[tuple[str, str | None, str], str] = field(default_factory=dict)

    def prepare(self) -> None:
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
        self.borrow()

    def borrow(self) -> None:
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

    def give_back(self) -> None:
        """Give all that was borrowed to its owners, and large objects to theirs."""
        if self.helper is not None:
            with self._session() as session:
                for (kind, schema, name), owner in self._borrowed.items():
                    _own(session, kind, (schema, name), owner)
        if not (self.manner.schema_only or self.manner.no_owner):
            self._give_large_objects()

    def release(self) -> None:
        """Take everything from the helper; raises psycopg.Error.

        Objects that the archive names no owner of become our own.
        """
        if self.helper is None:
            return
        role = sql.Identifier(self.helper.name)
        with self._session() as session:
            session.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
            # Its grants in other databases go too: it may fill no other one at the same time.
            change_grants(session, sql.SQL("DROP OWNED BY {}").format(role))

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
                    try:
                        session.execute(statement.format(sql.Literal(int(oid)), owner))
                    except (errors.UndefinedObject, errors.InsufficientPrivilege):
                        if not self.lenient:
                            raise
                        self.manner.warn(f"large objects of {group.owner} could not be given to it")
                        break

    def _session(self) -> Session:
        return open_restored(self.backup.tools, self.dbname)


def _default_tablespace(session: Session) -> str:
    row = session.execute("SHOW default_tablespace").fetchone()
    return str(row[0]) if row else ""


def without_roles(entries: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Leave out the entries that name roles: they come with the owners."""
    later = _naming_roles(entries)
    return tuple(entry for entry in entries if entry.dump_id not in later)


def ownership(restored: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Return entries that give each object to its owner, and those that name roles."""
    later = _naming_roles(restored)
    events = {entry.dump_id for entry in event_triggers(restored)}
    giving = [
        entry if entry.dump_id in later else replace(entry, defn=NO_DEFINITION)
        for entry in restored
        if entry.dump_id not in events and (entry.dump_id in later or is_given_away(entry))
    ]
    # A sequence of a table goes with the table; by itself it can go only if it is there already.
    return tuple(sorted(giving, key=lambda entry: entry.desc == kinds.SEQUENCE))


def _naming_roles(entries: Iterable[TocEntry]) -> set[int]:
    """Return the numbers of entries that name roles, and of the comments on those."""
    entries = tuple(entries)
    naming = {entry.dump_id for entry in entries if entry.desc in kinds.NAMING_ROLES}
    return naming | {
        entry.dump_id
        for entry in entries
        if entry.desc in kinds.REMARKS and not naming.isdisjoint(entry.dependencies)
    }


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
