"""Load the rows of one table without the conditions on them, and lay those on again.

Checks, conditions of domains and NOT NULL are set aside in one transaction with the load. Those
that hold again are as they were; only the others stay loose. A generated column is set aside if
rows are refused with it that are taken without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import copy_target, copy_text
from pgvow.operations.core.rejected_rows import RejectedRows, load_taken
from pgvow.postgres.entry_session import as_archived, prepare_for_entry
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.archive import CopyTarget, TocEntry
    from pgvow.operations.core.stages import CheckedBackup
    from pgvow.postgres.connection import Session

_SAVEPOINT = "pgvow_condition"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows: ``kind`` is check, domain, not null or generated."""

    kind: str
    schema: str
    name: str
    part: str
    definition: str

    @property
    def _owner(self) -> sql.Composed:
        keyword = sql.SQL("DOMAIN" if self.kind == "domain" else "TABLE")
        return sql.SQL("ALTER {} {}").format(keyword, sql.Identifier(self.schema, self.name))

    def aside(self) -> sql.Composed:
        """Write the statement that sets it aside."""
        part = sql.Identifier(self.part)
        if self.kind == "not null":
            return self._owner + sql.SQL(" ALTER COLUMN {} DROP NOT NULL").format(part)
        if self.kind == "generated":
            return self._owner + sql.SQL(" ALTER COLUMN {} DROP EXPRESSION").format(part)
        return self._owner + sql.SQL(" DROP CONSTRAINT {}").format(part)

    def again(self) -> sql.Composed:
        """Write the statement that lays it on again."""
        part, own_text = sql.Identifier(self.part), sql.SQL(self.definition)
        if self.kind == "not null":
            return self._owner + sql.SQL(" ALTER COLUMN {} SET NOT NULL").format(part)
        if self.kind == "generated":
            return self._owner + sql.SQL(" DROP COLUMN {}, ADD COLUMN {} {}").format(
                part, part, own_text
            )
        return self._owner + sql.SQL(" ADD CONSTRAINT {} {}").format(part, own_text)

    def loose(self) -> sql.Composed | None:
        """Write the statement that lays it on new rows alone; None if there is none."""
        if self.kind in {"not null", "generated"} or self.definition.endswith("NOT VALID"):
            return None
        return self.again() + sql.SQL(" NOT VALID")

    def finish(self) -> sql.Composed:
        """Write the statement that makes it whole when the rows have been mended."""
        if self.loose() is None:
            return self.again()
        return self._owner + sql.SQL(" VALIDATE CONSTRAINT {}").format(sql.Identifier(self.part))

    def broken_by(self) -> sql.Composed | None:
        """Write the query of the rows that break it; None for a domain, which many tables use."""
        table = sql.SQL("SELECT * FROM {}").format(sql.Identifier(self.schema, self.name))
        if self.kind == "not null":
            return table + sql.SQL(" WHERE {} IS NULL").format(sql.Identifier(self.part))
        if self.kind != "check":
            return None
        held = self.definition.removesuffix(" NOT VALID").removesuffix(" NO INHERIT")
        expression = sql.SQL(held.removeprefix("CHECK "))
        return table + sql.SQL(" WHERE NOT {}").format(expression)


@dataclass(frozen=True, slots=True)
class LooseCondition:
    """A condition that does not hold, with the server's reason."""

    condition: Condition
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A table whose rows were loaded without its conditions: those that stay loose."""

    target: CopyTarget
    loose: tuple[LooseCondition, ...]
    rejected: RejectedRows


def load_without_conditions(
    session: Session, backup: CheckedBackup, entry: TocEntry, path: Path, search_path: str
) -> LoadedTable:
    """Load a table's rows, and lay its conditions on again; refused rows are kept at ``path``.

    In one transaction. Raises psycopg.Error, ArchiveError and OSError; nothing stays then.
    """
    target = copy_target(entry.copy_stmt)
    rejected = RejectedRows(path)
    with session.transaction():
        prepare_for_entry(session, backup.toc, Stage.ROWS)
        names = {"schema": target.schema, "table": target.name}
        rows = session.execute(query("table_conditions"), names).fetchall()
        conditions = [Condition(*row[1:]) for row in rows]
        first = [each for each in conditions if each.kind != "generated"]
        prepare_for_entry(session, backup.toc, Stage.ROWS, search_path)
        aside = _set_aside(session, first)
        generated = [each for each in conditions if each.kind == "generated"]
        session.execute("SAVEPOINT pgvow_loaded")
        _load(session, backup, entry, rejected)
        if rejected.count and generated:
            aside += _with_fewer(session, backup, entry, rejected, generated)
        loose = tuple(_lay_on(session, aside))
    return LoadedTable(target, loose, rejected)


def keep_rows(backup: CheckedBackup, entry: TocEntry, path: Path, reason: str) -> LoadedTable:
    """Keep all rows of a table that is not there; raises ArchiveError and OSError."""
    rejected = RejectedRows(path)
    with backup.stored.open_dump() as file:
        rejected.keep_all(copy_text(file, backup.toc, entry), reason)
    return LoadedTable(copy_target(entry.copy_stmt), (), rejected)


def _with_fewer(
    session: Session,
    backup: CheckedBackup,
    entry: TocEntry,
    rejected: RejectedRows,
    generated: Sequence[Condition],
) -> list[Condition]:
    """Load again without generated columns; returns those that had refused rows."""
    refused = rejected.count
    rejected.discard()
    session.execute("ROLLBACK TO SAVEPOINT pgvow_loaded")
    aside = _set_aside(session, generated)
    _load(session, backup, entry, rejected)
    if rejected.count < refused:
        return aside
    rejected.discard()
    session.execute("ROLLBACK TO SAVEPOINT pgvow_loaded")
    _load(session, backup, entry, rejected)
    return []


def _load(session: Session, backup: CheckedBackup, entry: TocEntry, rejected: RejectedRows) -> None:
    statement = as_archived(entry.copy_stmt.strip().removesuffix(";"), backup.toc)
    with backup.stored.open_dump() as file:
        load_taken(session, statement, copy_text(file, backup.toc, entry), rejected)


def _set_aside(session: Session, conditions: Sequence[Condition]) -> list[Condition]:
    """Set conditions aside as far as the server lets us."""
    return [each for each in conditions if _tried(session, each.aside()) is None]


def _lay_on(session: Session, aside: Sequence[Condition]) -> list[LooseCondition]:
    """Lay conditions on again, those that do not hold on new rows alone."""
    loose: list[LooseCondition] = []
    for condition in aside:
        error = _tried(session, condition.again())
        if error is None:
            continue
        if (statement := condition.loose()) is not None:
            _tried(session, statement)
        loose.append(LooseCondition(condition, str(error).strip()))
    return loose


def _tried(session: Session, statement: sql.Composed) -> psycopg.Error | None:
    """Run a statement; returns its error, after which the transaction goes on."""
    session.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        session.execute(statement)
    except psycopg.Error as error:
        if session.closed:
            raise
        session.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return error
    session.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return None
