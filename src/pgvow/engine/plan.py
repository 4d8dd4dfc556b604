"""The plan of a parallel dump: which worker locks which tables and copies which blocks of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pgvow.postgres.snapshot import CatalogTable

SEGMENT_BYTES = 4 << 20
"""How much of heap and TOAST a segment is about: enough to compress well and to be many."""
SHARED_LOCKS = 2000
"""So many locks are spent on tables that every worker locks, the largest of them.

Any worker can copy any part of such a table. The server's lock table has room for some 14,000 locks
by default, where pg_dump needs one a table beside the one that we need.
"""
_BATCH_BYTES = 1 << 20
_BATCH_TASKS = 64


@dataclass(frozen=True, slots=True)
class TableStorage:
    """A table as it lies on the server's disk; ``bytes`` is heap and TOAST.

    ``by_blocks`` is whether its rows can be selected by ranges of blocks, as those of a heap can.
    """

    oid: int
    blocks: int
    bytes: int
    filenode: int
    by_blocks: bool

    @property
    def segment_blocks(self) -> int:
        """How many blocks a segment has: a power of 2, so that growth rarely changes it."""
        if not self.by_blocks or not self.blocks:
            return 0
        wanted = max(1, SEGMENT_BYTES * self.blocks // max(1, self.bytes))
        return 1 << ((wanted * 4 // 3).bit_length() - 1)


def measured(
    tables: Sequence[CatalogTable],
    facts: Mapping[int, tuple[int, int, int, bool]],
    *,
    whole: Collection[int] = (),
) -> dict[int, TableStorage]:
    """Return relations by oid; ``facts`` are the server's, in the order of Relation's fields.

    An extension's filter is SQL of any form: such a table is copied whole through it, as pg_dump
    does, and not by ranges. So are those whose oids are in ``whole``.
    """
    undivided = {table.oid for table in tables if table.filter}.union(whole)
    return {
        oid: TableStorage(oid, blocks, size, filenode, by_blocks and oid not in undivided)
        for oid, (blocks, size, filenode, by_blocks) in facts.items()
    }


class Work(StrEnum):
    """The kinds of tasks."""

    COUNT = "count"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Task:
    """Counts a table, or copies a segment of it.

    ``blocks`` is None for the whole table; its end is None for the last segment, which has no end.
    ``bytes`` is the share of heap and TOAST. ``is_of_ranges`` if the table is copied by ranges,
    each of them a query.
    """

    number: int
    work: Work
    oid: int
    bytes: int
    blocks: tuple[int, int | None] | None = None
    is_of_ranges: bool = False


def share_out(tables: Sequence[CatalogTable], workers: int) -> tuple[tuple[CatalogTable, ...], ...]:
    """Return the tables that each worker locks: all of them, or its share if they are too many.

    The largest, by the catalog, are locked by all; each of the rest by the worker that has the
    fewest bytes so far.
    """
    locked_by_all = SHARED_LOCKS // workers
    if len(tables) <= locked_by_all or workers == 1:
        return tuple(tuple(tables) for _ in range(workers))
    by_size = sorted(tables, key=lambda table: (-table.size_bytes, table.oid))
    shares = [list(by_size[:locked_by_all]) for _ in range(workers)]
    loads = [(0, 0, worker) for worker in range(workers)]
    for table in by_size[locked_by_all:]:
        least = min(loads)
        size, count, worker = least
        loads[worker] = (size + table.size_bytes, count + 1, worker)
        shares[worker].append(table)
    return tuple(tuple(share) for share in shares)


class Tasks:
    """All tasks, in the archive's order of the tables; made one by one by iteration.

    A terabyte has a quarter of a million: they are not kept. A table is counted just before it is
    copied, which then finds it in the server's memory.
    """

    def __init__(self, order: Sequence[int], relations: Mapping[int, TableStorage]) -> None:
        self._relations = [relations[oid] for oid in order]

    def __iter__(self) -> Iterator[Task]:
        return self.of(None)

    def of(self, oids: Collection[int] | None) -> Iterator[Task]:
        """Yield the tasks of some tables, or of all; a task has the same number in either case."""
        number = 0
        for relation in self._relations:
            if oids is None or relation.oid in oids:
                is_divided = _segments(relation) > 1
                yield Task(number, Work.COUNT, relation.oid, 0, is_of_ranges=is_divided)
                for at, blocks in enumerate(_ranges(relation), number + 1):
                    share = _share(relation, blocks)
                    yield Task(at, Work.COPY, relation.oid, share, blocks, is_divided)
            number += 1 + _segments(relation)


def _segments(relation: TableStorage) -> int:
    step = relation.segment_blocks
    return max(1, -(-relation.blocks // step)) if step else 1


def _ranges(relation: TableStorage) -> Iterator[tuple[int, int | None] | None]:
    step = relation.segment_blocks
    if not step or relation.blocks <= step:
        yield None
        return
    for begin in range(0, relation.blocks, step):
        last = begin + step >= relation.blocks
        yield (begin, None if last else begin + step)


def _share(relation: TableStorage, blocks: tuple[int, int | None] | None) -> int:
    if blocks is None:
        return relation.bytes
    begin, end = blocks
    count = (relation.blocks if end is None else end) - begin
    return relation.bytes * count // relation.blocks


class Dispatcher:
    """Hands out tasks to workers, each the earliest that the worker may do; for many threads.

    So the earliest task that is not done always belongs to a worker that waits for no other: those
    that are ahead may be made to wait for it.
    """

    def __init__(self, tasks: Tasks, shares: Sequence[frozenset[int]]) -> None:
        self._lock = threading.Lock()
        common: frozenset[int] = frozenset.intersection(*shares) if shares else frozenset()
        self._common = _Upcoming(tasks.of(common))
        self._own = [_Upcoming(tasks.of(share - common)) for share in shares]

    def take(self, worker: int) -> list[Task]:
        """Return a worker's next task, several if they are small, or none if all are taken."""
        taken: list[Task] = []
        size = 0
        with self._lock:
            while size < _BATCH_BYTES and len(taken) < _BATCH_TASKS:
                lists = [tasks for tasks in (self._common, self._own[worker]) if tasks.next]
                if not lists:
                    break
                task = min(lists, key=_next_number).take()
                taken.append(task)
                size += task.bytes
        return taken


class _Upcoming:
    """Tasks with a look at the ``next`` one before it is taken; None at the end."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks
        self.next = next(tasks, None)

    def take(self) -> Task:
        """Return the next task, and go on to the one behind it."""
        if self.next is None:
            raise IndexError
        task, self.next = self.next, next(self._tasks, None)
        return task


def _next_number(tasks: _Upcoming) -> int:
    return tasks.next.number if tasks.next else 0
