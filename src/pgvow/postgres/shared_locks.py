"""The workers' locks and common snapshot: each locks the tables that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.postgres.snapshot import lock_statement
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pgvow.postgres.psql_session import CopySession
    from pgvow.postgres.snapshot import Table

    Share = Callable[[Sequence[Table], int], Sequence[Sequence[Table]]]

_BEGIN = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NOTHING = b""


class SharedLocks:
    """Locks divided among copying sessions; ``share`` says which session locks which tables."""

    def __init__(self, sessions: Sequence[CopySession], share: Share) -> None:
        self._sessions = sessions
        self._share = share
        self._shares: Sequence[frozenset[int]] = ()
        self.relations: dict[int, tuple[int, int, int, bool]] = {}
        """By oid: blocks of heap, bytes of heap and TOAST, number of the file, whether a heap."""

    @property
    def shares(self) -> Sequence[frozenset[int]]:
        """The oids that each session has locked."""
        return self._shares

    def take(self, tables: Sequence[Table]) -> None:
        """Begin, and lock each session's tables as the first thing: that takes no snapshot yet."""
        shares = self._share(tables, len(self._sessions))
        self._shares = [frozenset(table.oid for table in share) for share in shares]
        self._each([session.constant(_BEGIN) for session in self._sessions])
        self._each(
            [
                session.command(lock_statement(share)) if share else session.constant(_NOTHING)
                for session, share in zip(self._sessions, shares, strict=True)
            ]
        )

    def adopt(self, snapshot: str) -> None:
        """Import the exported snapshot in every session."""
        adopting = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))
        self._each([session.command(adopting) for session in self._sessions])

    def sizes(self, oids: Sequence[int]) -> Mapping[int, int]:
        """Lock again what each session has locked, which cannot wait."""
        wanted = set(oids)
        asked: list[list[int]] = []
        for share in self._shares:
            asked.append(sorted(wanted & share))
            wanted -= share
        statements = [
            session.constant(_relations(some).as_string(None).encode("ascii"))
            for session, some in zip(self._sessions, asked, strict=True)
        ]
        for line in "\n".join(self._each(statements)).split():
            oid, blocks, size, filenode, by_blocks = line.split("|")
            self.relations[int(oid)] = (int(blocks), int(size), int(filenode), by_blocks == "t")
        return {oid: facts[1] for oid, facts in self.relations.items()}

    def release(self) -> None:
        """Release all that is held; repeating it is harmless."""
        self._each([session.constant(b"ROLLBACK") for session in self._sessions])

    def _each(self, commands: Sequence[bytes]) -> list[str]:
        """Have every session work at the same time; raises the first error after all are done."""
        for session, command in zip(self._sessions, commands, strict=True):
            session.send(command)
        answers: list[str] = []
        errors: list[psycopg.Error] = []
        for session in self._sessions:
            try:
                answers.append(session.answer())
            except psycopg.Error as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers


def _relations(oids: Sequence[int]) -> sql.Composed:
    chosen = sql.Literal("{" + ",".join(map(str, oids)) + "}")
    return sql.SQL("{} WHERE class.oid = ANY ({}::pg_catalog.oid[])").format(
        sql.SQL(query("relations")), chosen
    )
