"""Databases and roles that exist for one proof, on whatever server it is made.

On a server that goes on afterwards, the objects of a proof are known by names and comments that
carry its mark, and that it lives by a session of the mark as ``application_name``: the server ends
that with our process, however it ends. An object with the mark of a proof without a session is
cleared away by the next proof there.
"""

from __future__ import annotations

import secrets
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import errors, pq, sql

from pgvow.errors import CannotBeProven, ConnectionFailed, PgvowError
from pgvow.postgres.database_settings import setting_name
from pgvow.postgres.failure_classes import FailureClass, meaning_of
from pgvow.postgres.reachable_server import open_session
from pgvow.postgres.restorer import (
    AsRestorer,
    create_restorer,
    current_user,
    drop_restorer,
    is_superuser,
)
from pgvow.postgres.sql import query
from pgvow.postgres.statements import for_database, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import LiteralString

    from pgvow.postgres.connection import Session
    from pgvow.postgres.reachable_server import ReachableServer
    from pgvow.postgres.restorer import Restorer
    from pgvow.postgres.statements import Statement

_PREFIX = "pgvow_proof_"
_LOCALE_OPTIONS: dict[str, LiteralString] = {
    "LOCALE_PROVIDER": "LOCALE_PROVIDER",
    "LOCALE": "LOCALE",
    "LC_COLLATE": "LC_COLLATE",
    "LC_CTYPE": "LC_CTYPE",
    "ICU_LOCALE": "ICU_LOCALE",
    "ICU_RULES": "ICU_RULES",
    "BUILTIN_LOCALE": "BUILTIN_LOCALE",
}
_FALLBACK = {"LOCALE_PROVIDER": "libc", "LOCALE": "C"}
# A locale or provider that a server lacks is refused by many codes: 42809, 22023, 0A000, XX000.
_OF_THE_LOCALE = frozenset({FailureClass.DATA, FailureClass.LACK, FailureClass.UNKNOWN})
_STEPS = (
    "Give --on a role that may create databases, and roles where the backup names some",
    "Or prove it on a throw-away server: without --on",
)


