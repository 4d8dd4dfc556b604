"""Restore again, after the others, the entries that the server refused.

A function may ask a table that is loaded later, or name one without its schema: pg_restore's
search_path is empty, and the source's is not. Entries of a superuser keep the empty one.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, kinds
from pgvow.operations.core.definitions import restore_definitions
from pgvow.operations.core.stages import FailedEntry, RetriedEntry
from pgvow.postgres.database_settings import role_setting_name, setting_name
from pgvow.postgres.entry_session import prepare_for_entry, refusal, restore_entry
from pgvow.postgres.pg_restore import RestoreError
from pgvow.postgres.restore_messages import of_surroundings
from pgvow.postgres.restore_order import Stage, Wave
from pgvow.postgres.statements import quoted, statements, written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pgvow.archive import TocEntry
    from pgvow.operations.core.stages import CheckedBackup, RestorerTools
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import PgRestoreOptions, ServerTools
    from pgvow.postgres.statements import Statement

_BY_THE_HELPER = (Stage.ROWS, Stage.INDEXES, Stage.CONDITIONS)
_DEFAULT_PATH = '"$user", public'
# Rows that break a rule do so under every search_path.
_RULES = "23"
# duplicate_schema, _table, _object, _function
_THERE_ALREADY = frozenset({"42P06", "42P07", "42710", "42723"})
_LATER = "after the others"


@dataclass
class Retrying:
    """The second attempts of one filling; ``retried`` are the entries that came so."""

    backup: CheckedBackup
    dbname: str
    manner: PgRestoreOptions
    helper: RestorerTools | None
    above: Collection[int]
    retried: list[RetriedEntry]

    def run(self, stage: Stage, failed: Sequence[FailedEntry]) -> tuple[FailedEntry, ...]:
        """Restore entries again, as long as one of them helps another; returns those left."""
        waiting = tuple(failed)
        while waiting:
            left = tuple(self._left(stage, waiting))
            if any(each.ends for each in left) or len(left) == len(waiting):
                return left
            waiting = left
        return ()

    def _left(self, stage: Stage, waiting: Sequence[FailedEntry]) -> Iterator[FailedEntry]:
        for failure in waiting:
            entry = failure.entry
            if entry is None or not (entry.is_table_data or entry.defn):
                yield failure
                continue
            attempt = self._rows if entry.is_table_data else self._definition
            left = attempt(stage, failure, entry)
            if left is None:
                continue
            yield left
            if left.ends:
                return

    def tools(self, stage: Stage, entry: TocEntry) -> ServerTools:
        """Return the tools of the role that restores an entry."""
        by_helper = stage in _BY_THE_HELPER and entry.dump_id not in self.above
        return self.helper.tools if self.helper and by_helper else self.backup.tools

    def paths(self, entry: TocEntry) -> tuple[str, ...]:
        """Return the search_paths of the source's sessions under which an entry may be restored."""
        # A superuser must not meet operators of the source's in the place of the catalog's; a view
        # is filled with the rights of its owner.
        by_us = entry.dump_id in self.above or entry.desc == kinds.STATISTICS_DATA
        return () if self.helper and by_us else self.own_paths

    def _rows(self, stage: Stage, failure: FailedEntry, entry: TocEntry) -> FailedEntry | None:
        """Load the rows of a table; returns the failure if that is refused again."""
        for path in ("", *self.paths(entry)):
            try:
                with (
                    closing(self.tools(stage, entry).open(self.dbname)) as session,
                    session.transaction(),
                ):
                    prepare_for_entry(session, self.backup.toc, stage, path)
                    restore_entry(session, self.backup.stored, self.backup.toc, entry)
            except psycopg.Error as error:
                failure = _again(failure, str(error).strip(), error.sqlstate)
                if failure.ends:
                    return failure
            except ArchiveError:
                return failure
            else:
                self._note(entry, path)
                return None
        return failure

    def _definition(
        self, stage: Stage, failure: FailedEntry, entry: TocEntry
    ) -> FailedEntry | None:
        """Restore a definition; returns the failure, with its SQLSTATE, if it is refused again."""
        with closing(self.tools(stage, entry).open(self.dbname)) as session:
            refused = refusal(session, self.backup.stored, self.backup.toc, entry, stage)
        if refused is not None and refused.sqlstate in _THERE_ALREADY:
            return (
                failure  # it was made, and then something about it was refused, such as its owner
            )
        if refused is not None:
            failure = replace(failure, error=replace(failure.error, sqlstate=refused.sqlstate))
            if of_surroundings(str(refused), refused.sqlstate):
                return _again(failure, str(refused).strip(), refused.sqlstate)
            if (refused.sqlstate or "").startswith(_RULES):
                return failure
        for path in self.paths(entry) if refused else ("", *self.paths(entry)):
            left = self._pg_restore(stage, failure, entry, path)
            if left is None:
                self._note(entry, path)
                return None
            failure = left
            if failure.ends:
                return failure
        return failure

    def _pg_restore(
        self, stage: Stage, failure: FailedEntry, entry: TocEntry, path: str
    ) -> FailedEntry | None:
        errors = restore_definitions(
            self.backup,
            self.tools(stage, entry),
            self.dbname,
            Wave(stage, (entry,)),
            self.manner,
            search_path=path,
        )
        if not errors.errors:
            return None
        complaint = errors.errors[0].complaint
        if errors.is_cut_off or of_surroundings(complaint):  # not by the SQLSTATE of before
            error = replace(failure.error, complaint=complaint, sqlstate=None)
            return FailedEntry(entry, error, ends=True)
        return _again(failure, complaint, failure.error.sqlstate)

    def _note(self, entry: TocEntry, path: str) -> None:
        manner = f"under search_path {path}" if path else _LATER
        self.retried.append(RetriedEntry(entry, manner))

    @cached_property
    def own_paths(self) -> tuple[str, ...]:
        """The search_paths that the source's sessions had, the database's own first."""
        return tuple(search_paths(self.backup, self._value_of))

    def _value_of(self, statement: bytes) -> str | None:
        """Return the value of search_path that a SET gives it; None if it is refused."""
        tools = self.helper.tools if self.helper else self.backup.tools
        with closing(tools.open(self.dbname)) as session:
            return _value(session, statement)


