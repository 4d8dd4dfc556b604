"""The filters of extensions' configuration tables: SQL from the catalog that pg_dump runs as it is.

``pg_extension.extcondition`` is any text. Behind ``COPY (SELECT … FROM table`` it could close the
parenthesis, write to a program of the server's, or begin another statement, all with the rights of
the role that makes the backup. Only a filter that is the whole end of one SELECT is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.errors import BackupFailed, CannotBeProven

if TYPE_CHECKING:
    from pgvow.errors import PgvowError
    from pgvow.postgres.connection import Session

# A schema that cannot be: the server reads the whole text, and then refuses the table before it
# looks at, locks or runs anything.
_NOWHERE = sql.Identifier("pg_pgvow_nowhere", "none")
_IS_READ = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)


def applied(condition: str) -> sql.Composed:
    """Return the filter as it stands behind a table's name: a comment in it ends with its line."""
    return sql.SQL("{}\n").format(sql.SQL(condition))


def counted(table: sql.Identifier, condition: str) -> sql.Composed:
    """Compose the query that counts a table's copied rows, through its filter if it has one.

    Whatever its plan is, making one computes constants in the expressions of the table's indexes.
    """
    if not condition:
        return sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(table)
    copied = sql.SQL("SELECT FROM ONLY {} {}").format(table, applied(condition))
    return sql.SQL("SELECT pg_catalog.count(*) FROM ({}) AS copied").format(copied)


def is_whole(session: Session, condition: str) -> bool:
    """Whether the server reads the condition as the end of one SELECT, and nothing beyond.

    Asked by the extended protocol, which takes one statement; outside of any parenthesis, so that
    none can be closed. Needs no lock and runs nothing. Raises psycopg.Error for any other refusal.
    """
    statement = sql.SQL("SELECT FROM ONLY {} {}").format(_NOWHERE, applied(condition))
    try:
        with session.transaction(force_rollback=True), session.cursor(binary=True) as cursor:
            cursor.execute(statement)
    except _IS_READ:
        return True
    except psycopg.ProgrammingError:
        return False
    return False


def refuse_unless_whole(session: Session, condition: str, table: str) -> None:
    """Raise BackupFailed, with the table's name, if its filter is more or less than a filter."""
    if not is_whole(session, condition):
        raise _refusal(BackupFailed, condition, table, [_LEAVE_OUT.format(table), _MEND])


def refuse_to_compare(session: Session, condition: str, table: str) -> None:
    """Raise CannotBeProven if a restored table's filter is more or less than a filter."""
    if not is_whole(session, condition):
        raise _refusal(CannotBeProven, condition, table, [_MEND])


_LONGEST = 200
_MEND = (
    "Look at extconfig and extcondition in pg_extension: only a superuser, or an extension's"
    " script, can have written this; find out who did"
)
_LEAVE_OUT = "Back up without its rows meanwhile: --exclude-table-data with the name {}"


def _refusal(kind: type[PgvowError], condition: str, table: str, steps: list[str]) -> PgvowError:
    shown = condition if len(condition) <= _LONGEST else f"{condition[:_LONGEST]}…"
    return kind(
        f"the filter of table {table} in pg_extension.extcondition is no condition of one query",
        facts={"Table": table, "Filter": shown},
        steps=steps,
    )
