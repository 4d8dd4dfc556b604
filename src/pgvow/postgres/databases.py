"""Databases of a server: made, named, dropped, and who is connected to them."""

from __future__ import annotations

import random
import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row

from pgvow.errors import AccessDenied, ConnectionFailed, PgvowError, RestoreFailed
from pgvow.postgres.connection import take_your_time, translate, watch_for_our_death
from pgvow.postgres.failure_classes import end_of_session
from pgvow.postgres.lock_holders import OtherSession, listed
from pgvow.postgres.sql import query
from pgvow.postgres.statements import for_database, written
from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.postgres.statements import Statement

LONGEST_NAME = 63
"""Bytes of a name; PostgreSQL cuts off what is beyond."""

_MAINTENANCE = ("postgres", "template1")
_LOCK_PATIENCE = 10.0
"""Seconds that a server may need to notice that the last holder of a lock has died."""
_PAUSE = 0.05
_PIDS_SHOWN = 5
_DROP_SECONDS = (5, 60)
"""How long to wait for DROP DATABASE before asking again, and before giving up."""


@dataclass(frozen=True, slots=True)
class DatabaseName:
    """One database of the server."""

    name: str
    comment: str | None
    is_template: bool


@dataclass(frozen=True, slots=True)
class ConnectedSession:
    """Another client's session; ``program`` is None if our role may not see it."""

    pid: int
    user: str | None
    program: str | None
    address: str | None
    seconds: float

    def __str__(self) -> str:
        program = self.program or "unknown program"
        return f"{self.user or 'unknown user'} ({program}, pid {self.pid})"


def on_database(target: ConnectionTarget, name: str) -> ConnectionTarget:
    """Aim at another database of the same server."""
    return replace(target, connection=replace(target.connection, dbname=name))


