"""Why a server refused a connection, in a language that does not depend on the server's."""

from __future__ import annotations

import os
import re
import select
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

_PATIENCE = 30_000
"""Milliseconds to wait for each answer of the server."""
_SQLSTATE = re.compile(rb'ErrorResponse\t.*? C "([0-9A-Z]{5})"')


def sqlstate_of_refusal(conninfo: str) -> str | None:
    """Connect once more and return the SQLSTATE of the refusal; None where that is not to be had.

    libpq keeps it to itself while it connects, and gives the server's words alone, which may be of
    any language. Only its trace of the protocol has it: that is written to memory, for it may hold
    a password.
    """
    if not sys.platform.startswith("linux"):
        return None
    trace = os.memfd_create("refusal")
    with closing(os.fdopen(trace, "rb")) as file:
        connection = pq.PGconn.connect_start(conninfo.encode())
        try:
            connection.trace(trace)
            _connect(connection)
            connection.untrace()
        except psycopg.Error:
            return None
        finally:
            connection.finish()
        file.seek(0)
        found = _SQLSTATE.search(file.read())
    return found[1].decode() if found else None


def _connect(connection: PGconn) -> None:
    wanted = {
        pq.PollingStatus.READING: select.POLLIN,
        pq.PollingStatus.WRITING: select.POLLOUT,
    }
    while connection.status != pq.ConnStatus.BAD:
        status = pq.PollingStatus(connection.connect_poll())
        if status not in wanted:
            return
        ready = select.poll()
        ready.register(connection.socket, wanted[status])
        if not ready.poll(_PATIENCE):
            return
