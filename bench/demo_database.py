"""The demo's database on a server of its own, for measuring."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgvow.operations.context import Context
from pgvow.operations.demo import demo_server, make_up, user_environment
from pgvow.operations.throwaway_programs import find_server_programs
from pgvow.settings import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.postgres.binaries import Installation


@contextmanager
def demo_database(messages: int) -> Iterator[tuple[Installation, dict[str, str]]]:
    """Yield the programs and the environment of a user whose database has so many messages."""
    context = Context(Configuration(), os.environ)
    programs = find_server_programs(context.environ)
    with demo_server(programs, context) as server:
        make_up(server, messages, context)
        yield programs, user_environment(server, programs, context)
