"""Lock the tables, then take one snapshot that several sessions can share.

TRUNCATE and table rewrites do not heed snapshots: a table that is truncated after the snapshot was
taken and before it is read comes back empty. So the order is: our session begins its transaction
and takes ``LOCK TABLE … IN ACCESS SHARE MODE NOWAIT`` as its *first* statement, which takes no
snapshot yet; only then it exports its snapshot, for pg_dump to import. Whatever was committed
before the locks is seen, and nothing can come between them and the last row read.

The lock is NOWAIT because waiting would queue us behind a migration and every reader of the table
behind us. When one is refused all are released and it is tried again.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from pgvow.errors import LockNotGranted
from pgvow.model import SnapshotFacts, table_key
from pgvow.postgres.connection import readable, translate, watch_for_our_death
from pgvow.postgres.filters import refuse_unless_whole
from pgvow.postgres.lock_holders import LockWatch
from pgvow.postgres.server import behind_pooler
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pgvow.postgres.connection import ConnectionTarget, Session

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.25
_SEE_WHO = "See who holds it: SELECT pid, state, query FROM pg_stat_activity WHERE state <> 'idle'"


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table as the catalog has it; ``filter`` is an extension's own WHERE clause, or empty.

    ``narrowest`` is the column that costs least to be copied, empty if COPY has none of it;
    ``narrowest_varies`` if even that is of no fixed length.
    """

    oid: int
    schema: str
    name: str
    has_rows: bool
    filter: str
    size_bytes: int
    narrowest: str = ""
    narrowest_varies: bool = False

    @property
    def identity(self) -> tuple[int, str, str, bool, str]:
        """The facts that must not change between reading the catalog and holding the lock."""
        return (self.oid, self.schema, self.name, self.has_rows, self.filter)

    @property
    def identifier(self) -> sql.Identifier:
        """The qualified name for a statement."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """A snapshot, the session that exported it, and the tables that this session keeps locked.

    ``locked`` is False if the server's lock table was too small for them: then the tables are
    safe only from the moment pg_dump holds its own locks. ``watched`` tells whether a tool may ask
    the server to notice our death.
    """

    id: str
    session: Session
    tables: tuple[CatalogTable, ...]
    locked: bool
    watched: bool
    facts: SnapshotFacts | None = None

    def readable(self, name: str) -> str:
        """Turn a name as the session carries it into one for people."""
        return readable(self.session, name)

    def keys(self) -> dict[int, str]:
        """Map each table's oid to its name for people."""
        return _keys(self.session, self.tables)

    def release(self) -> None:
        """Give up the locks and the snapshot; pg_dump has both by now."""
        self.session.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class SelectedTables:
    """Not all tables: the oids of those that pg_dump locks, and of those whose rows it copies."""

    locked: frozenset[int]
    copied: frozenset[int]

    def of(self, tables: Sequence[CatalogTable]) -> tuple[CatalogTable, ...]:
        """Return those of the tables."""
        return tuple(
            replace(table, has_rows=table.oid in self.copied)
            for table in tables
            if table.oid in self.locked
        )


class Locks(Protocol):
    """Who holds the locks on the tables, beside the session that exports the snapshot."""

    def take(self, tables: Sequence[CatalogTable]) -> None:
        """Lock them all, in transactions that have no snapshot yet.

        Raises psycopg's errors; whatever was locked before is released by ``release``.
        """

    def adopt(self, snapshot: str) -> None:
        """Go on in the snapshot that was exported."""

    def sizes(self, oids: Sequence[int]) -> Mapping[int, int]:
        """Ask for heap and TOAST of each of the locked tables, in bytes."""

    def release(self) -> None:
        """Release all that is held; repeating it is harmless."""


