"""In which order entries are restored: one run of pg_restore after the other.

All rows come first, with the definitions; nothing that lays a condition on rows, or computes
something of them, runs before the last of them is there. ``pg_restore -j`` keeps to that only as
far as the dependencies go, and a check of a domain has none to the tables that use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from pgvow.archive import Section, kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pgvow.archive import TocEntry


class Stage(StrEnum):
    """The stages of a restore, in their order."""

    ROWS = "definitions and rows"
    INDEXES = "indexes"
    CONDITIONS = "constraints, triggers and grants"
    VIEWS = "materialized views"
    EVENT_TRIGGERS = "event triggers"


@dataclass(frozen=True, slots=True)
class Wave:
    """Entries for one run of pg_restore; ``above`` if a superuser has to run it."""

    stage: Stage
    entries: tuple[TocEntry, ...]
    above: bool = False


def waves(
    entries: Sequence[TocEntry], *, jobs: int = 2, above: Collection[int] = ()
) -> tuple[Wave, ...]:
    """Divide entries into waves: all rows, indexes, conditions, views, event triggers.

    To build an index and to read the table go together; a constraint waits until nobody reads, and
    has the table's indexes wait as well. Event triggers come last of all, or they would act on
    objects still to be made. ``above`` are the numbers of entries that a superuser
    restores, if another role restores the rest.
    """
    last = (_fillings(entries), event_triggers(entries))
    numbers = {entry.dump_id for part in last for entry in part}
    first = [entry for entry in entries if entry.dump_id not in numbers]
    early = (Section.PRE_DATA, Section.DATA)
    # Rows that come later would undo the statistics of their table, and many workers load as they
    # like: pg_restore -j 2 of 18.6 lost those of a partition.
    late = [
        entry
        for entry in first
        if entry.section not in early or entry.desc == kinds.STATISTICS_DATA
    ]
    behind = {entry.dump_id for entry in late}
    indexes = _indexes_alone(late)
    parts = (
        (Stage.ROWS, [entry for entry in first if entry.dump_id not in behind]),
        (Stage.INDEXES, list(indexes.values())),
        (Stage.CONDITIONS, [entry for entry in late if entry.dump_id not in indexes]),
        (Stage.VIEWS, last[0]),
        (Stage.EVENT_TRIGGERS, last[1]),
    )
    return tuple(
        Wave(stage, tuple(run), is_above)
        for stage, part in parts
        for sessions in (_by_new_sessions(part) if jobs == 1 else [part])
        for is_above, run in groupby(sessions, key=lambda entry: entry.dump_id in above)
    )


def _by_new_sessions(entries: Sequence[TocEntry]) -> Iterator[Sequence[TocEntry]]:
    """Begin again behind the definitions if sessions then begin with another setting.

    A default_text_search_config that the archive makes counts for those who connect when it is
    there. Workers of a parallel restore do; the one connection of a single transaction did not.
    """
    if any(entry.desc == kinds.TEXT_SEARCH_CONFIGURATION for entry in entries):
        yield [entry for entry in entries if entry.section is Section.PRE_DATA]
        entries = [entry for entry in entries if entry.section is not Section.PRE_DATA]
    yield entries


def refreshes(entries: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Choose the entries that fill materialized views, if the archive has tables with row security.

    A view is filled as its owner, who may be subject to it. Without it, as pg_restore does all else
    so that nothing is left out unnoticed, the server refuses; with it, it returns the rows that it
    returned at the source. Nothing but other such views depends on it.
    """
    if all(entry.desc != kinds.ROW_SECURITY for entry in entries):
        return ()
    return tuple(entry for entry in entries if entry.desc == kinds.MATERIALIZED_VIEW_DATA)


def _fillings(entries: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Choose the entries that fill materialized views, and their statistics."""
    fills = {entry.dump_id for entry in entries if entry.desc == kinds.MATERIALIZED_VIEW_DATA}
    return tuple(
        entry
        for entry in entries
        if entry.dump_id in fills
        or (entry.desc == kinds.STATISTICS_DATA and not fills.isdisjoint(entry.dependencies))
    )


def has_statistics(entries: Sequence[TocEntry]) -> bool:
    """Whether the archive has the planner's statistics: then nothing need be analyzed."""
    return any(entry.desc == kinds.STATISTICS_DATA for entry in entries)


def event_triggers(entries: Sequence[TocEntry]) -> tuple[TocEntry, ...]:
    """Choose the event triggers, with the comments and labels on them.

    The server fires none for these statements themselves.
    """
    triggers = {entry.dump_id for entry in entries if entry.desc == kinds.EVENT_TRIGGER}
    return tuple(
        entry
        for entry in entries
        if entry.dump_id in triggers
        or (entry.desc in kinds.REMARKS and not triggers.isdisjoint(entry.dependencies))
    )


def _indexes_alone(late: Sequence[TocEntry]) -> dict[int, TocEntry]:
    """Choose the indexes that need only entries that come before all of them, by their numbers."""
    others = {entry.dump_id for entry in late}
    indexes: dict[int, TocEntry] = {}
    for entry in late:
        if entry.desc == kinds.INDEX and others.isdisjoint(entry.dependencies):
            indexes[entry.dump_id] = entry
            others.remove(entry.dump_id)
    return indexes
