"""Read a database back as pg_dump would: the rows of tables, sequences, large objects.

A server on this machine writes the rows into a named pipe. Over a connection each row is a message
of its own, which costs more than all the work on it afterwards, and takes one thread at a time.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import xxhash
from psycopg import errors, pq, sql
from psycopg.rows import class_row

from pgvow.archive import LargeObjects
from pgvow.errors import CannotBeProven, PgvowError
from pgvow.postgres.connection import prepare
from pgvow.postgres.filters import applied, refuse_to_compare
from pgvow.postgres.planned_code import refuse_to_plan
from pgvow.postgres.sql import query
from pgvow.postgres.watched_sessions import awaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from pgvow.postgres.connection import Session


# Of the settings that metadata record: the one that no session can set, and the one that matters
# only if a column is of type money.
_OF_THE_DATABASE = "server_encoding"
_OF_MONEY = "lc_monetary"
_PIECE = 128 << 10
_LARGE_OBJECT_PIECE = 256 << 10
_LARGE_OBJECTS_AT_ONCE = 100
_PIPE_PIECE = 256 << 10
_ROOM = 1 << 20
# Linux has these; elsewhere a pipe keeps the size it has.
_SET_SIZE: int | None = getattr(fcntl, "F_SETPIPE_SZ", None)
# A server writes 4 kB at a time: better to wait a little than to be woken for each.
_PAUSE = 0.0005
_LOOK_AGAIN = 5


@dataclass(frozen=True, slots=True)
class RestoredTable:
    """A table as it came back; names are as the session carries them, see ``connection.readable``.

    ``root`` is the oid of a partition's root, above all branches. ``filter`` is an extension's own
    WHERE clause for a configuration table of its, or empty.
    """

    oid: int
    schema: str
    name: str
    is_partitioned: bool
    root: int | None
    filter: str
    is_member: bool


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a sequence."""

    last_value: int
    is_called: bool


def prepare_to_compare(session: Session, settings: Mapping[str, str]) -> None:
    """Give a session the settings of the dumping one, so that the same rows are the same text.

    Raises CannotBeProven if this server does not know a time zone or a locale of the source's.
    """
    prepare(session)
    for name, value in settings.items():
        if name != _OF_THE_DATABASE:
            _set(session, name, value)


def _set(session: Session, name: str, value: str) -> None:
    try:
        session.execute(query("set_setting"), {"name": name, "value": value})
    except psycopg.Error as error:
        if name == _OF_MONEY and not _uses_money(session):
            return
        raise CannotBeProven(
            f"this server does not know the source's {name}: {str(error).strip()}",
            facts={"Setting": f"{name} = {value}"},
            steps=["Prove it on a server like the source's: pgvow prove FILE --on DSN"],
        ) from error


def _uses_money(session: Session) -> bool:
    row = session.execute(query("uses_money")).fetchone()
    return row is not None and bool(row[0])


def restored_tables(session: Session) -> tuple[RestoredTable, ...]:
    """Read the tables from the catalog, by schema and name."""
    with session.cursor(row_factory=class_row(RestoredTable)) as cursor:
        return tuple(cursor.execute(query("restored_tables")).fetchall())


def copy_rows(
    session: Session,
    table: RestoredTable,
    columns: Sequence[str],
    *,
    encoding: str,
    make_pipe: Callable[[], Path] | None = None,
) -> Iterator[bytes]:
    """Yield the COPY text of a table's rows, without terminator, in pieces of some size.

    The rows are its own alone: a partitioned one has none, and its leaves are read one by one.
    ``encoding`` is PostgreSQL's name of the text's. ``make_pipe`` makes a pipe that the server can
    write into, if it is on this machine and we are its superuser. Raises psycopg.Error.
    """
    if table.filter:  # from the restored catalog: it is the archive's word
        refuse_to_compare(session, table.filter, f"{table.schema}.{table.name}")
        refuse_to_plan(session, table.oid, f"{table.schema}.{table.name}")
    selected = _statement(table, columns)
    options = sql.SQL("(ENCODING {})").format(sql.Literal(encoding))
    if make_pipe is not None:
        pieces = piped_rows(session, selected, options, make_pipe)
    else:
        statement = selected + sql.SQL(" TO STDOUT WITH ") + options
        pieces = _text(session, statement.as_bytes(session))
    with closing(pieces) as text:
        yield from text