@contextmanager
def refused(target: ConnectionTarget) -> Iterator[None]:
    """Translate the server's errors during a restore.

    To AccessDenied, to the errors of ``end_of_restore``, and all else to RestoreFailed.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise AccessDenied(
            str(error).strip(),
            facts=target.facts,
            steps=[
                "Restore as a superuser, or as a role that may create databases: CREATEDB",
                f"Check the user: {target.connection.origin('user')}",
            ],
        ) from error
    except psycopg.Error as error:
        if ended := end_of_session(error, facts=target.facts):
            raise ended from error
        translated = translate(error, target.facts)
        raise RestoreFailed(
            translated.cause, facts=translated.facts, steps=translated.steps
        ) from error


class Databases:
    """The databases of a server, seen from one that is none of those being worked on.

    Every method but ``connect`` raises the errors of ``refused``.
    """

    def __init__(self, target: ConnectionTarget, session: Session) -> None:
        self.target = target
        self.session = session
        self.dbname = session.info.dbname  # a session that was ended does not know it

    @classmethod
    @contextmanager
    def connect(cls, target: ConnectionTarget, *, avoiding: str) -> Iterator[Databases]:
        """Connect to ``postgres``, ``template1`` or the one that is set, whichever lets us in."""
        names = [name for name in (*_MAINTENANCE, target.connection.dbname) if name != avoiding]
        with _first(target, names) as session:
            watch_for_our_death(session)
            session.execute("SET client_encoding TO UTF8")
            yield cls(target, session)

    def lock(self, name: str) -> bool:
        """Take the lock of restores into a name, until this session ends; False if another has it.

        One that has died is given some seconds to be noticed.
        """
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not self._try_lock(name):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE + random.uniform(0, _PAUSE))  # noqa: S311 - two may try in step
        return True

    def _try_lock(self, name: str) -> bool:
        """Take the lock of our database, and let go again if it is held in another one."""
        given = {"name": name}
        with refused(self.target):
            row = self.session.execute(query("restore_lock"), given).fetchone()
            if not row or not row[0]:
                return False
            held = self.session.execute(query("restore_lock_elsewhere"), given).fetchone()
            if not held or not held[0]:
                return True
            self.session.execute(query("restore_unlock"), given)
        return False

    def all(self) -> tuple[DatabaseName, ...]:
        """Every database of the server."""
        with refused(self.target), self.session.cursor(row_factory=class_row(DatabaseName)) as rows:
            return tuple(rows.execute(query("database_names")).fetchall())

    def exists(self, name: str) -> bool:
        """Say whether there is such a database."""
        return any(database.name == name for database in self.all())

    def create(self, name: str, definition: Statement) -> None:
        """Create a database by the archive's own statement, which names template0 and locale."""
        with refused(self.target):
            self.session.execute(written(for_database(definition, name)))

    def say(self, name: str, comment: str) -> None:
        """Give a database a comment."""
        with refused(self.target):
            self.session.execute(_comment(name, comment))

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected; one that is not there is no error."""
        database = next((each for each in self.all() if each.name == name), None)
        if database is None:
            return
        quoted = sql.Identifier(name)
        with refused(self.target):
            self._release_subscriptions(name)
            if database.is_template:
                self.session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(quoted))
            self._drop_in_time(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))

    def _drop_in_time(self, statement: sql.Composed) -> None:
        """Cancel and ask once more if the server does not go on, then give up.

        The server waits for all its processes, and one that somebody has begun to connect to and
        not gone on with is deaf for a minute. A database that stays is cleared away by the next
        restore.
        """
        for seconds in _DROP_SECONDS:
            timeout = sql.SQL("SET statement_timeout TO {}").format(sql.Literal(f"{seconds}s"))
            self.session.execute(timeout)
            try:
                self.session.execute(statement)
                break
            except psycopg.errors.QueryCanceled:
                if seconds == _DROP_SECONDS[-1]:
                    raise
        self.session.execute("RESET statement_timeout")

    def _release_subscriptions(self, name: str) -> None:
        """Drop the subscriptions of a database, and leave their publisher alone."""
        rows = self.session.execute(query("database_subscriptions"), {"name": name}).fetchall()
        if not rows:
            return
        with on_database(self.target, name).open("restore") as session:
            for (subscription,) in rows:
                for statement in _FORGET_SUBSCRIPTION:
                    session.execute(sql.SQL(statement).format(sql.Identifier(subscription)))

    def sessions(self, name: str) -> tuple[ConnectedSession, ...]:
        """Who is connected to a database, but for this session."""
        cursor = self.session.cursor(row_factory=class_row(ConnectedSession))
        with refused(self.target), cursor as rows:
            return tuple(rows.execute(query("database_sessions"), {"name": name}).fetchall())

    def terminate(self, name: str) -> int:
        """End every session connected to a database; returns how many there were."""
        with refused(self.target):
            row = self.session.execute(query("terminate_sessions"), {"name": name}).fetchone()
        return int(row[0]) if row else 0

    def run(self, statement: Statement) -> None:
        """Run a statement of pg_dump's own about the whole server."""
        with refused(self.target):
            self.session.execute(written(statement))

    def role_names(self) -> frozenset[str]:
        """Every role of the server."""
        return self._names("role_names")

    def tablespace_names(self) -> frozenset[str]:
        """Every tablespace of the server."""
        return self._names("tablespace_names")

    def roles_beyond_us(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these roles, which exist, that we may not give objects to and then work on."""
        with refused(self.target):
            rows = self.session.execute(query("roles_beyond_us"), {"names": list(names)})
            return tuple(name for (name,) in rows.fetchall())

    def may_rename(self, name: str) -> bool:
        """Say whether we may rename a database that exists."""
        with refused(self.target):
            row = self.session.execute(query("may_rename"), {"name": name}).fetchone()
        return bool(row and row[0])

    def sessions_beyond_us(self, name: str) -> int:
        """Count the sessions connected to a database that we may not end."""
        with refused(self.target):
            row = self.session.execute(query("sessions_beyond_us"), {"name": name}).fetchone()
        return int(row[0]) if row else 0

    def _names(self, name: str) -> frozenset[str]:
        with refused(self.target):
            return frozenset(row[0] for row in self.session.execute(query(name)).fetchall())

    def rename_together(
        self, renaming: Renaming, *, seconds: float, warn: Callable[[str], None] | None = None
    ) -> int:
        """Rename in one transaction; returns how many sessions were ended for it.

        A rename first takes a lock that new connections wait for, and then waits up to 5 seconds
        for those who are connected: that is when they are told to end. Ending them before, with
        20 clients that reconnect, failed. Raises RestoreFailed when somebody is still connected
        after so many seconds, and then nothing is renamed. ``warn`` is told once who keeps us
        waiting, and the error has it too.
        """
        deadline = time.monotonic() + seconds
        with _first(self.target, [self.session.info.dbname]) as session:
            watch_for_our_death(session)
            session.execute("SET client_encoding TO UTF8")
            while True:
                try:
                    with refused(self.target):
                        return self._rename_once(session, renaming)
                except RestoreFailed as error:
                    if not isinstance(error.__cause__, psycopg.errors.ObjectInUse):
                        raise
                    facts = self.connected_facts(renaming.names[0][0], renaming.behind)
                    if time.monotonic() > deadline:
                        raise error.with_facts(facts)  # noqa: B904 - it is the same error
                    if warn is not None and facts:
                        named = "; ".join(f"{name.lower()}: {text}" for name, text in facts.items())
                        warn(f"waiting for the sessions of {renaming.names[0][0]}; {named}")
                        warn = None

    def connected_facts(self, name: str, waited: Iterable[int] = ()) -> dict[str, str]:
        """Return for an error who is connected to a database, and who waited behind us."""
        with refused(self.target), self.session.cursor(row_factory=class_row(OtherSession)) as rows:
            sessions = rows.execute(query("connected_sessions"), {"name": name}).fetchall()
        facts = {"Connected": listed(sessions)} if sessions else {}
        if behind := sorted(waited):
            pids = ", ".join(map(str, behind[:_PIDS_SHOWN]))
            more = f" and {len(behind) - _PIDS_SHOWN} more" if len(behind) > _PIDS_SHOWN else ""
            facts["Waited behind us"] = f"{len(behind)} new connections (pid {pids}{more})"
        return facts

    def _note_behind(self, renaming: Renaming, own: int) -> None:
        """Note the connections that wait until the rename has ended or given up."""
        given = {"name": renaming.names[0][0]}
        with refused(self.target):
            rows = self.session.execute(query("waiting_for_database"), given).fetchall()
        renaming.behind.update(pid for (pid,) in rows if pid != own)

    def _rename_once(self, session: Session, renaming: Renaming) -> int:
        ended = 0
        stop = threading.Event()
        result = None
        with ThreadPoolExecutor(1, thread_name_prefix="rename") as pool:
            try:
                # A signal that came while the thread is started would leave it to rename alone.
                with SignalsKeptBack() as signals:
                    result = pool.submit(renaming.run, session, stop)
                signals.deliver()
                own = session.info.backend_pid
                while not result.done():
                    time.sleep(_PAUSE)
                    self._note_behind(renaming, own)
                    if renaming.terminate is not None and not result.done():
                        ended += self.terminate(renaming.terminate)
            except BaseException:
                stop.set()
                session.cancel()
                if result is None or result.exception() is not None:
                    raise
                return ended  # it came too late: the names have changed, and that is the outcome
            result.result()
        return ended


@dataclass(frozen=True, slots=True)
class Renaming:
    """Names to change in this order, the message at the end, and whose sessions to end.

    ``behind`` gets the pids of those that waited meanwhile to be let in.
    """

    names: tuple[tuple[str, str], ...]
    comment: Statement | None
    terminate: str | None = None
    behind: set[int] = field(default_factory=set, compare=False)

    def run(self, session: Session, stop: threading.Event) -> None:
        """Change all names in one transaction, or none if ``stop`` is set before the end."""
        with session.transaction():
            for statement in self._statements():
                session.execute(statement)
                if stop.is_set():
                    raise psycopg.errors.QueryCanceled("asked to stop before the names changed")

    def _statements(self) -> Iterator[sql.Composed | bytes]:
        for name, new_name in self.names:
            yield sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(name), sql.Identifier(new_name)
            )
        name = self.names[-1][1]
        if self.comment is None:
            yield _comment(name, None)
        else:
            yield written(for_database(self.comment, name))


_FORGET_SUBSCRIPTION = (
    "ALTER SUBSCRIPTION {} DISABLE",
    "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
    "DROP SUBSCRIPTION {}",
)


def _comment(name: str, comment: str | None) -> sql.Composed:
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(
        sql.Identifier(name), sql.Literal(comment)
    )


def _first(target: ConnectionTarget, names: Iterable[str]) -> Session:
    """Connect to the first database that lets us in; raises the first one's error."""
    refusal: PgvowError | None = None
    for name in dict.fromkeys(names):
        try:
            session = on_database(target, name).open("restore")
        except (ConnectionFailed, AccessDenied) as error:
            refusal = refusal or error
        else:
            take_your_time(session)
            return session
    raise refusal or ConnectionFailed("there is no database to connect to", facts=target.facts)


def dropdb(name: str) -> str:
    """Return the command that drops a database of any name."""
    return shlex.join(["dropdb", *(["--"] if name.startswith("-") else []), name])


def psql(name: str) -> str:
    """Return the command that opens a database of any name."""
    return shlex.join(["psql", "-d", make_conninfo("", dbname=name)])


def shortened(name: str, suffix: str) -> str:
    """Append a suffix, and cut the name so that PostgreSQL need not cut the whole."""
    room = LONGEST_NAME - len(suffix.encode())
    return name.encode()[:room].decode(errors="ignore") + suffix
