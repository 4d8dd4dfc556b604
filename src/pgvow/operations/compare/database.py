"""Set a restored database beside its backup: every table, sequence and large object."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import chain
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

import psycopg

from pgvow.archive import (
    CopyDigest,
    UnorderedDigest,
    copy_target,
    copy_text,
    read_toc,
)
from pgvow.errors import CannotBeProven, PgvowError
from pgvow.model import Difference, DifferenceKind, table_key
from pgvow.operations.compare.expected import (
    Expected,
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
    from pgvow.operations.compare.expected import Target
    from pgvow.postgres.connection import Session
    from pgvow.postgres.copy_out import RestoredTable
    from pgvow.progress import Progress

_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and everything that differs.

    ``reordered`` names the tables whose rows are all there in another order: no difference.
    """

    differences: tuple[Difference, ...]
    tables: int
    rows: int
    reordered: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def compare_database(
    session: Session,
    metadata: Metadata,
    dump: Path,
    *,
    progress: Progress,
    more: Sequence[Session] = (),
    make_pipe: Callable[[], Path] | None = None,
) -> Comparison:
    """Read the whole database of a session back and compare it with the metadata of ``dump``.

    The session is in autocommit; it is given the settings of the dumping one and keeps them, and so
    are those in ``more``, into the same database, by which several tables are read at a time;
    through pipes where ``make_pipe`` makes some for a server of ours on this machine. The
    dump is read where the metadata do not suffice: whose rows belong to which root, rows in another
    order, and all of it where it was not inspected. Raises CannotBeProven where the server lacks
    what makes texts comparable, ArchiveError, and PgvowError with the server's words.
    """
    try:
        with dump.open("rb") as file:
            toc = read_toc(file)
            known = completed(metadata, file)
        found = _Comparing(session, more, known, dump, toc, progress, make_pipe).run()
    except psycopg.errors.InsufficientPrivilege as error:
        raise CannotBeProven(
            f"the restored database may not be read: {str(error).strip()}",
            steps=["Give --on a role that may read it, or prove it without --on"],
        ) from error
    except psycopg.Error as error:
        raise PgvowError(
            f"the restored database could not be read: {str(error).strip()}",
            facts={"Dump": str(dump)},
            steps=["See the server's log for what happened there"],
        ) from error
    if not metadata.settings:
        refuse_unknown_text(found.differences)
    return found


@dataclass
class _Found:
    """What the comparison of one table, or of several at their root, came to."""

    key: str
    differences: list[Difference] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    tables: int = 0
    rows: int = 0

    def differ(self, kind: DifferenceKind, expected: str, found: str) -> None:
        self.differences.append(Difference(kind, self.key, expected, found))


class _Stopped(Exception):
    """The work is to end."""


