"""The demo's database on a server of its own, for measuring."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgvow.operations.demo import demo_server, make_up, user_environment
from pgvow.operations.server_programs import find_server_programs
from pgvow.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.postgres.binaries import Installation


@contextmanager
def demo_database(messages: int) -> Iterator[tuple[Installation, dict[str, str]]]:
    """Yield the programs and the environment of a user whose database has so many messages."""
    programs = find_server_programs(os.environ)
    with demo_server(programs, os.environ) as server:
        make_up(server, messages=messages, progress=Silent())
        yield programs, user_environment(server, programs, os.environ)
