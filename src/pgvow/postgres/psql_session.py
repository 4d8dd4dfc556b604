"""A session that copies: a psql of its own, fed with statements, read at full speed.

psql reads a row from libpq in a third of the time that any way from Python takes, and does it
beside us on another core. Its output for each statement ends with a mark that begins with a
byte that COPY text never has: a vertical tab is written there as a backslash and a letter. A single
byte is found many times as fast as several.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import select
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import psycopg

from pgvow.errors import ConnectionFailed
from pgvow.postgres.connection import carried
from pgvow.postgres.process import RunningTool
from pgvow.postgres.psql_text import first_complaint, for_psql
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from psycopg.sql import Composable

    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.postgres.psql_text import PsqlError

_SUCCESS = b"00000"
_MARK = b"\v"
_MARK_FOR_PSQL = rb"\013"
_PIPE_BYTES = 1 << 20
# psql writes 4 KiB at a time; with this it took three quarters of the time.
_BUFFERED = ("-o", "64K")
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, Linux
_F_GETPIPE_SZ = 1032
_ANSWER_BYTES = 1 << 16
_COMPLAINT_WITHIN = 2.0
_REST_WITHIN = 0.2
_GOODBYE_WITHIN = 1.0
_GOODBYE_AT_ERRORS_WITHIN = 0.3
_AHEAD_BYTES = 32 << 10


class CopySession:
    """One psql; ``session`` is any session of ours on the same database, for its encoding."""

    def __init__(
        self,
        target: ConnectionTarget,
        installation: Installation,
        session: Session,
        *,
        watched: bool,
    ) -> None:
        encoding = session.info.parameter_status("server_encoding") or "UTF8"
        # SQL_ASCII means bytes of unknown meaning, carried by our sessions as LATIN1.
        self._unknown = encoding == "SQL_ASCII"
        self._session = session
        self._target = target
        token = secrets.token_hex(8).encode()
        self._marker = _MARK + token + b" "
        self._echo = b"\\echo '" + _MARK_FOR_PSQL + token + b"' :SQLSTATE\n"
        self._marker_size = len(self._marker) + len(_SUCCESS) + 1
        environment = installation.environment(target.tool_environment(notice_our_death=watched))
        environment["PGCLIENTENCODING"] = "SQL_ASCII" if self._unknown else "UTF8"
        argv = [
            *_buffered(),
            str(installation.program("psql")),
            *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password"),
            "--set=VERBOSITY=verbose",
            "--dbname=" + target.conninfo("pgvow copy", notice_our_death=watched),
        ]
        self._tool = RunningTool(
            argv,
            env=environment,
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            name="psql",
            awaited=False,
        )
        self._output = self._tool.stdout.fileno()
        _widen(self._output)
        self._rest = b""
        self._spare = bytearray()
        self._killed = False
        self._ready_by: float | None = None
        self.backend = 0
        self.ahead_bytes = _ahead_bytes(self._tool.stdin.fileno())
        """Statements of at most so many bytes may be sent while others are still being answered.

        psql does not read while it writes: twice as much must fit into its pipe.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end_all([self], within=_GOODBYE_WITHIN)

    def doing(self, what: str) -> None:
        """Note the present activity, for the report of its silence."""
        self._tool.peer.doing = what

    def kill(self) -> None:
        """End psql at once; whoever reads from it meets the end of its output."""
        self._killed = True
        self._tool.kill()

    def prepare(self, *, started: float | None = None) -> None:
        """Wait until the session stands, and make the settings in it that pg_dump makes in its own.

        libpq gives up a server that is silent, but not a pooler that lets in and then has no
        session to give: twice what a connection may take, since ``started``, is as long as we
        wait. Raises ConnectionFailed, AccessDenied if psql is refused, and psycopg's errors.
        """
        if patience := self._target.connect_seconds:
            self._ready_by = (started or time.monotonic()) + 2 * patience
        try:
            self.execute(query("session_settings").encode())
        except psycopg.errors.ConnectionTimeout:
            raise _not_ready(self._target, 2 * (patience or 0)) from None
        except psycopg.OperationalError as error:
            if error.sqlstate is None:
                raise self._target.refused(error) from error
            raise
        self.backend = int(self.execute(b"SELECT pg_catalog.pg_backend_pid()"))
        self._ready_by = None
        self._tool.peer.backend = self.backend
        self._tool.take_complaints()  # a server greets with warnings that are nobody's failure

    def end_at_errors(self) -> None:
        """From now on let a statement that fails end psql.

        Of a COPY that fails midway psql before 17 says SQLSTATE 00000, and since then nothing.
        """
        self.send(b"\\set ON_ERROR_STOP 1\n")

    def carried(self, name: str) -> str:
        """Turn a name of an archive into one for a statement."""
        return carried(self._session, name)

    def command(self, statement: Composable, *, then: str = "") -> bytes:
        """Return the input for a composed statement, for ``then`` if any, and for the mark.

        psql's lexer reads nothing of it but the output of ``psql_text.for_psql``.
        """
        text = statement.as_string(self._session)
        return for_psql(text, unknown=self._unknown, then=then) + self._echo

    def constant(self, statement: bytes) -> bytes:
        """Return the input for a statement of ours, with nothing of the server's in it."""
        return statement + b"\n;\n" + self._echo

    def send(self, commands: bytes) -> None:
        """Send commands; each has its output read by one ``receive``, in the same order."""
        try:
            self._tool.stdin.write(commands)
            self._tool.stdin.flush()
        except (OSError, ValueError):
            raise self._ended() from None

    def execute(self, statement: bytes) -> str:
        """Run a statement of ours with a small output, and return that; raises psycopg.Error."""
        self.send(self.constant(statement))
        return self.answer()

    def answer(self) -> str:
        """Return the output of one command, which is small; raises psycopg.Error."""
        return b"".join(bytes(piece) for piece in self.receive(_ANSWER_BYTES)).decode().strip()

    def receive(self, size: int) -> Iterator[memoryview]:
        """Yield the output of one command in pieces of just ``size`` bytes, but for the last.

        Each piece begins a buffer of its own, and fills at least half of it. Raises psycopg.Error
        if the statement failed.
        """
        filled = len(self._rest)
        buffer = self._buffer(size)
        searched = 0
        while True:
            mark = self._marked(buffer, searched, filled)
            if 0 <= mark <= filled - self._marker_size:
                break
            searched = filled if mark < 0 else mark
            if filled >= size + self._marker_size:
                self._rest = bytes(memoryview(buffer)[size:filled])
                yield memoryview(buffer)[:size]
                filled, searched = len(self._rest), 0
                buffer = self._buffer(size)
                continue
            filled += self._read(memoryview(buffer)[filled:])
        yield from self._end(buffer, mark, filled, size)

    def _marked(self, buffer: bytearray, begin: int, filled: int) -> int:
        """Find the mark, or its possible beginning; -1: there is neither."""
        position = buffer.find(_MARK, begin, filled)
        while 0 <= position <= filled - self._marker_size and not buffer.startswith(
            self._marker, position
        ):  # no COPY text has one, but an answer may
            position = buffer.find(_MARK, position + 1, filled)
        return position

    def _end(self, buffer: bytearray, found: int, filled: int, size: int) -> Iterator[memoryview]:
        """Yield the bytes before the mark, and keep those behind it for the next command."""
        view = memoryview(buffer)
        state = bytes(view[found + len(self._marker) : found + self._marker_size - 1])
        self._rest = bytes(view[found + self._marker_size : filled])
        if state != _SUCCESS:
            raise _failed(state.decode(), self._complaint())
        if found > size // 2:
            yield view[: min(found, size)]
            begin = size
        else:
            self._spare = buffer
            begin = 0
        if begin < found:  # thousands of small answers may wait: not each in a large buffer
            yield memoryview(bytearray(view[begin:found]))

    def _buffer(self, size: int) -> bytearray:
        wanted = max(size + 2 * self._marker_size, len(self._rest) + _PIPE_BYTES // 16)
        buffer, self._spare = self._spare, bytearray()
        if len(buffer) != wanted:
            buffer = bytearray(wanted)
        buffer[: len(self._rest)] = self._rest
        self._rest = b""
        return buffer

    def _read(self, into: memoryview) -> int:
        if self._ready_by is not None and not _readable(self._output, self._ready_by):
            raise psycopg.errors.ConnectionTimeout
        with self._tool.peer:
            count = os.readv(self._output, [into])
        if not count:
            raise self._ended()
        return count

    def _ended(self) -> psycopg.Error:
        ended = self._tool.look(_COMPLAINT_WITHIN)
        if complaint := first_complaint(self._tool.take_complaints()):
            return _failed(complaint.state, str(complaint))
        if ended and ended.returncode < 0:
            return psycopg.OperationalError(
                f"psql was ended by {signal.Signals(-ended.returncode).name}"
            )
        return psycopg.OperationalError("psql ended")

    def _complaint(self) -> str:
        """The first error that psql told; it comes by another pipe than the mark."""
        deadline = time.monotonic() + _COMPLAINT_WITHIN
        text = ""
        complaint: PsqlError | None = None
        while time.monotonic() < deadline:
            text += self._tool.take_complaints() + "\n"
            first = first_complaint(text)
            if first and first.whole:
                return str(first)
            if first and not complaint:
                deadline = time.monotonic() + _REST_WITHIN
            complaint = first
            time.sleep(0.01)
        return str(complaint or "")

    def take_leave(self) -> None:
        """Let psql end by itself: of a session that is just gone a server's log complains."""
        if self._killed:
            return
        try:
            os.set_blocking(self._tool.stdin.fileno(), False)  # a full pipe is nothing to wait for
            self._tool.stdin.write(b"ROLLBACK;\n")
            self._tool.stdin.close()
        except (OSError, ValueError):
            self.kill()

    def stop(self, *, deadline: float) -> None:
        """End psql, by force from a moment on."""
        if not self._killed and not self._tool.look(max(0.0, deadline - time.monotonic())):
            self.kill()
        self._tool.stop()


def end_all(sessions: Sequence[CopySession], *, within: float) -> None:
    """End sessions, all in the same few tenths of a second; repeating it is harmless."""
    for session in sessions:
        session.take_leave()
    deadline = time.monotonic() + within
    for session in sessions:
        session.stop(deadline=deadline)


@contextmanager
def prepared(start: Callable[[], CopySession], count: int) -> Iterator[Sequence[CopySession]]:
    """Start so many sessions, and end them together, at once if something has failed.

    Raises the errors of ``CopySession.prepare``.
    """
    sessions: list[CopySession] = []
    patience = _GOODBYE_AT_ERRORS_WITHIN
    started = time.monotonic()
    try:
        while len(sessions) < count:
            sessions.append(start())
        for session in sessions:
            session.prepare(started=started)
        yield sessions
        patience = _GOODBYE_WITHIN
    finally:
        end_all(sessions, within=patience)


def _readable(pipe: int, deadline: float) -> bool:
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _not_ready(target: ConnectionTarget, seconds: float) -> ConnectionFailed:
    return ConnectionFailed(
        f"a worker's session was not ready within {seconds:.0f} seconds",
        facts=target.facts,
        steps=[
            "Use fewer workers: --jobs 1 needs three connections, each worker one more",
            "Or allow more where a pooler stands between: pool_size, default_pool_size",
            f"Or give it more time, twice PGCONNECT_TIMEOUT: that is {seconds / 2:.0f} now",
        ],
    )


def _failed(state: str, complaint: str) -> psycopg.Error:
    """Return the error that psycopg raises for an SQLSTATE."""
    try:
        kind: type[psycopg.Error] = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.DatabaseError if state else psycopg.OperationalError
    return kind(complaint)


def _buffered() -> list[str]:
    stdbuf = shutil.which("stdbuf")
    return [stdbuf, *_BUFFERED] if stdbuf else []


def _ahead_bytes(pipe: int) -> int:
    """All or nothing: who has many pipes, and no privilege, gets them of one page or two."""
    try:
        room: int = fcntl.fcntl(pipe, _F_GETPIPE_SZ)
    except OSError:
        return 0  # not Linux: nobody tells
    return _AHEAD_BYTES if room >= 2 * _AHEAD_BYTES else 0


def _widen(pipe: int) -> None:
    """Let the pipe hold more than 64 KiB, if that is allowed."""
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return