@dataclass
class _Comparing:
    """One comparison under way."""

    session: Session
    more: Sequence[Session]
    metadata: Metadata
    dump: Path
    toc: TableOfContents
    progress: Progress
    make_pipe: Callable[[], Path] | None
    differences: list[Difference] = field(default_factory=list)
    done: int = 0
    stopped: bool = False

    def run(self) -> Comparison:
        for session in (self.session, *self.more):
            prepare_to_compare(session, self.metadata.settings)
        restored = {(one.schema, one.name): one for one in restored_tables(self.session)}
        expected = tuple(self._expected())
        groups = by_root(expected)
        places = self._places(groups, restored)
        found = self._read_all(groups, places)
        self.differences += [difference for one in found for difference in one.differences]
        compared = {self._carried(one.entry.namespace, one.entry.tag) for one in expected}
        tables = (entry for entry in self.toc.entries if entry.desc == "TABLE")
        known = {self._carried(entry.namespace, entry.tag) for entry in tables}
        read = {(one.schema, one.name) for tables in places.values() for one in tables}
        compared |= read & known
        self._extra((one for name, one in restored.items() if name not in compared), known)
        self._sequences()
        self._large_objects()
        return Comparison(
            differences=tuple(self.differences),
            tables=sum(one.tables for one in found),
            rows=sum(one.rows for one in found),
            reordered=tuple(key for one in found for key in one.reordered),
        )

    def _expected(self) -> Iterator[Expected]:
        entries = {(one.namespace, one.tag): one for one in self.toc.table_data}
        for facts in self.metadata.tables:
            entry = entries.get((facts.schema, facts.name))
            if entry is None:
                self._differ(DifferenceKind.TABLE_MISSING, facts.key, "a table", "not in the dump")
            else:
                yield Expected(facts, entry, copy_target(entry.copy_stmt))

    def _places(
        self,
        groups: Mapping[Target, list[Expected]],
        restored: Mapping[Target, RestoredTable],
    ) -> dict[Target, tuple[RestoredTable, ...]]:
        """Find the tables in which the rows of each group are; none where they are not there.

        Rows that came through a root are in its leaves, but not in those that are compared by
        themselves: of one root's leaves pg_dump loads those below a hash of an enum through it, and
        the others as any table. Foreign ones are none of the tables here.
        """
        alone = {
            self._carried(*name) for name, parts in groups.items() if not is_through_root(parts)
        }
        leaves: dict[int | None, list[RestoredTable]] = {}
        for name, one in restored.items():
            if not one.is_partitioned and name not in alone:
                leaves.setdefault(one.root, []).append(one)
        places: dict[Target, tuple[RestoredTable, ...]] = {}
        for target, parts in groups.items():
            there = restored.get(self._carried(*target))
            if there is None:
                places[target] = ()
            else:
                through = leaves.get(there.oid, ()) if is_through_root(parts) else (there,)
                places[target] = tuple(through)
        return places

    def _read_all(
        self,
        groups: Mapping[Target, list[Expected]],
        places: Mapping[Target, tuple[RestoredTable, ...]],
    ) -> list[_Found]:
        """Compare every table, as many at a time as there are sessions; in the order of groups."""
        free: SimpleQueue[Session] = SimpleQueue()
        for session in (self.session, *self.more):
            free.put(session)
        with ThreadPoolExecutor(1 + len(self.more), thread_name_prefix="compare") as pool:
            try:
                jobs = {
                    target: pool.submit(self._read, free, target, groups[target], places[target])
                    for target in sorted(groups, key=lambda target: -size_of(groups[target]))
                }
                self._follow(set(jobs.values()))
            except BaseException:
                self.stopped = True
                raise
        return [jobs[target].result() for target in groups]

    def _follow(self, jobs: set[Future[_Found]]) -> None:
        total = sum(table.bytes or 0 for table in self.metadata.tables)
        while jobs:
            ended, jobs = wait(jobs, timeout=_TICK, return_when=FIRST_EXCEPTION)
            self.progress.update(Step(Phase.COMPARE, done=min(self.done, total), total=total))
            for job in ended:
                job.result()

    def _read(
        self,
        free: SimpleQueue[Session],
        target: Target,
        parts: list[Expected],
        restored: tuple[RestoredTable, ...],
    ) -> _Found:
        """Compare one table, or all the leaves whose rows are loaded through one root."""
        is_root = is_through_root(parts)
        found = _Found(table_key(*target) if is_root else parts[0].facts.key, tables=len(parts))
        rows = sum(part.facts.rows for part in parts)
        if not restored:
            found.tables = 0
            found.differ(DifferenceKind.TABLE_MISSING, f"{rows} rows", "no table")
            return found
        session = free.get()
        try:
            if is_root or not self._is_same(session, found, parts[0], restored[0]):
                self._without_order(session, found, parts, restored)
        finally:
            free.put(session)
        return found

    def _is_same(
        self, session: Session, found: _Found, part: Expected, restored: RestoredTable
    ) -> bool:
        """Compare rows in their order; False where it is worth a second look without."""
        facts = _digest(CopyDigest(), self._rows_of(session, restored, part.target.columns))
        found.rows = facts.rows
        if facts.rows != part.facts.rows:
            found.differ(DifferenceKind.ROWS, str(part.facts.rows), str(facts.rows))
            return True
        return facts.fingerprint == part.facts.fingerprint

    def _without_order(
        self,
        session: Session,
        found: _Found,
        parts: list[Expected],
        restored: tuple[RestoredTable, ...],
    ) -> None:
        """Compare rows by the count and the sum of their hashes, and note if they differ."""
        columns = parts[0].target.columns
        pieces = (self._rows_of(session, table, columns) for table in restored)
        facts = _digest(UnorderedDigest(), chain.from_iterable(pieces))
        found.rows = facts.rows
        rows = sum(part.facts.rows for part in parts)
        wanted = sum(self._archived(found, part, columns) for part in parts) % (1 << 128)
        if facts.rows != rows:
            found.differ(DifferenceKind.ROWS, str(rows), str(facts.rows))
        elif facts.fingerprint != f"{wanted:032x}":
            found.differ(DifferenceKind.VALUES, f"{wanted:032x}", facts.fingerprint)
        elif len(parts) == 1 and parts[0].facts.fingerprint is not None:
            found.reordered.append(found.key)

    def _archived(self, found: _Found, part: Expected, columns: Sequence[str]) -> int:
        """Sum the hashes of a table's rows in the archive, its columns put into this order.

        What the metadata say of the archive is checked by the way: all that follows rests on it.
        """
        places = [part.target.columns.index(column) for column in columns]
        ordered, unordered = CopyDigest(), UnorderedDigest(places)
        with self.dump.open("rb") as file:
            for piece in copy_text(file, self.toc, part.entry):
                ordered.update(piece)
                unordered.update(piece)
        fingerprint = ordered.facts().fingerprint
        wanted = part.facts.fingerprint
        if wanted not in (None, fingerprint):
            found.differ(DifferenceKind.VALUES, str(wanted), f"{fingerprint} in the dump")
        return int(unordered.facts().fingerprint, 16)

    def _extra(self, others: Iterable[RestoredTable], known: Container[Target]) -> None:
        """Note tables that the backup does not have, and rows in those that it has no rows of."""
        for table in others:
            if table.is_partitioned:
                continue  # it has no rows of its own
            rows = _digest(CopyDigest(), self._rows_of(self.session, table, ())).rows
            if rows or not (table.is_member or (table.schema, table.name) in known):
                key = table_key(
                    *(readable(self.session, each) for each in (table.schema, table.name))
                )
                self._differ(DifferenceKind.TABLE_EXTRA, key, "no rows", f"{rows} rows")

    def _sequences(self) -> None:
        there = restored_sequences(self.session)
        for one in self.metadata.sequences:
            name = self._carried(one.schema, one.name)
            found = sequence_position(self.session, *name) if name in there else None
            shown = _position(found.last_value, found.is_called) if found else "no sequence"
            wanted = _position(one.last_value, one.is_called)
            if shown != wanted:
                key = table_key(one.schema, one.name)
                self._differ(DifferenceKind.SEQUENCE, key, wanted, shown)

    def _large_objects(self) -> None:
        wanted = self.metadata.large_objects
        if wanted is None:
            return
        found = restored_large_objects(self.session)
        if (found.count, found.size, found.fingerprint) != (
            wanted.count, wanted.bytes, wanted.fingerprint
        ):  # fmt: skip
            self._differ(
                DifferenceKind.LARGE_OBJECTS,
                "all",
                f"{wanted.count} of {wanted.bytes} bytes ({wanted.fingerprint})",
                f"{found.count} of {found.size} bytes ({found.fingerprint})",
            )

    def _rows_of(
        self, session: Session, table: RestoredTable, columns: Iterable[str]
    ) -> Iterator[bytes]:
        named = [carried(session, column) for column in columns]
        for piece in copy_rows(
            session,
            table,
            named,
            encoding=self.toc.encoding,
            make_pipe=self.make_pipe,
        ):
            if self.stopped:
                raise _Stopped
            self.done += len(piece)  # for the progress alone: several threads may lose one
            yield piece

    def _carried(self, schema: str, name: str) -> tuple[str, str]:
        """Turn a table's name in the archive into what the session carries."""
        return carried(self.session, schema), carried(self.session, name)

    def _differ(self, kind: DifferenceKind, name: str, expected: str, found: str) -> None:
        self.differences.append(Difference(kind, name, expected, found))


class _Digest(Protocol):
    def update(self, text: bytes) -> None: ...

    def facts(self) -> CopyFacts: ...


def _digest(digest: _Digest, pieces: Iterable[bytes]) -> CopyFacts:
    for piece in pieces:
        digest.update(piece)
    return digest.facts()


def _position(last_value: int, is_called: bool) -> str:  # noqa: FBT001 - a value, not a choice
    return f"{last_value}{'' if is_called else ' (not called)'}"
