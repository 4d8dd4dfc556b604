"""A service that is sent notifications and pings: a real HTTP server that keeps what it got."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Receiver:
    """A service that is sent messages and pings, and answers with ``status``."""

    port: int = 0
    status: int = 200
    got: list[tuple[str, Any]] = field(default_factory=list)

    def bodies(self) -> list[dict[str, Any]]:
        """The messages so far, as apprise's json:// sends them."""
        return [body for path, body in self.got if path.startswith("/notify")]

    def messages(self) -> list[str]:
        """The titles of the messages so far."""
        return [body["title"] for body in self.bodies()]

    def pings(self) -> list[str]:
        """The paths of the pings so far."""
        return [path for path, _ in self.got if path.startswith("/ping")]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run one, as a real HTTP server."""
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if receiver.status == 200:
                receiver.got.append((self.path, json.loads(body)))
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
