"""Read a database back as pg_dump would: the rows of tables, sequences, large objects."""

from __future__ import annotations

import select
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import xxhash
from psycopg import errors, pq, sql
from psycopg.rows import class_row

from pgvow.archive import LargeObjects
from pgvow.errors import CannotBeProven
from pgvow.postgres.connection import prepare
from pgvow.postgres.copy_pipe import piped_rows
from pgvow.postgres.filters import applied, refuse_to_compare
from pgvow.postgres.planned_code import refuse_to_plan
from pgvow.postgres.sql import query
from pgvow.postgres.watched import awaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from pgvow.postgres.connection import Session

# Of the settings that metadata record, what is no setting of a session, and what is of no matter
# where no column is of type money.
_OF_THE_DATABASE = "server_encoding"
_OF_MONEY = "lc_monetary"
_PIECE = 128 << 10
_LARGE_OBJECT_PIECE = 256 << 10
_LARGE_OBJECTS_AT_ONCE = 100


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
    """Where a sequence stands."""

    last_value: int
    is_called: bool


def prepare_to_compare(session: Session, settings: Mapping[str, str]) -> None:
    """Give a session what the dumping one had, so that the same rows are the same text.

    Raises CannotBeProven where this server does not know a time zone or a locale of the source's.
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
    """Yield what a COPY sends, by libpq's own calls: a third less work than psycopg's ``copy``.

    Rows are joined to pieces, for a call for each costs more than its hash.
    """
    pgconn = session.pgconn
    pgconn.send_query(statement)
    held: list[bytes] = []
    size = 0
    try:
        await_answer(session)
        while (found := pgconn.get_copy_data(1))[0] >= 0:
            if not found[0]:
                await_more(session)
                continue
            held.append(bytes(found[1]))
            size += found[0]
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
    """Ask where a sequence stands."""
    statement = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
    row = session.execute(statement).fetchone()
    return None if row is None else Position(*row)


def restored_large_objects(session: Session) -> LargeObjects:
    """Read every large object; some megabytes are in memory at a time."""
    found = LargeObjects()
    after = 0
    while True:
        chosen = {
            "after": after, "bytes": _LARGE_OBJECT_PIECE, "objects": _LARGE_OBJECTS_AT_ONCE
        }  # fmt: skip
        with session.cursor(binary=True) as cursor:
            rows = cursor.execute(query("large_objects"), chosen).fetchall()
        if not rows:
            return found
        for oid, beginning in rows:
            found += _large_object(session, oid, beginning)
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