class ProofDatabases:
    """The databases and roles of one proof; a context manager that clears them away.

    ``session`` is one into another database of the server. ``lasting`` says that the server goes on
    afterwards: a throw-away one needs no clearing. Raises psycopg.Error.
    """

    def __init__(self, session: Session, place: ReachableServer, *, lasting: bool) -> None:
        self.session = session
        self._place = place
        self._dbname = session.info.dbname  # a session that was ended does not tell it
        self._lasting = lasting
        self._mark = _PREFIX + secrets.token_hex(6)
        self._databases: list[str] = []
        self._has_roles = False
        self._restorers: list[str] = []
        self._locale: Mapping[str, str] | None = None
        self._unused: str | None = None
        self.refused_settings: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._lasting:
            self.session.execute(
                query("set_setting"), {"name": "application_name", "value": self._mark}
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._lasting:
            return
        try:
            self._clear()
        except (psycopg.Error, ConnectionFailed):
            if error is None:  # else the earlier error is raised
                raise

    def _clear(self) -> None:
        if self.session.info.transaction_status == pq.TransactionStatus.IDLE:
            self._drop_all()
            return
        # An interruption left a statement under way; that session cannot be used again.
        self.session.close()
        with closing(open_session(self._place, self._dbname)) as self.session:
            self._drop_all()

    def _drop_all(self) -> None:
        for name in self._databases:
            self._drop(name)
        if self._has_roles:
            self._drop_roles({self._mark})
        for name in self._restorers:
            drop_restorer(self.session, name)

    def clear_abandoned(self) -> list[str]:
        """Drop databases and roles of killed proofs; returns their names."""
        if not self._lasting:
            return []
        cleared: list[str] = []
        for (name,) in self.session.execute(query("abandoned_proofs")).fetchall():
            with suppress(psycopg.Error):  # another proof may clear it at the same time
                self._drop(name)
                cleared.append(name)
        for (name,) in self.session.execute(query("abandoned_proof_roles")).fetchall():
            with suppress(psycopg.Error):
                drop_restorer(self.session, name)
                cleared.append(name)
        stand_ins = self.session.execute(query("stand_ins")).fetchall()
        return cleared + self._drop_roles({proof for _, proof, has_ended in stand_ins if has_ended})

    @property
    def databases(self) -> tuple[str, ...]:
        """The names of the databases made so far, in the order they were made."""
        return tuple(self._databases)

    def database(self, *, encoding: str, settings: Iterable[Statement] = ()) -> str:
        """Give an empty database, in the locale found and with these settings, by its name.

        A setting that the server refuses is kept in ``refused_settings``, and left out: it
        may be that nothing depends on it.
        """
        name, self._unused = self._unused, None
        if name is None:
            name = self._create(encoding, self._locale or _FALLBACK)
        if wanted := tuple(settings):
            self._set(name, wanted)
        return name

    def _set(self, name: str, settings: Iterable[Statement]) -> None:
        # From inside: their texts are kept in the encoding of the database that they are given in.
        with open_session(self._place, name) as session:
            session.execute("SET client_encoding TO UTF8")
            for statement in settings:
                try:
                    session.execute(written(for_database(statement, name)))
                except psycopg.Error as error:
                    if session.closed:
                        raise
                    self.refused_settings[setting_name(statement) or ""] = str(error).strip()

    def _create(self, encoding: str, locale: Mapping[str, str]) -> str:
        name = f"{self._mark}_{len(self._databases)}"
        self._databases.append(name)
        self.session.execute(_statement(name, encoding, locale))
        return name

    def find_locale(self, *, encoding: str, locale: Mapping[str, str]) -> str | None:
        """Take the locale if this server has it, else C; return the refusal of the first.

        Raises CannotBeProven without the right to make databases, PgvowError if none of this
        encoding can be made at all.
        """
        complaint = None
        for each in filter(None, (locale, _FALLBACK)):
            try:
                self._unused = self._create(encoding, each)
            except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
                raise CannotBeProven(str(error).strip(), steps=_STEPS) from error
            except psycopg.Error as error:
                if meaning_of(error.sqlstate) not in _OF_THE_LOCALE:
                    raise
                refused = str(error).strip()
            else:
                self._locale = each
                return complaint
            complaint = complaint or refused
        raise PgvowError(f"no database of encoding {encoding} can be made: {refused}")

    def restorer(self, *, warn: Callable[[str], None]) -> Restorer | None:
        """Make a role that restores in a superuser's place, if we are one and it can log in.

        One for each database. If it cannot log in, ``warn`` is called. Raises psycopg.Error.
        """
        if not is_superuser(self.session):
            return None
        name = f"{self._mark}_restorer_{len(self._restorers)}"
        self._restorers.append(name)
        return create_restorer(
            self.session,
            name,
            comment=f"pgvow: restores, made by {current_user(self.session)} for {self._mark}",
            log_in=lambda role: open_session(AsRestorer(self._place, role), self._dbname),
            warn=warn,
        )

    def stand_in(self, names: Iterable[str], *, superusers: Iterable[str] = ()) -> None:
        """Make the roles that are missing, so that nobody can log in as one.

        Those named in ``superusers`` too become superusers: nobody else may own an event trigger.
        Roles that another proof made at the same time are shared. Raises CannotBeProven
        without the right to make roles.
        """
        wanted = {name for name in names if _can_be_made(name)}
        existing = {name for (name,) in self.session.execute(query("roles"))}
        marked = {name for name, _, _ in self.session.execute(query("stand_ins"))}
        above = frozenset(superusers)
        self._has_roles = True
        try:
            for name in sorted(wanted - existing):
                with self.session.transaction():
                    self.session.execute(_create_role(name, superuser=name in above))
                    self._mark_role(name)
            for name in sorted(wanted & marked):
                self._mark_role(name)
        except errors.InsufficientPrivilege as error:
            missing = ", ".join(sorted(wanted - existing))
            raise CannotBeProven(
                f"{str(error).strip()}: the backup names roles that this server does not have:"
                f" {missing}",
                steps=_STEPS,
            ) from error

    def _mark_role(self, name: str) -> None:
        if self._lasting:
            text = f"pgvow: stands in, made by {current_user(self.session)} for {self._mark}"
            statement = sql.SQL("COMMENT ON ROLE {} IS {}")
            self.session.execute(statement.format(sql.Identifier(name), sql.Literal(text)))

    def _drop_roles(self, proofs: set[str]) -> list[str]:
        """Drop the roles that stood in for these proofs; those that another uses stay, marked."""
        dropped: list[str] = []
        for name, proof, _ in self.session.execute(query("stand_ins")).fetchall():
            if proof in proofs:
                with suppress(psycopg.Error):
                    self.session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
                    dropped.append(name)
        return dropped

    def _drop(self, name: str) -> None:
        _drop_subscriptions(self._place, name)
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self.session.execute(statement.format(sql.Identifier(name)))


def _statement(name: str, encoding: str, locale: Mapping[str, str]) -> sql.Composed:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
        sql.Identifier(name), sql.Literal(encoding)
    )
    for option, value in locale.items():
        if option in _LOCALE_OPTIONS:
            known = sql.SQL(_LOCALE_OPTIONS[option])
            statement += sql.SQL(" {} = {}").format(known, sql.Literal(value))
    return statement


def _create_role(name: str, *, superuser: bool) -> sql.Composed:
    superuser_option = sql.SQL(" SUPERUSER" if superuser else "")
    return sql.SQL("CREATE ROLE {} NOLOGIN{}").format(sql.Identifier(name), superuser_option)


def _drop_subscriptions(place: ReachableServer, name: str) -> None:
    """Drop subscriptions, which would keep the database, without asking any publisher."""
    with suppress(psycopg.Error, ConnectionFailed), open_session(place, name) as session:
        for (subscription_name,) in session.execute(query("subscriptions")).fetchall():
            subscription = sql.Identifier(subscription_name)
            for statement in (
                "ALTER SUBSCRIPTION {} DISABLE",
                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {}",
            ):
                session.execute(sql.SQL(statement).format(subscription))


def _can_be_made(name: str) -> bool:
    """Whether the name is none of the server's own, and a text at all."""
    return not name.startswith("pg_") and not any("\ud800" <= each <= "\udfff" for each in name)