class OwnLocks:
    """The exporting session itself holds the locks."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, tables: Sequence[CatalogTable]) -> None:
        """Lock them all."""
        if tables:
            self._session.execute(lock_statement(tables))

    def adopt(self, snapshot: str) -> None:
        """Do nothing: it is this session's own."""

    def sizes(self, oids: Sequence[int]) -> Mapping[int, int]:
        """Ask for the true sizes, now that nobody can make us wait for them."""
        rows = self._session.execute(query("table_sizes"), {"oids": list(oids)}).fetchall()
        return {int(oid): int(size) for oid, size in rows}

    def release(self) -> None:
        """Do nothing: the end of the exporting transaction releases them."""


class NoLocks:
    """Nobody does: pg_dump's own will have to do."""

    def take(self, tables: Sequence[CatalogTable]) -> None:
        """Do nothing."""

    def adopt(self, snapshot: str) -> None:
        """Do nothing."""

    def sizes(self, oids: Sequence[int]) -> Mapping[int, int]:  # noqa: ARG002
        """Know nothing: asking would wait for whoever holds a table."""
        return {}

    def release(self) -> None:
        """Do nothing."""


class BeginAnewError(Exception):
    """Somebody got between our locks or counts and pg_dump's: release, let them, begin again."""


class LockTableFullError(Exception):
    """The server's lock table cannot hold our locks beside pg_dump's."""


class _TryAgainError(Exception):
    """One of ``tables`` was locked by others, or the catalog changed under our hands."""

    def __init__(self, cause: str, tables: Sequence[CatalogTable]) -> None:
        super().__init__(cause)
        self.tables = tables


@dataclass(frozen=True, slots=True)
class Deadline:
    """When to stop trying, by a clock that only goes forward; ``watch`` sees who is in our way."""

    seconds: float
    started: float
    watch: LockWatch = field(default_factory=LockWatch, compare=False)

    @classmethod
    def after(cls, seconds: float, warn: Callable[[str], None] | None = None) -> Deadline:
        """Start the clock; ``warn`` is told of the sessions that keep us waiting."""
        return cls(seconds, time.monotonic(), LockWatch(warn))

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self.started >= self.seconds


@contextmanager
def hold_snapshot(
    target: ConnectionTarget,
    *,
    deadline: Deadline,
    warn: Callable[[str], None],
    locked: bool = True,
    chosen: SelectedTables | None = None,
) -> Iterator[HeldSnapshot]:
    """Hold locks and an exported snapshot until the block is left, then release both.

    Without ``locked``, or if the server's lock table is too small, the snapshot alone. Raises
    LockNotGranted when a table stays locked by others until the deadline.
    """
    with target.connect("snapshot") as session:
        try:
            watched = watchable(session)
            locks = OwnLocks(session) if locked else NoLocks()
            try:
                held = persist(session, locks, deadline=deadline, watched=watched, chosen=chosen)
            except psycopg.errors.OutOfMemory:
                if not locked:
                    raise
                held = persist(
                    session, NoLocks(), deadline=deadline, watched=watched, chosen=chosen
                )
        except psycopg.Error as error:
            raise translate(error, target.facts) from error
        except LockNotGranted as error:
            raise error.with_facts(target.facts) from None
        if not held.locked:
            warn(
                f"the server's lock table is too small for {len(held.tables)} tables"
                " (max_locks_per_transaction): relying on pg_dump's own locks"
            )
        try:
            yield held
        except BeginAnewError:
            deadline.watch.look(session, held.keys(), now=True)  # before our locks are gone
            raise
        finally:
            end_transaction(session)


def watchable(session: Session) -> bool:
    """Let the server notice our death, and tell whether our tools may ask it for the same."""
    # A pooler refuses the startup parameter by which they would.
    return watch_for_our_death(session) and not behind_pooler(session)


