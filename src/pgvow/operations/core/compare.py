"""Compare a restored database with its backup: every table, sequence and large object."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import chain
from queue import SimpleQueue
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import (
    CopyDigest,
    UnorderedDigest,
    copy_target,
    copy_text,
    kinds,
    read_toc,
)
from pgvow.errors import CannotBeProven, PgvowError
from pgvow.formats import counted
from pgvow.model import Difference, DifferenceKind, table_key
from pgvow.operations.core.expected import (
    ExpectedTable,
    by_root,
    completed,
    is_through_root,
    refuse_unknown_text,
    size_of,
)
from pgvow.postgres.connection import carried, readable
from pgvow.postgres.copy_out import (
    copy_rows,
    prepare_to_compare,
    restored_large_objects,
    restored_sequences,
    restored_tables,
    sequence_position,
)
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pgvow.archive import CopyFacts, TableOfContents
    from pgvow.model import Metadata
    from pgvow.operations.core.expected import TableName
    from pgvow.operations.core.stages import FilledDatabase
    from pgvow.postgres.connection import Session
    from pgvow.postgres.copy_out import RestoredTable
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """The number of tables and rows that were compared, and the differences.

    ``reordered`` names the tables that have all their rows in another order: no difference.
    """

    differences: tuple[Difference, ...]
    tables: int
    rows: int
    reordered: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class ComparedDatabase:
    """The third stage: a filled database and the differences of its rows, schema and restore.

    ``comparison`` is of the rows, None if there was none; ``not_compared`` is the server's reason.
    """

    filled: FilledDatabase
    comparison: Comparison | None
    differences: tuple[Difference, ...] = ()
    not_compared: str | None = None


def compare_database(
    session: Session,
    metadata: Metadata,
    backup: StoredBackup,
    *,
    progress: Progress,
    others: Sequence[Session] = (),
    make_pipe: Callable[[], Path] | None = None,
) -> Comparison:
    """Read the whole database of a session back and compare it with the metadata of a backup.

    The session is in autocommit. It keeps the settings of the dumping session, which it is given
    here, and so do ``others``, sessions into the same database: each reads a table at a time.
    ``make_pipe`` makes pipes for a server of ours on this machine to write into. The dump is read
    if the metadata do not suffice: for rows of partitions, for rows in another order, and all of
    it if it was not inspected. Raises CannotBeProven if the server lacks a setting that texts
    depend on, ArchiveError, and PgvowError with the server's message.
    """
    try:
        with backup.open_dump() as file:
            toc = read_toc(file)
            known = completed(metadata, file)
        comparison = _DatabaseComparison(
            (session, *others), known, backup, toc, progress, make_pipe
        ).run()
    except psycopg.errors.InsufficientPrivilege as error:
        raise CannotBeProven(
            f"the restored database may not be read: {str(error).strip()}",
            steps=["Give --on a role that may read it, or prove it without --on"],
        ) from error
    except psycopg.Error as error:
        raise PgvowError(
            f"the restored database could not be read: {str(error).strip()}",
            facts={"Dump": str(backup.path)},
            steps=["See the server's log for what happened there"],
        ) from error
    if not metadata.settings:
        refuse_unknown_text(comparison.differences)
    return comparison


@dataclass
class _TableResult:
    """The result of one table, or of several that are compared at their root."""

    key: str
    differences: list[Difference] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    tables: int = 0
    rows: int = 0

    def differ(self, kind: DifferenceKind, expected: str, found: str) -> None:
        self.differences.append(Difference(kind, self.key, expected, found))


class _ComparisonEnded(Exception):
    """Raised in the threads of a comparison that another thread ended."""


@dataclass
class _DatabaseComparison:
    """One comparison under way."""

    sessions: tuple[Session, ...]
    metadata: Metadata
    backup: StoredBackup
    toc: TableOfContents
    progress: Progress
    make_pipe: Callable[[], Path] | None
    differences: list[Difference] = field(default_factory=list)
    done: int = 0
    stopped: bool = False

    @property
    def session(self) -> Session:
        """The session that reads everything but rows."""
        return self.sessions[0]

    def run(self) -> Comparison:
        for session in self.sessions:
            prepare_to_compare(session, self.metadata.settings)
        restored = {(table.schema, table.name): table for table in restored_tables(self.session)}
        expected = tuple(self._expected())
        groups = by_root(expected)
        leaves = self._leaves(groups, restored)
        results = self._read_all(groups, leaves)
        self.differences += [each for result in results for each in result.differences]
        compared = {self._carried(each.entry.namespace, each.entry.tag) for each in expected}
        tables = (entry for entry in self.toc.entries if entry.desc == kinds.TABLE)
        known = {self._carried(entry.namespace, entry.tag) for entry in tables}
        read = {(table.schema, table.name) for group in leaves.values() for table in group}
        compared |= read & known
        self._extra((table for name, table in restored.items() if name not in compared), known)
        self._sequences()
        self._large_objects()
        return Comparison(
            differences=tuple(self.differences),
            tables=sum(result.tables for result in results),
            rows=sum(result.rows for result in results),
            reordered=tuple(key for result in results for key in result.reordered),
        )

    def _expected(self) -> Iterator[ExpectedTable]:
        entries = {(entry.namespace, entry.tag): entry for entry in self.toc.table_data}
        for facts in self.metadata.tables:
            entry = entries.get((facts.schema, facts.name))
            if entry is None:
                self._differ(DifferenceKind.TABLE_MISSING, facts.key, "a table", "not in the dump")
            else:
                yield ExpectedTable(facts, entry, copy_target(entry.copy_stmt))

    def _leaves(
        self,
        groups: Mapping[TableName, list[ExpectedTable]],
        restored: Mapping[TableName, RestoredTable],
    ) -> dict[TableName, tuple[RestoredTable, ...]]:
        """Return the tables that the rows of each group are in, none if they do not exist.

        Rows that came through a root are in its leaves, but not in those that are compared by
        themselves: of one root's leaves pg_dump loads those below a hash of an enum through it, and
        the others as any table. Foreign tables are not among them.
        """
        alone = {
            self._carried(*name) for name, parts in groups.items() if not is_through_root(parts)
        }
        below: dict[int | None, list[RestoredTable]] = {}
        for name, table in restored.items():
            if not table.is_partitioned and name not in alone:
                below.setdefault(table.root, []).append(table)
        leaves: dict[TableName, tuple[RestoredTable, ...]] = {}
        for target, parts in groups.items():
            loaded = restored.get(self._carried(*target))
            if loaded is not None and is_through_root(parts):
                leaves[target] = tuple(below.get(loaded.oid, ()))
            else:
                leaves[target] = (loaded,) if loaded else ()
        return leaves

    def _read_all(
        self,
        groups: Mapping[TableName, list[ExpectedTable]],
        leaves: Mapping[TableName, tuple[RestoredTable, ...]],
    ) -> list[_TableResult]:
        """Compare every table, as many at a time as there are sessions; in the order of groups."""
        free: SimpleQueue[Session] = SimpleQueue()
        for session in self.sessions:
            free.put(session)
        with ThreadPoolExecutor(len(self.sessions), thread_name_prefix="compare") as pool:
            try:
                jobs = {
                    target: pool.submit(self._read, free, target, groups[target], leaves[target])
                    for target in sorted(groups, key=lambda target: -size_of(groups[target]))
                }
                self._follow(set(jobs.values()))
            except BaseException:
                self.stopped = True
                raise
        return [jobs[target].result() for target in groups]

    def _follow(self, jobs: set[Future[_TableResult]]) -> None:
        total = sum(table.bytes or 0 for table in self.metadata.tables)
        while jobs:
            ended, jobs = wait(jobs, timeout=_TICK, return_when=FIRST_EXCEPTION)
            self.progress.update(Step(Phase.COMPARE, done=min(self.done, total), total=total))
            for job in ended:
                job.result()

    def _read(
        self,
        free: SimpleQueue[Session],
        target: TableName,
        parts: list[ExpectedTable],
        restored: tuple[RestoredTable, ...],
    ) -> _TableResult:
        """Compare one table, or all leaves whose rows are loaded through one root."""
        is_root = is_through_root(parts)
        result = _TableResult(
            table_key(*target) if is_root else parts[0].facts.key, tables=len(parts)
        )
        rows = sum(part.facts.rows for part in parts)
        if not restored:
            result.tables = 0
            result.differ(DifferenceKind.TABLE_MISSING, counted(rows, "row"), "no table")
            return result
        session = free.get()
        try:
            if is_root or not self._is_same(session, result, parts[0], restored[0]):
                self._without_order(session, result, parts, restored)
        finally:
            free.put(session)
        return result

    def _is_same(
        self, session: Session, result: _TableResult, part: ExpectedTable, restored: RestoredTable
    ) -> bool:
        """Compare rows in their order; False if they have to be compared without it."""
        facts = _digest(CopyDigest(), self._rows_of(session, restored, part.target.columns))
        result.rows = facts.rows
        if facts.rows != part.facts.rows:
            result.differ(DifferenceKind.ROWS, str(part.facts.rows), str(facts.rows))
            return True
        return facts.fingerprint == part.facts.fingerprint

    def _without_order(
        self,
        session: Session,
        result: _TableResult,
        parts: list[ExpectedTable],
        restored: tuple[RestoredTable, ...],
    ) -> None:
        """Compare rows by the count and the sum of their hashes, and note if they differ."""
        columns = parts[0].target.columns
        pieces = (self._rows_of(session, table, columns) for table in restored)
        facts = _digest(UnorderedDigest(), chain.from_iterable(pieces))
        result.rows = facts.rows
        rows = sum(part.facts.rows for part in parts)
        wanted = sum(self._archived(result, part, columns) for part in parts) % (1 << 128)
        if facts.rows != rows:
            result.differ(DifferenceKind.ROWS, str(rows), str(facts.rows))
        elif facts.fingerprint != f"{wanted:032x}":
            result.differ(DifferenceKind.VALUES, f"{wanted:032x}", facts.fingerprint)
        elif len(parts) == 1 and parts[0].facts.fingerprint is not None:
            result.reordered.append(result.key)

    def _archived(self, result: _TableResult, part: ExpectedTable, columns: Sequence[str]) -> int:
        """Sum the hashes of a table's rows in the archive, with the columns in this order.

        The fingerprint of the metadata is checked as well: the comparison depends on it.
        """
        places = [part.target.columns.index(column) for column in columns]
        ordered, unordered = CopyDigest(), UnorderedDigest(places)
        with self.backup.open_dump() as file:
            for piece in copy_text(file, self.toc, part.entry):
                ordered.update(piece)
                unordered.update(piece)
        fingerprint = ordered.facts().fingerprint
        wanted = part.facts.fingerprint
        if wanted not in (None, fingerprint):
            result.differ(DifferenceKind.VALUES, str(wanted), f"{fingerprint} in the dump")
        return int(unordered.facts().fingerprint, 16)

    def _extra(self, others: Iterable[RestoredTable], known: Container[TableName]) -> None:
        """Note tables that are not in the backup, and rows of tables that have none in it."""
        for table in others:
            if table.is_partitioned:
                continue  # it has no rows of its own
            rows = _digest(CopyDigest(), self._rows_of(self.session, table, ())).rows
            if rows or not (table.is_member or (table.schema, table.name) in known):
                key = table_key(
                    *(readable(self.session, each) for each in (table.schema, table.name))
                )
                self._differ(DifferenceKind.TABLE_EXTRA, key, "no rows", counted(rows, "row"))

    def _sequences(self) -> None:
        restored = restored_sequences(self.session)
        for facts in self.metadata.sequences:
            name = self._carried(facts.schema, facts.name)
            position = sequence_position(self.session, *name) if name in restored else None
            shown = _position(position.last_value, position.is_called) if position else None
            wanted = _position(facts.last_value, facts.is_called)
            if shown != wanted:
                key = table_key(facts.schema, facts.name)
                self._differ(DifferenceKind.SEQUENCE, key, wanted, shown or "no sequence")

    def _large_objects(self) -> None:
        wanted = self.metadata.large_objects
        if wanted is None:
            return
        restored = restored_large_objects(self.session)
        if (restored.count, restored.size, restored.fingerprint) != (
            wanted.count, wanted.bytes, wanted.fingerprint
        ):  # fmt: skip
            self._differ(
                DifferenceKind.LARGE_OBJECTS,
                "all",
                f"{wanted.count} of {wanted.bytes} bytes ({wanted.fingerprint})",
                f"{restored.count} of {restored.size} bytes ({restored.fingerprint})",
            )

    def _rows_of(
        self, session: Session, table: RestoredTable, columns: Iterable[str]
    ) -> Iterator[bytes]:
        named = [carried(session, column) for column in columns]
        encoding, make_pipe = self.toc.encoding, self.make_pipe
        for piece in copy_rows(session, table, named, encoding=encoding, make_pipe=make_pipe):
            if self.stopped:
                raise _ComparisonEnded
            self.done += len(piece)  # for the progress alone: several threads may lose one
            yield piece

    def _carried(self, schema: str, name: str) -> tuple[str, str]:
        """Return the name of the archive's table in the encoding of the session."""
        return carried(self.session, schema), carried(self.session, name)

    def _differ(self, kind: DifferenceKind, name: str, expected: str, found: str) -> None:
        self.differences.append(Difference(kind, name, expected, found))


def _digest(digest: CopyDigest | UnorderedDigest, pieces: Iterable[bytes]) -> CopyFacts:
    for piece in pieces:
        digest.update(piece)
    return digest.facts()


def _position(last_value: int, is_called: bool) -> str:  # noqa: FBT001 - a value, not a choice
    return f"{last_value}{'' if is_called else ' (not called)'}"
