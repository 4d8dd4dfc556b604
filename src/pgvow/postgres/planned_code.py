"""Find code of other roles that planning a query of a table would run with our rights.

COPY of a table needs no plan, and is what counts and copies it (``counting``). What remains is
queries: ranges of a large table's blocks, an extension's filter, the search for rows that are too
wide. They are not sent for a table that this finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from pgvow.errors import CannotBeProven
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgvow.postgres.connection import Session


@dataclass(frozen=True, slots=True)
class PlannedCode:
    """A function that the planner would call; ``name`` is the index's or the statistics'."""

    oid: int
    name: str
    function: str
    owner: str


def planned_code(session: Session, oids: Iterable[int]) -> tuple[PlannedCode, ...]:
    """Find the functions of others that a plan for one of these tables may call."""
    with session.cursor(row_factory=class_row(PlannedCode)) as cursor:
        return tuple(cursor.execute(query("planned_code"), {"oids": list(oids)}).fetchall())


def refuse_to_plan(session: Session, oid: int, table: str) -> None:
    """Raise CannotBeProven if a query of a restored table would run code of others as ours."""
    for found in planned_code(session, [oid]):
        raise CannotBeProven(
            f"to read table {table} through its extension's filter would run {found.function} of"
            f" role {found.owner} with the rights of this session",
            facts={"Table": table, "Index or statistics": found.name},
            steps=[
                "Look at the function first: pgvow show FILE --code",
                f"Drop {found.name} at the source, and back up again",
            ],
        )
