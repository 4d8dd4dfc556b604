"""The plan of a parallel dump, by property: every block once, in order, and done by somebody."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pgvow.engine.plan import (
    SHARED_LOCKS,
    Dispatcher,
    TableStorage,
    Tasks,
    Work,
    measured,
    share_out,
)
from pgvow.engine.segments import SegmentQueue
from pgvow.postgres.snapshot import CatalogTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.engine.plan import Task

_BLOCK = 8192
WORKERS = st.integers(1, 8)


@st.composite
def relations(draw: st.DrawFn, oid: int = 1) -> TableStorage:
    """A table of any size, with more or less in its TOAST, a heap or none."""
    blocks = draw(st.integers(0, 20_000))
    toast = draw(st.integers(0, 1 << 28))
    return TableStorage(oid, blocks, blocks * _BLOCK + toast, 1, draw(st.booleans()))


@st.composite
def databases(draw: st.DrawFn) -> list[TableStorage]:
    """Some tables, in the archive's order."""
    oids = draw(st.permutations(range(1, 1 + draw(st.integers(0, 5)))))
    return [draw(relations(oid)) for oid in oids]


def tables(sizes: Sequence[int]) -> list[CatalogTable]:
    """Tables as the catalog has them."""
    return [CatalogTable(oid, "s", f"t{oid}", True, "", size) for oid, size in enumerate(sizes, 1)]  # noqa: FBT003


def planned(relation: TableStorage) -> list[Task]:
    """Return the copies planned for one table."""
    found = list(Tasks([relation.oid], {relation.oid: relation}))
    assert (Work.COUNT, 0) == (found[0].work, found[0].bytes)
    assert {Work.COPY} == {task.work for task in found[1:]}
    return found[1:]


@given(relation=relations())
def test_ranges_cover_all_blocks_once_in_order(relation: TableStorage) -> None:
    """Also those that the table has grown by since it was measured: the last range has no end."""
    copies = planned(relation)
    if copies[0].blocks is None:
        assert 1 == len(copies)
        return
    position = 0
    for task in copies:
        assert task.blocks is not None
        begin, end = task.blocks
        assert position == begin
        position = begin + relation.segment_blocks
        assert (None if task is copies[-1] else position) == end
    assert relation.blocks <= position < relation.blocks + relation.segment_blocks


@given(relation=relations())
def test_bytes_of_the_copies_add_up_to_the_table(relation: TableStorage) -> None:
    """Progress ends at the table's size, but for the remainder of dividing."""
    copies = planned(relation)
    total = sum(task.bytes for task in copies)
    assert 0 <= relation.bytes - total < len(copies)


@given(relation=relations())
def test_segments_are_a_power_of_two(relation: TableStorage) -> None:
    """At most about the size of a segment, unless one block has more."""
    step = relation.segment_blocks
    if not relation.by_blocks or not relation.blocks:
        assert 0 == step
        return
    assert 1 == step.bit_count()
    assert 1 == step or step * relation.bytes <= (6 << 20) * relation.blocks


def test_a_filtered_table_is_copied_whole() -> None:
    """However large: its filter cannot be joined to a range. Its neighbour is cut."""
    known = [
        CatalogTable(1, "s", "filtered", True, "WHERE NOT standard", 0),  # noqa: FBT003
        CatalogTable(2, "s", "plain", True, "", 0),  # noqa: FBT003
    ]
    facts = (5000, 5000 * _BLOCK, 7, True)
    found = measured(known, {1: facts, 2: facts})
    assert TableStorage(2, *facts) == found[2]
    assert [None] == [task.blocks for task in planned(found[1])]
    assert len(planned(found[2])) > 1


@given(relation=relations(), more=st.integers(0, 50))
def test_a_table_that_grows_is_cut_at_the_same_places(relation: TableStorage, more: int) -> None:
    """As long as its segments have the same length: only the last one may change."""
    grown = TableStorage(1, relation.blocks + more, relation.bytes, 1, relation.by_blocks)
    if grown.segment_blocks != relation.segment_blocks:
        return
    before = [task.blocks for task in planned(relation)]
    assert before[:-1] == [task.blocks for task in planned(grown)][: len(before) - 1]


@given(relations=databases(), workers=WORKERS, turns=st.lists(st.integers(0, 7)), data=st.data())
def test_every_task_is_handed_out_once(
    relations: list[TableStorage], workers: int, turns: list[int], data: st.DataObject
) -> None:
    """To a worker that may do it, in increasing order to each, in any order of asking."""
    todo = Tasks([one.oid for one in relations], {one.oid: one for one in relations})
    shares = [set[int]() for _ in range(workers)]
    for one in relations:
        owner = data.draw(st.integers(-1, workers - 1), "owner, or all")
        for number, share in enumerate(shares):
            if owner in (-1, number):
                share.add(one.oid)
    dispatcher = Dispatcher(todo, [frozenset(share) for share in shares])
    taken: list[list[Task]] = [[] for _ in range(workers)]
    for turn in turns:
        taken[turn % workers] += dispatcher.take(turn % workers)
    for worker in range(workers):
        while batch := dispatcher.take(worker):
            taken[worker] += batch
    assert sorted(task.number for some in taken for task in some) == [one.number for one in todo]
    for share, some in zip(shares, taken, strict=True):
        assert {task.oid for task in some} <= share
        assert [task.number for task in some] == sorted(task.number for task in some)


@given(relations=databases(), data=st.data())
def test_segment_numbers_do_not_depend_on_the_worker(
    relations: list[TableStorage], data: st.DataObject
) -> None:
    """One after the other over all tables; those of some tables are a part of them."""
    todo = Tasks([one.oid for one in relations], {one.oid: one for one in relations})
    everything = list(todo)
    assert list(range(len(everything))) == [task.number for task in everything]
    some = data.draw(st.sets(st.sampled_from([0, *(one.oid for one in relations)])), "tables")
    assert [task for task in everything if task.oid in some] == list(todo.of(some))


def test_a_plan_takes_no_memory_for_its_segments() -> None:
    """A hundred terabytes are planned and handed out in as little as one."""
    table = TableStorage(1, 100 << 27, 100 << 40, 1, True)  # noqa: FBT003
    tracemalloc.start()
    try:
        todo = Tasks([1], {1: table})
        dispatcher = Dispatcher(todo, [frozenset({1})] * 2)
        taken = [dispatcher.take(number % 2) for number in range(1000)]
        queue = SegmentQueue(1 << 20, awaited=1 << 20)
        queue.end(1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(range(1000)) == [task.number for batch in taken for task in batch][:1000]
    assert peak < 2 << 20


@settings(max_examples=25)
@given(
    count=st.one_of(st.integers(0, 60), st.integers(SHARED_LOCKS - 5, SHARED_LOCKS + 300)),
    workers=WORKERS,
)
def test_every_table_is_locked_by_a_worker(count: int, workers: int) -> None:
    """Each by one worker or by all; all that are locked by all beyond one each stay bounded."""
    sizes = [(oid * 7919) % 1013 for oid in range(count)]
    known = tables(sizes)
    shares = share_out(known, workers)
    assert workers == len(shares)
    locked = [{table.oid for table in share} for share in shares]
    assert {table.oid for table in known} == set().union(*locked)
    for share, oids in zip(shares, locked, strict=True):
        assert len(share) == len(oids)
    assert workers == 1 or sum(map(len, locked)) <= SHARED_LOCKS + count
    common = set.intersection(*locked)
    for oid in set().union(*locked) - common:
        assert 1 == sum(oid in oids for oids in locked)
        assert all(sizes[oid - 1] <= sizes[other - 1] for other in common)
