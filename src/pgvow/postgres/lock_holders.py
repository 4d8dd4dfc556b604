"""The sessions that keep us from a lock, and those that wait behind us, in words.

A refused LOCK … NOWAIT names no session, nor does pg_dump's time limit. Asked at that moment, the
server knows both: which session has an ACCESS EXCLUSIVE lock or waits for one, and behind which.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import class_row

from pgvow.formats import elapsed, moment
from pgvow.postgres.sql import query
from pgvow.quoted_texts import masked, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pgvow.postgres.connection import Session

_LONGEST_QUERY = 120
_LONGEST_NAME = 80
_SHOWN = 3
_MOST_WARNINGS = 5
_FIRST_LOOK = 1.0
"""Seconds of waiting before the first look: most locks are gone by then."""
_BETWEEN_LOOKS = 2.0
_OURS = "pgvow "
NOT_VISIBLE = "not visible to this role: grant pg_monitor"
# Literals are others' data, perhaps passwords; a comment says nothing of the lock.
_LITERAL = re.compile(
    r"""(?P<name>"(?:[^"]|"")*"?)"""
    r"""|--[^\n]*|/\*.*?(?:\*/|\Z)"""
    r"""|\b[eE]'(?:\\.|''|[^'\\])*(?:'|\\?\Z)|'(?:''|[^'])*(?:'|\Z)"""
    r"""|\$(?P<tag>[A-Za-z_]\w*|)\$.*?(?:\$(?P=tag)\$|\Z)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class OtherSession:
    """A session in our way, or a prepared transaction, which has no pid.

    ``visible``: our role may see its state and query.
    """

    pid: int | None
    user: str | None
    program: str | None
    state: str | None
    since: datetime | None
    now: datetime
    query: str | None
    visible: bool

    def __str__(self) -> str:
        """For an error: ``pid 12 (shop, migrate), idle for 1 min 33 s, since …: ALTER …``."""
        who = _cut(self.user or "unknown user", _LONGEST_NAME)
        if self.program:
            who += f", {_cut(self.program, _LONGEST_NAME)}"
        begin = f"pid {self.pid} ({who})" if self.pid is not None else f"no session ({who})"
        if not self.visible:
            return f"{begin}, {NOT_VISIBLE}"
        state = _cut(self.state or "unknown state", _LONGEST_NAME)
        age = ""
        if self.since is not None:
            age = f" for {elapsed((self.now - self.since).total_seconds())}"
            age += f", since {moment(self.since)}"
        return f"{begin}, {state}{age}" + (f": {shown_query(self.query)}" if self.query else "")


@dataclass(frozen=True, slots=True)
class LockSession(OtherSession):
    """One that has a table's lock or waits for it; ``waits_for`` are the sessions ahead of it."""

    relation: int
    granted: bool
    waits_for: Sequence[int]
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Blockers:
    """The sessions that hold the lock of one of our tables, and those that wait behind us."""

    table: str
    holders: tuple[LockSession, ...]
    queued: tuple[LockSession, ...]
    behind: tuple[LockSession, ...]

    @property
    def facts(self) -> dict[str, str]:
        """Return the facts for an error."""
        named = (
            ("Held by", self.holders),
            ("Queued before us", self.queued),
            ("Waiting behind us", self.behind),
        )
        facts = {name: listed(sessions) for name, sessions in named if sessions}
        return {"Locked table": self.table, **facts} if facts else {}

    def __str__(self) -> str:
        return "; ".join(f"{name.lower()}: {text}" for name, text in self.facts.items())


def shown_query(text: str) -> str:
    """Return the beginning of a query on one line, without literals, comments and secrets."""
    return _cut(_LITERAL.sub(_replacement, masked(text)), _LONGEST_QUERY)


def _replacement(match: re.Match[str]) -> str:
    if match["name"] is not None:
        return match["name"]
    return " " if match[0].startswith(("--", "/*")) else "'…'"


def _cut(text: str, longest: int) -> str:
    text = " ".join(printable(" ".join(masked(text).split())).split())
    return text if len(text) <= longest else f"{text[:longest]}…"


def listed(sessions: Sequence[OtherSession]) -> str:
    """List the first sessions in words, and the number of the others."""
    others = len(sessions) - _SHOWN
    more = [f"and {others} more"] if others > 0 else []
    return "; ".join([*map(str, sessions[:_SHOWN]), *more])


def blockers(session: Session, tables: Mapping[int, str]) -> Blockers | None:
    """Ask who keeps us from the locks on tables, by oid; None if no session does.

    Limited to some seconds: it must not become a wait of its own. Raises psycopg's errors.
    """
    with session.transaction(), session.cursor(row_factory=class_row(LockSession)) as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        cursor.execute("SET LOCAL statement_timeout = '5s'")
        rows = cursor.execute(query("lock_sessions"), {"oids": list(tables)}).fetchall()
    return among(rows, tables)


def among(rows: Sequence[LockSession], tables: Mapping[int, str]) -> Blockers | None:
    """Sort sessions into holders, those queued before us, and those that wait behind us."""
    ours = {row.pid for row in rows if row.is_ours or (row.program or "").startswith(_OURS)}
    others = [row for row in rows if row.pid not in ours]
    behind = set(ours)
    while more := {
        row.pid
        for row in others
        if row.pid is not None and row.pid not in behind and behind.intersection(row.waits_for)
    }:
        behind |= more
    if not others:
        return None
    return Blockers(
        table=tables.get(others[0].relation, "?"),
        holders=tuple(row for row in others if row.granted),
        queued=tuple(row for row in others if not row.granted and row.pid not in behind),
        behind=tuple(row for row in others if not row.granted and row.pid in behind),
    )


@dataclass
class LockWatch:
    """Remembers the sessions that keep us waiting, and warns of each constellation once."""

    warn: Callable[[str], None] | None = None
    last: Blockers | None = None
    _looked: float = field(default_factory=lambda: time.monotonic() - _BETWEEN_LOOKS + _FIRST_LOOK)
    _warned: set[frozenset[int | None]] = field(default_factory=set)

    def look(self, session: Session, tables: Mapping[int, str], *, now: bool = False) -> None:
        """Look who it is, if it is time or ``now``. An error changes nothing."""
        if not now and time.monotonic() - self._looked < _BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        with suppress(psycopg.Error):
            known = blockers(session, tables)
            if known is not None and known.facts:
                self.last = known
                self._warn_of(known)

    @property
    def facts(self) -> dict[str, str]:
        """Return the facts for an error; empty if no session was seen."""
        return self.last.facts if self.last else {}

    @property
    def steps(self) -> list[str]:
        """Return the steps that end the wait; empty if no session was seen."""
        if self.last is None:
            return []
        first = next(iter(self.last.holders or self.last.queued or self.last.behind))
        if first.pid is None:
            return ["Commit it, or roll it back: ROLLBACK PREPARED 'NAME'"]
        return [
            f"Let it end, or if it hangs, end it: SELECT pg_terminate_backend({first.pid})",
            *([] if first.visible else ["See its state and query: GRANT pg_monitor TO the_role"]),
        ]

    def _warn_of(self, known: Blockers) -> None:
        pids = frozenset(each.pid for each in (*known.holders, *known.behind))
        if self.warn is None or pids in self._warned or len(self._warned) >= _MOST_WARNINGS:
            return
        self._warned.add(pids)
        self.warn(f"waiting for locks; {known}")
