"""Count a table's rows without a plan: by COPY of its narrowest column.

The planner computes constants in the expressions of a table's indexes and extended statistics for
any query of the table, be it ``count(*)``. ``CREATE INDEX … WHERE f(a) > f(0)`` so had the
function f of an ordinary role run with the rights of the role that backs up (measured on 15 and
18; no ``enable_…`` setting and no TABLESAMPLE prevents it). COPY of a table makes no plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.postgres.copy_out import await_answer, await_more

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import CatalogTable


def narrowest_of(table: CatalogTable) -> sql.Composed:
    """Compose what COPY reads to count a table: one column, or of a table without any all of it."""
    if not table.narrowest:
        return sql.SQL("{}").format(table.identifier)
    return sql.SQL("{} ({})").format(table.identifier, sql.Identifier(table.narrowest))


def count_by_copy(session: Session, tables: Sequence[CatalogTable]) -> list[int]:
    """Count the rows of each of these tables, by one message to the server.

    Raises psycopg.Error.
    """
    statements = [
        sql.SQL("COPY {} TO STDOUT").format(narrowest_of(table)).as_bytes(session)
        for table in tables
    ]
    session.pgconn.send_query(b";\n".join(statements))
    counts = [_rows_sent(session) for _ in tables]
    while session.pgconn.get_result() is not None:
        pass  # the end of the message
    return counts


def _rows_sent(session: Session) -> int:
    """Count the rows that the next COPY of a message sends."""
    pgconn = session.pgconn
    await_answer(session)
    rows = 0
    while (size := pgconn.get_copy_data(1)[0]) >= 0:
        if size:
            rows += 1
        else:
            await_more(session)
    await_answer(session)
    return rows