def _value(session: Session, statement: bytes) -> str | None:
    try:
        session.execute(statement)
        row = session.execute("SHOW search_path").fetchone()
    except psycopg.Error:
        return None
    return str(row[0]) if row else None


def _again(failure: FailedEntry, complaint: str, sqlstate: str | None) -> FailedEntry:
    ends = of_surroundings(complaint, sqlstate)
    error = RestoreError(failure.error.dump_id, complaint, sqlstate, failure.error.stage)
    return FailedEntry(failure.entry, error, ends)


def search_paths(backup: CheckedBackup, value_of: Callable[[bytes], str | None]) -> Iterator[str]:
    """Yield the search_paths that the source's sessions had: the database's own, its roles'.

    ``$user`` is the database's owner. ``value_of`` returns the value that a SET statement sets.
    """
    entries = backup.toc.entries
    owner = next((entry.owner for entry in entries if entry.desc == kinds.DATABASE), "")
    given = [
        each
        for entry in entries
        if entry.desc == kinds.DATABASE_PROPERTIES
        for each in statements(entry.defn)
    ]
    of_database = [each for each in given if setting_name(each) == "search_path"]
    of_roles = [each for each in given if role_setting_name(each) == "search_path"]
    values = [_DEFAULT_PATH] if not of_database else []
    values += [
        value
        for each in (*of_database, *of_roles)
        if (value := value_of(_set_statement(each))) is not None
    ]
    mine = f"{quoted(owner)}, " if owner else ""
    yield from dict.fromkeys(value.replace('"$user", ', mine) for value in values)


def _set_statement(statement: Statement) -> bytes:
    """Return SET search_path TO …, with the value of an ALTER DATABASE or ALTER ROLE."""
    places = [n for n, token in enumerate(statement) if token.keyword == "SET"]
    return written(statement[places[-1] :])
