"""The copies of tables, and the comparison of their rows with the backup, before they get names."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from pgvow.archive import CopyDigest, UnorderedDigest, copy_target, copy_text
from pgvow.formats import counted
from pgvow.model import Difference, DifferenceKind, table_key
from pgvow.operations.core.compare import Comparison
from pgvow.operations.core.expected import ExpectedTable, refuse_unknown_text
from pgvow.postgres.copy_out import (
    RestoredTable,
    copy_rows,
    prepare_to_compare,
    sequence_position,
)
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pgvow.archive import CopyFacts
    from pgvow.operations.restore.beside_plan import BesidePlan
    from pgvow.postgres.connection import Session


@dataclass(frozen=True, slots=True)
class TableCopy:
    """A table of the backup, and the name that its copy gets.

    ``partitions`` are its partitions of all levels, each with the name of its copy. ``owner`` is
    the copy's, None if it belongs to the role that restores.
    """

    schema: str
    name: str
    copy_schema: str
    copy_name: str
    owner: str | None
    rows: int
    size_bytes: int
    partitions: tuple[tuple[str, str, str], ...] = ()

    @property
    def members(self) -> frozenset[tuple[str, str]]:
        """Schema and name of the table and of its partitions, in the backup."""
        return frozenset(
            {(self.schema, self.name), *((schema, name) for schema, name, _ in self.partitions)}
        )


def compare_copies(
    session: Session, plan: BesidePlan, holding: str, sequences: Mapping[tuple[str, str], str]
) -> Comparison:
    """Read the copies in the holding schema back, and compare each with its table in the backup.

    ``sequences`` has the names of the sequences' copies. Raises CannotBeProven if the server lacks
    a setting that texts depend on, psycopg.Error.
    """
    prepare_to_compare(session, plan.expected.settings)
    compared = [_CopyComparison(session, plan, copy, holding) for copy in plan.copies]
    for each in compared:
        each.run()
    differences = [difference for each in compared for difference in each.differences]
    if not plan.expected.settings:
        refuse_unknown_text(differences)
    return Comparison(
        differences=(*differences, *_of_sequences(session, plan, holding, sequences)),
        tables=sum(len(copy.members) for copy in plan.copies),
        rows=sum(each.rows for each in compared),
        reordered=tuple(each.key for each in compared if each.is_reordered),
    )


def _of_sequences(
    session: Session, plan: BesidePlan, holding: str, names: Mapping[tuple[str, str], str]
) -> Iterator[Difference]:
    for facts in plan.expected.sequences:
        name = names.get((facts.schema, facts.name))
        if name is None:
            continue  # of a table that was needed, and is not copied
        position = sequence_position(session, holding, name)
        shown = (position.last_value, position.is_called) if position else None
        if shown != (facts.last_value, facts.is_called):
            key = table_key(facts.schema, facts.name)
            wanted = str((facts.last_value, facts.is_called))
            yield Difference(DifferenceKind.SEQUENCE, key, wanted, str(shown))


@dataclass
class _CopyComparison:
    """The comparison of one copy, with all its partitions: a row may be in any of them."""

    session: Session
    plan: BesidePlan
    copy: TableCopy
    holding: str
    rows: int = 0
    is_reordered: bool = False
    differences: list[Difference] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The table's key in the backup."""
        return table_key(self.copy.schema, self.copy.name)

    def run(self) -> None:
        parts, leaves = tuple(self._expected()), self._leaves()
        wanted = sum(part.facts.rows for part in parts)
        if len(parts) == len(leaves) == 1:
            text = self._text(leaves, parts[0].target.columns)
            facts = _digest(CopyDigest(), text)
            self.rows = facts.rows
            if facts.fingerprint == parts[0].facts.fingerprint:
                return
        columns = parts[0].target.columns if parts else ()
        facts = _digest(UnorderedDigest(), self._text(leaves, columns))
        self.rows = facts.rows
        if facts.rows != wanted:
            self._differ(DifferenceKind.ROWS, counted(wanted, "row"), counted(facts.rows, "row"))
            return
        archived = sum(self._archived(part, columns) for part in parts) % (1 << 128)
        if parts and facts.fingerprint != f"{archived:032x}":
            self._differ(DifferenceKind.VALUES, f"{archived:032x}", str(facts.fingerprint))
        elif len(parts) == 1 and parts[0].facts.fingerprint is not None:
            self.is_reordered = True

    def _differ(self, kind: DifferenceKind, expected: str, found: str) -> None:
        self.differences.append(Difference(kind, self.key, expected, found))

    def _expected(self) -> Iterator[ExpectedTable]:
        recorded = {(each.schema, each.name): each for each in self.plan.expected.tables}
        for entry in self.plan.backup.toc.table_data:
            name = (entry.namespace, entry.tag)
            if name in self.copy.members and name in recorded:
                yield ExpectedTable(recorded[name], entry, copy_target(entry.copy_stmt))

    def _leaves(self) -> list[RestoredTable]:
        """Return the tables in the holding schema that have the copy's rows."""
        place = (
            "SELECT class.oid FROM pg_catalog.pg_class AS class WHERE class.relname = %s"
            " AND class.relnamespace = %s::pg_catalog.regnamespace"
        )
        row = self.session.execute(place, [self.copy.copy_name, self.holding]).fetchone()
        if row is None:
            return []
        rows = self.session.execute(query("partition_leaves"), {"table": row[0]}).fetchall()
        return [
            RestoredTable(
                oid, schema, name, is_partitioned=False, root=None, filter="", is_member=False
            )
            for oid, schema, name in rows
        ]

    def _text(self, leaves: Iterable[RestoredTable], columns: Sequence[str]) -> Iterator[bytes]:
        encoding = self.plan.backup.toc.encoding
        return chain.from_iterable(
            copy_rows(self.session, leaf, columns, encoding=encoding) for leaf in leaves
        )

    def _archived(self, part: ExpectedTable, columns: Sequence[str]) -> int:
        """Sum the hashes of a table's rows in the dump, with the columns in this order."""
        digest = UnorderedDigest([part.target.columns.index(column) for column in columns])
        with self.plan.backup.stored.open_dump() as file:
            for piece in copy_text(file, self.plan.backup.toc, part.entry):
                digest.update(piece)
        return int(digest.facts().fingerprint, 16)


def _digest(digest: CopyDigest | UnorderedDigest, pieces: Iterable[bytes]) -> CopyFacts:
    for piece in pieces:
        digest.update(piece)
    return digest.facts()
