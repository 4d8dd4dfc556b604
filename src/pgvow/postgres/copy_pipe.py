"""Take the rows that a server on this machine writes into a named pipe.

Over a connection each row is a message of its own, which costs more than all that is done with it
afterwards; and only one thread at a time can take them. A pipe has bytes.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from psycopg import errors, pq, sql

from pgvow.errors import PgvowError
from pgvow.postgres.watched import awaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pgvow.postgres.connection import Session

_PIECE = 256 << 10
_ROOM = 1 << 20
# Linux has these; elsewhere a pipe keeps the size it has.
_SET_SIZE: int | None = getattr(fcntl, "F_SETPIPE_SZ", None)
# A server writes 4 kB at a time: better to wait a little than to be woken for each.
_PAUSE = 0.0005
_LOOK_AGAIN = 5


def piped_rows(
    session: Session, copy: sql.Composed, options: sql.Composed, make_pipe: Callable[[], Path]
) -> Generator[bytes]:
    """Yield what ``copy`` sends: a COPY statement up to its TO.

    ``make_pipe`` makes a named pipe that the server may write into. Raises psycopg.Error.
    """
    path = make_pipe()
    with ExitStack() as stack:
        stack.callback(path.unlink, missing_ok=True)
        pipe, is_large = stack.enter_context(_opened(path))
        statement = copy + sql.SQL(" TO {} WITH ").format(sql.Literal(str(path))) + options
        session.pgconn.send_query(statement.as_bytes(session))
        try:
            yield from _pieces(session, pipe, pause=_PAUSE if is_large else 0)
        except GeneratorExit:
            session.close()  # rows are still on their way; nobody wants them, or the session
            raise
        _end(session)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, bool]]:
    """Open a pipe for reading without waiting for its writer; tells whether much fits in."""
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # The directory is the server's, and what was restored runs in there as well.
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            raise PgvowError(f"{path} is no pipe any more")
        yield pipe, _enlarge(pipe)
    finally:
        os.close(pipe)


def _enlarge(pipe: int) -> bool:
    if _SET_SIZE is None:
        return False
    try:
        fcntl.fcntl(pipe, _SET_SIZE, _ROOM)
    except OSError:  # the user's pipes may have no more
        return False
    return True


def _pieces(session: Session, pipe: int, *, pause: float) -> Generator[bytes]:
    """Yield what comes through the pipe, until the statement has ended and the pipe is empty."""
    room = memoryview(bytearray(_PIECE))
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    waiting.register(session.pgconn.socket, select.POLLIN)
    has_ended = False
    while True:
        try:
            count = os.readv(pipe, [room])
        except BlockingIOError:
            count = 0
        if count:
            yield bytes(room[:count])
            if count < _PIECE and pause:
                time.sleep(pause)
        elif has_ended:
            return
        else:
            with awaiting(session):
                _wait(waiting, pipe)
            session.pgconn.consume_input()
            # The server has closed the pipe by then: whatever it wrote is in there.
            has_ended = not session.pgconn.is_busy()


def _wait(waiting: select.poll, pipe: int) -> None:
    """Wait for either; a pipe that nobody has opened yet, or has closed, is always ready."""
    ready = waiting.poll()
    if ready and all(one == pipe and event & select.POLLHUP for one, event in ready):
        time.sleep(_LOOK_AGAIN / 1000)


def _end(session: Session) -> None:
    failed = None
    while (result := session.pgconn.get_result()) is not None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            failed = result
    if failed is not None:
        raise errors.error_from_result(failed, encoding=session.info.encoding)