def persist(
    session: Session,
    locks: Locks,
    *,
    deadline: Deadline,
    watched: bool,
    chosen: SelectedTables | None = None,
) -> HeldSnapshot:
    """Try until it succeeds or the time is up, with growing pauses.

    Raises LockNotGranted, and psycopg's errors: OutOfMemory if the lock table is too small.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return _hold(session, locks, watched=watched, chosen=chosen)
        except psycopg.errors.OutOfMemory:
            end_transaction(session)
            locks.release()
            raise
        except _TryAgainError as reason:
            end_transaction(session)
            locks.release()
            deadline.watch.look(session, _keys(session, reason.tables), now=deadline.passed)
            if deadline.passed:
                raise LockNotGranted(
                    f"not all tables could be locked within {deadline.seconds:g} s: {reason}",
                    facts=deadline.watch.facts,
                    steps=lock_steps(deadline.watch),
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def lock_table_steps() -> list[str]:
    """Steps when the lock table is too small even for pg_dump alone."""
    return ["Raise max_locks_per_transaction on the server (a restart is needed)"]


def lock_steps(watch: LockWatch) -> list[str]:
    """Steps when a lock is not to be had, from the session that holds it if that is known."""
    return [
        *(watch.steps or [_SEE_WHO]),
        "Run the backup when no migration runs, or allow it more time: --lock-wait-timeout 600",
    ]


def _keys(session: Session, tables: Sequence[CatalogTable]) -> dict[int, str]:
    return {
        table.oid: table_key(readable(session, table.schema), readable(session, table.name))
        for table in tables
    }


def _hold(
    session: Session, locks: Locks, *, watched: bool, chosen: SelectedTables | None
) -> HeldSnapshot:
    position = _wal_position(session)
    tables = read_tables(session, chosen)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        locks.take(tables)
    except (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.WrongObjectType,
    ) as error:
        raise _TryAgainError(str(error).strip(), tables) from error
    row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    seen = read_tables(session, chosen)
    if row is None or [table.identity for table in seen] != [table.identity for table in tables]:
        raise _TryAgainError("tables were created, renamed or dropped meanwhile", seen)
    for table in seen:
        if table.filter and table.has_rows:  # before pg_dump runs it
            refuse_unless_whole(
                session,
                table.filter,
                table_key(readable(session, table.schema), readable(session, table.name)),
            )
    locks.adopt(row[0])
    sizes = locks.sizes([table.oid for table in seen if table.has_rows])
    sized = tuple(
        replace(table, size_bytes=sizes.get(table.oid, table.size_bytes)) for table in seen
    )
    facts = _snapshot_facts(session, position)
    return HeldSnapshot(row[0], session, sized, not isinstance(locks, NoLocks), watched, facts)


def lock_statement(tables: Sequence[CatalogTable]) -> sql.Composed:
    """Compose the statement that locks the tables, or fails at once if one is locked."""
    # ONLY: children are in the list in their own right, and a lock on a parent alone would take
    # those of children that the catalog did not show us.
    names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(table.identifier) for table in tables)
    return sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT").format(names)


def read_tables(session: Session, chosen: SelectedTables | None = None) -> tuple[CatalogTable, ...]:
    """Read from the catalog the tables that pg_dump locks, and those whose rows it copies."""
    with session.cursor(row_factory=class_row(CatalogTable)) as cursor:
        tables = tuple(cursor.execute(query("tables")).fetchall())
    return tables if chosen is None else chosen.of(tables)


def _wal_position(session: Session) -> str | None:
    """Ask how far the WAL is, before there is a snapshot; None if the role may not.

    Asked afterwards it would be behind changes that the snapshot does not see, and a page that has
    them would pass for unchanged.
    """
    try:
        row = session.execute(query("wal_position")).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return None if row is None else row[0]


def _snapshot_facts(session: Session, position: str | None) -> SnapshotFacts | None:
    """Ask for facts that a later backup may use; None if the role may not."""
    if position is None:
        return None
    try:
        with session.transaction(), session.cursor(row_factory=class_row(SnapshotFacts)) as cursor:
            return cursor.execute(query("snapshot_facts"), {"wal_position": position}).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None


def end_transaction(session: Session) -> None:
    """Roll back; a session that is broken is closed."""
    if session.closed:
        return
    try:
        session.execute("ROLLBACK")
    except psycopg.Error:
        session.close()  # broken already: the server has released its locks
