"""The rows that break a rule of their own database: a query that lists them, and their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from psycopg import sql

from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from pgvow.postgres.connection import Session


@dataclass(frozen=True, slots=True)
class BrokenRows:
    """A query that lists rows, and how many there are."""

    rows: int
    query: str

    @classmethod
    def of(cls, session: Session, listing: sql.Composed) -> Self | None:
        """Count the rows of a query, by a session with the rights of the tables' owner."""
        counting = sql.SQL("SELECT pg_catalog.count(*) FROM ({}) AS broken").format(listing)
        row = session.execute(counting).fetchone()
        return cls(int(row[0]), f"{listing.as_string(session)};") if row else None


def of_foreign_key(session: Session, schema: str, table: str, name: str) -> sql.Composed | None:
    """Write the query of rows without the row that they refer to; None if there is no such key.

    The key has to exist, valid or not. Raises psycopg.Error.
    """
    names = {"schema": schema, "table": table, "name": name}
    columns = session.execute(query("foreign_key_columns"), names).fetchall()
    if not columns:
        return None
    _, parent_schema, parent, *_ = columns[0]
    present = sql.SQL(" AND ").join(
        sql.SQL("child.{} IS NOT NULL").format(sql.Identifier(own)) for own, *_ in columns
    )
    same = sql.SQL(" AND ").join(
        sql.SQL("parent.{} OPERATOR({}) child.{}").format(
            sql.Identifier(other),
            sql.SQL(".").join([sql.Identifier(around), sql.SQL(operator)]),
            sql.Identifier(own),
        )
        for own, _, _, other, around, operator in columns
    )
    return sql.SQL(
        "SELECT child.* FROM {} AS child WHERE {}"
        " AND NOT EXISTS (SELECT FROM {} AS parent WHERE {})"
    ).format(sql.Identifier(schema, table), present, sql.Identifier(parent_schema, parent), same)


def of_index(session: Session, schema: str, name: str) -> sql.Composed | None:
    """Write the query of rows that share the key of an index; None if there is no such index.

    Raises psycopg.Error.
    """
    rows = session.execute(query("index_columns"), {"schema": schema, "name": name}).fetchall()
    if not rows:
        return None
    _, condition, around, indexed = rows[0]
    key = sql.SQL(", ").join(sql.SQL(expression) for expression, *_ in rows)
    where = sql.SQL("WHERE {}").format(sql.SQL(condition)) if condition else sql.SQL("")
    table = sql.Identifier(around, indexed)
    return sql.SQL(
        "SELECT * FROM {} WHERE ({}) IN (SELECT {} FROM {} {}"
        " GROUP BY {} HAVING pg_catalog.count(*) > 1)"
    ).format(table, key, key, table, where, key)
