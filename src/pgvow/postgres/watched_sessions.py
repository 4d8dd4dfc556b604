"""Sessions whose waits are watched for silence, and how a server is asked about one of them."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import psycopg

from pgvow.postgres.sql import query
from pgvow.postgres.watchdog import Peer, nothing, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def ending_socket(session: psycopg.Connection[Any]) -> Callable[[], None]:
    """Return the function that shuts down a session's socket, so that libpq returns."""

    def end() -> None:
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(session.pgconn.socket)) as own,
        ):
            own.shutdown(socket.SHUT_RDWR)

    return end


@dataclass(frozen=True, slots=True, eq=False)
class PeerInquiry:
    """Asks a server about a peer, by a session of its own; ``parameters`` are libpq's."""

    parameters: Mapping[str, Any] = field(repr=False)
    seconds: int = 10

    def __call__(self, peer: Peer, ours: frozenset[int]) -> bool:
        """Return whether the server answers, and a statement of the peer's is at work there."""
        own = {"application_name": "pgvow watch", "connect_timeout": str(self.seconds)}
        facts = {
            "pid": peer.backend,
            "ours": list(ours),
            "age": time.monotonic() - peer.started,
        }
        try:
            with psycopg.connect(autocommit=True, **{**self.parameters, **own}) as session:
                return session.execute(query("is_at_work"), facts).fetchone() is not None
        except psycopg.Error:
            return False


class WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A session whose waits for the server are watched."""

    peer: Peer | None = None
    _forget: Callable[[], None] = staticmethod(nothing)

    def watched(
        self, name: str, parameters: Mapping[str, Any], facts: Mapping[str, str] | None = None
    ) -> Self:
        """Have the session watched; ``parameters`` are libpq's, for another one like it."""
        self.peer = Peer(
            name,
            ending_socket(self),
            ask=PeerInquiry(parameters),
            facts=facts,
            backend=self.info.backend_pid,
        )
        self._forget = watch(self.peer)
        return self

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait as psycopg does, and be waited for meanwhile."""
        if self.peer is None:
            return super().wait(*args, **kwargs)
        with self.peer:
            return super().wait(*args, **kwargs)

    def close(self) -> None:
        """Close it; it is not looked at any more."""
        self._forget()
        super().close()


_UNWATCHED = Peer("", nothing)


def awaiting(session: psycopg.Connection[Any]) -> Peer:
    """Return a context manager to enter while a session's answer is waited for by other means."""
    peer = session.peer if isinstance(session, WatchedConnection) else None
    return peer or _UNWATCHED


def doing(session: psycopg.Connection[Any], what: str) -> None:
    """Note a session's present activity, for the report of its silence."""
    if isinstance(session, WatchedConnection) and session.peer is not None:
        session.peer.doing = what