def _text(session: Session, statement: bytes) -> Generator[bytes]:
    """Yield the text that a COPY sends, by libpq itself: a third less work than psycopg's ``copy``.

    Rows are joined to pieces, for a call for each costs more than its hash.
    """
    pgconn = session.pgconn
    pgconn.send_query(statement)
    held: list[bytes] = []
    size = 0
    try:
        await_answer(session)
        while (row := pgconn.get_copy_data(1))[0] >= 0:
            if not row[0]:
                await_more(session)
                continue
            held.append(bytes(row[1]))
            size += row[0]
            if size >= _PIECE:
                yield b"".join(held)
                held.clear()
                size = 0
        yield b"".join(held)
        await_answer(session)
        while pgconn.get_result() is not None:
            pass
    except GeneratorExit:
        session.close()  # rows are still on their way; nobody wants them, or the session
        raise


def await_answer(session: Session) -> None:
    """Wait for the next result, and keep no signal waiting; raises psycopg.Error for a bad one."""
    pgconn = session.pgconn
    while pgconn.is_busy():
        await_more(session)
    result = pgconn.get_result()
    if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
        while pgconn.get_result() is not None:
            pass  # a session with an answer half read serves for nothing more
        raise errors.error_from_result(result, encoding=session.info.encoding)


def await_more(session: Session) -> None:
    """Wait until the server has sent something, and take it in; raises psycopg.Error."""
    waiting = select.poll()
    waiting.register(session.pgconn.socket, select.POLLIN)
    with awaiting(session):
        waiting.poll()
    session.pgconn.consume_input()


def _statement(table: RestoredTable, columns: Sequence[str]) -> sql.Composed:
    name = sql.Identifier(table.schema, table.name)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    if table.filter:
        return sql.SQL("COPY (SELECT {} FROM ONLY {} {})").format(
            listed, name, applied(table.filter)
        )
    return sql.SQL("COPY {} ({})" if columns else "COPY {}").format(name, listed)


def restored_sequences(session: Session) -> frozenset[tuple[str, str]]:
    """Read from the catalog which sequences there are: schema and name."""
    return frozenset(
        (schema, name) for schema, name in session.execute(query("restored_sequences"))
    )


def sequence_position(session: Session, schema: str, name: str) -> Position | None:
    """Ask for the position of a sequence."""
    statement = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
    row = session.execute(statement).fetchone()
    return None if row is None else Position(*row)


def restored_large_objects(session: Session) -> LargeObjects:
    """Read every large object; some megabytes are in memory at a time."""
    objects = LargeObjects()
    after = 0
    while True:
        chosen = {
            "after": after, "bytes": _LARGE_OBJECT_PIECE, "objects": _LARGE_OBJECTS_AT_ONCE
        }  # fmt: skip
        with session.cursor(binary=True) as cursor:
            rows = cursor.execute(query("large_objects"), chosen).fetchall()
        if not rows:
            return objects
        for oid, beginning in rows:
            objects += _large_object(session, oid, beginning)
        after = rows[-1][0]


def _large_object(session: Session, oid: int, beginning: bytes) -> LargeObjects:
    digest, size, piece = xxhash.xxh3_128(oid.to_bytes(8, "big")), 0, beginning
    while piece:
        digest.update(piece)
        size += len(piece)
        if len(piece) < _LARGE_OBJECT_PIECE:
            break
        piece = _more_of_large_object(session, oid, size)
    return LargeObjects(count=1, size=size, total=digest.intdigest())


def _more_of_large_object(session: Session, oid: int, offset: int) -> bytes:
    chosen = {"oid": oid, "offset": offset, "bytes": _LARGE_OBJECT_PIECE}
    with session.cursor(binary=True) as cursor:
        row = cursor.execute(query("large_object"), chosen).fetchone()
    return b"" if row is None else bytes(row[0])


def piped_rows(
    session: Session, copy: sql.Composed, options: sql.Composed, make_pipe: Callable[[], Path]
) -> Generator[bytes]:
    """Yield the pieces of text that ``copy`` sends: a COPY statement up to its TO.

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
        # The directory is the server's, and restored code runs in there as well.
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
    """Yield the bytes from the pipe, until the statement has ended and the pipe is empty."""
    room = memoryview(bytearray(_PIPE_PIECE))
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
            if count < _PIPE_PIECE and pause:
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
    if ready and all(descriptor == pipe and event & select.POLLHUP for descriptor, event in ready):
        time.sleep(_LOOK_AGAIN / 1000)


def _end(session: Session) -> None:
    failed = None
    while (result := session.pgconn.get_result()) is not None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            failed = result
    if failed is not None:
        raise errors.error_from_result(failed, encoding=session.info.encoding)
