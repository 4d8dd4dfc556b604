"""A server that misbehaves: a proxy before a real one, and a table of its actions.

Add a kind: a function that takes the relay of one connection and the message that is about to be
handed to the client, and a line in ``KINDS``. It is called for every message of the server's, whole
as the protocol has them; what it returns is sent. ``Relay.sent`` are the bytes that all connections
have been sent so far.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.support.servers import TestServer

    Kind = Callable[["Relay", bytes], bytes]

_HUGE = 100 << 20


@dataclass
class Relay:
    """One proxy's state; ``after`` is how many bytes of the server's it lets through unharmed."""

    after: int
    over: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    client: socket.socket | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to misbehave."""
        return self.sent >= self.after


def _message(kind: bytes, fields: bytes) -> bytes:
    return kind + struct.pack("!i", len(fields) + 5) + fields + b"\0"


def behave(relay: Relay, message: bytes) -> bytes:
    """Hand everything on."""
    return message


def swallow(relay: Relay, message: bytes) -> bytes:
    """Keep the connection and hand on nothing more, as a firewall that drops packets does."""
    if relay.is_due:
        relay.over.wait()
    return message


def close(relay: Relay, message: bytes) -> bytes:
    """Close the connection amid a message."""
    if relay.is_due:
        raise ConnectionAbortedError
    return message


def babble(relay: Relay, message: bytes) -> bytes:
    """Send bytes that are no message."""
    return b"\xff\x00\x13garbage" * 1000 if relay.is_due else message


def chatter(relay: Relay, message: bytes) -> bytes:
    """Send NOTICEs for ever in the place of an answer."""
    notice = _message(b"N", b"SNOTICE\0C00000\0Mhello\0")
    while relay.is_due and not relay.over.wait(0.01):
        assert relay.client is not None
        relay.client.sendall(notice)
    return message


def shout(relay: Relay, message: bytes) -> bytes:
    """Answer by an error of 100 MB."""
    if not relay.is_due:
        return message
    text = b"SERROR\0C58000\0M" + b"x" * _HUGE + b"\0"
    return _message(b"E", text) + b"Z\0\0\0\x05E"


KINDS: dict[str, Kind] = {
    "behaves": behave,
    "swallows": swallow,
    "closes": close,
    "babbles": babble,
    "chatters": chatter,
    "shouts": shout,
}


class HostileServer:
    """A proxy on 127.0.0.1 before a test server, of one kind."""

    def __init__(self, server: TestServer, kind: str, *, after: int = 0) -> None:
        self._upstream = f"{server.socket_dir}/.s.PGSQL.{server.port}"
        self._kind = KINDS[kind]
        self._after = after
        self._over = threading.Event()
        self._sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for each in (self._listener, *self._sockets):
            _shut(each)

    @property
    def is_due(self) -> bool:
        """Whether so many bytes have been sent that it misbehaves."""
        return self._sent >= self._after

    def variables(self, given: dict[str, str]) -> dict[str, str]:
        """Turn a user's settings into those that lead here."""
        return {
            **given,
            "DEV_DB_HOST": "127.0.0.1",
            "DEV_DB_PORT": str(self.port),
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
            "PGCONNECT_TIMEOUT": "5",
        }

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(self._upstream)
                self._sockets += [client, upstream]
                for work in (self._to_server, self._to_client):
                    threading.Thread(target=work, args=(client, upstream), daemon=True).start()

    def _to_server(self, client: socket.socket, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                upstream.sendall(data)
        _shut(upstream)

    def _to_client(self, client: socket.socket, upstream: socket.socket) -> None:
        relay = Relay(self._after, self._over, client=client)
        with contextlib.suppress(OSError, EOFError), upstream.makefile("rb") as messages:
            while True:
                head = _whole(messages.read(5), 5)
                size = struct.unpack("!i", head[1:])[0] - 4
                message = head + _whole(messages.read(size), size)
                relay.sent = self._sent
                client.sendall(self._kind(relay, message))
                self._sent += len(message)
        _shut(client)


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise EOFError
    return data


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
