"""Rows that COPY cannot carry: a message ends below a gigabyte, and a bytea doubles in text.

Such a row fails every backup of its table, by whatever program. It is found without being read, and
named with the query that finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.errors import BackupFailed, PgvowError
from pgvow.model import table_key
from pgvow.postgres.connection import readable
from pgvow.postgres.planned_code import planned_code
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from pgvow.postgres.connection import ConnectionTarget, Session

# PostgreSQL's internal errors are in English always; the SQLSTATE is there for
# the one that is not.
_WORDS = ("invalid memory alloc request size", "enlarge string buffer", "exceeds maximum allowed")
_TOO_MUCH = "54000"
_SUSPECT_BYTES = 500_000_000
_NAMED = 5
_SECONDS = 60
_MEASURES = {
    "twice": "2 * pg_catalog.octet_length({})::bigint",
    "own": "pg_catalog.octet_length({})::bigint",
    "stored": "pg_catalog.pg_column_size({})::bigint",
}


class RowTooWideError(Exception):
    """A COPY ended at a row that is too long; ``table`` is its oid, or its name as SQL."""

    def __init__(self, table: int | str, cause: str) -> None:
        super().__init__(cause)
        self.table = table


def is_too_wide(text: str, sqlstate: str | None = None) -> bool:
    """Whether a COPY of a table failed at a row that no message can hold."""
    return sqlstate == _TOO_MUCH or any(words in text for words in _WORDS)


def row_too_wide(target: ConnectionTarget, error: RowTooWideError) -> PgvowError:
    """Make the error that names the table, its rows, and the query that finds them."""
    try:
        with target.connect("wide rows") as session:
            return _described(session, target, error)
    except (PgvowError, psycopg.Error):
        return BackupFailed(str(error), facts=target.facts, steps=_steps(str(error.table), None))


def _described(session: Session, target: ConnectionTarget, error: RowTooWideError) -> PgvowError:
    row = session.execute(query("table_name"), {"table": str(error.table)}).fetchone()
    if row is None:
        raise BackupFailed(str(error))
    oid, schema, name = row
    key = table_key(readable(session, schema), readable(session, name))
    finder = _finder(session, oid, sql.Identifier(schema, name))
    rows = [] if planned_code(session, [oid]) else _rows(session, finder)
    facts = {**target.facts, "Table": key}
    if rows:
        facts["Rows (ctid)"] = ", ".join(rows)
    pattern = sql.Identifier(schema, name).as_string(session)
    return BackupFailed(
        f"table {key} has a row that COPY cannot carry: {error}",
        facts=facts,
        steps=_steps(readable(session, pattern), readable(session, finder.as_string(session))),
    )


def _finder(session: Session, oid: int, table: sql.Identifier) -> sql.Composed:
    columns = session.execute(query("wide_columns"), {"table": oid}).fetchall()
    sizes = sql.SQL(" + ").join(
        sql.SQL("COALESCE({}, 0)").format(sql.SQL(_MEASURES[measure]).format(sql.Identifier(name)))
        for name, measure in columns
    )
    return sql.SQL("SELECT ctid, {} AS bytes FROM ONLY {} ORDER BY 2 DESC LIMIT {}").format(
        sizes if columns else sql.SQL("0"), table, sql.Literal(_NAMED)
    )


def _rows(session: Session, finder: sql.Composed) -> list[str]:
    """Name the rows; none if that takes too long, or is refused."""
    try:
        session.execute(
            "SELECT pg_catalog.set_config('statement_timeout', %s, false)", [f"{_SECONDS}s"]
        )
        rows = session.execute(finder).fetchall()
    except psycopg.Error:
        return []
    return [f"{ctid} of {size:,} bytes" for ctid, size in rows if size > _SUSPECT_BYTES]


def _steps(table: str, finder: str | None) -> list[str]:
    return [
        *([f"Find such rows, the largest first: {finder}"] if finder else []),
        "Split or shorten the value: a row has to stay below 1 GB as text, a bytea below 500 MB",
        f"Meanwhile back up without the table's rows: --exclude-table-data with the name {table}",
    ]
