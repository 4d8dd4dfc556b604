"""Fill an empty database from an archive: the same way for ``restore`` and for ``prove``.

As far as possible a superuser lets a role without special rights restore (``postgres.restorer``).
When rows, indexes and constraints are there, all that it made is given to its owners. Materialized
views come after that, because the server fills each with the rights of its owner.

Each stage goes on after entries that the server refuses, and tries them again at its end
(``core.retry``): after the others, and under the database's own search_path.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from psycopg import sql

from pgvow.archive import kinds, superuser_entries
from pgvow.operations.core.definitions import restore_definitions
from pgvow.operations.core.owners import NO_DEFINITION, Owners, ownership, without_roles
from pgvow.operations.core.retry import Retrying
from pgvow.operations.core.stages import FailedEntry, open_restored
from pgvow.postgres.pg_restore import restore_wave
from pgvow.postgres.restore_order import Stage, Wave, event_triggers, waves
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from pgvow.archive import TocEntry
    from pgvow.operations.core.loosen import Loosening
    from pgvow.operations.core.stages import CheckedBackup, RestorerTools, RetriedEntry
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import PgRestoreOptions, WaveErrors

FEWEST_JOBS = 2
"""A serial pg_restore refills the free space of earlier pages, and changes the order of rows."""
_MOST_JOBS = 8
_ALWAYS_THERE = "plpgsql"
_BY_THE_HELPER = (Stage.ROWS, Stage.INDEXES, Stage.CONDITIONS)


def default_jobs() -> int:
    """Return the number of processors, but at least ``FEWEST_JOBS`` and at most eight."""
    return max(FEWEST_JOBS, min(os.cpu_count() or 1, _MOST_JOBS))


@dataclass(frozen=True)
class Filling:
    """One database, and how it is filled: ``run``, then ``release``, then ``event_triggers``.

    Each of them returns the entries that the server refused. ``run`` ends after the stage of the
    first of them, unless it ``goes_on`` through all stages. ``loosening`` brings back in a looser
    form the entries that the server refuses a second time. ``seconds`` has the time that each
    stage took so far.
    """

    backup: CheckedBackup
    dbname: str
    manner: PgRestoreOptions
    helper: RestorerTools | None = None
    goes_on: bool = False
    loosening: Loosening | None = None
    retried: list[RetriedEntry] = field(default_factory=list)
    """The entries that were refused first and restored later."""
    seconds: dict[Stage, float] = field(default_factory=dict)

    @property
    def _gives(self) -> bool:
        """Whether objects are made without their owners, and given to them afterwards."""
        return self.helper is not None or self.backup.owners_later

    @cached_property
    def _owners(self) -> Owners:
        lenient = self.loosening is not None and not self.loosening.rules_only
        return Owners(self.backup, self.dbname, self.manner, self.helper, lenient)

    @cached_property
    def _above(self) -> frozenset[int]:
        return superuser_entries(self._entries) if self.helper else frozenset()

    @cached_property
    def _entries(self) -> tuple[TocEntry, ...]:
        entries = self.backup.entries
        return without_roles(entries) if self._gives else entries

    @cached_property
    def _retrying(self) -> Retrying:
        manner = replace(self.manner, no_owner=self._is_without_owners(Stage.ROWS))
        return Retrying(self.backup, self.dbname, manner, self.helper, self._above, self.retried)

    def run(self, after_rows: Callable[[], None] = lambda: None) -> tuple[FailedEntry, ...]:
        """Restore everything but event triggers.

        ``after_rows`` is called between the last row and the first index. Raises psycopg.Error if
        a session of ours fails.
        """
        self._owners.prepare()
        first = _extension_waves(self._entries)
        failures = self._stage(first, Stage.ROWS)
        if not first or self._is_over(failures):
            return failures or self._run(self._entries, after_rows)
        made = {entry.dump_id for wave in first for entry in wave.entries}
        others = [entry for entry in self._entries if entry.dump_id not in made]
        with _around_restore(self._session):
            return failures + self._run(others, after_rows)

    def _session(self) -> Session:
        return open_restored(self.backup.tools, self.dbname)

    def _run(
        self, entries: Sequence[TocEntry], after_rows: Callable[[], None]
    ) -> tuple[FailedEntry, ...]:
        divided = waves(entries, jobs=self.manner.jobs, above=self._above)
        failures = self._stage(divided, Stage.ROWS)
        if self._is_over(failures):
            return failures
        after_rows()
        for stage in (Stage.INDEXES, Stage.CONDITIONS, Stage.VIEWS):
            if stage is Stage.VIEWS and self._gives:
                failures += self._hand_over(failures)
                if self._is_over(failures):
                    break
            failures += self._stage(divided, stage)
            if self._is_over(failures):
                break
        return failures

    def release(self) -> None:
        """Take everything from the helper; raises psycopg.Error.

        Until then the server fills views, and analyzes, with the helper's rights.
        """
        self._owners.release()

    def event_triggers(self) -> tuple[FailedEntry, ...]:
        """Make the event triggers, which would act on everything that is done after them.

        By one connection: workers that connect later would meet those that act on a login.
        """
        entries = event_triggers(self.backup.entries)
        refused = self._definitions(entries, Stage.EVENT_TRIGGERS) if entries else ()
        return self._loosened(Stage.EVENT_TRIGGERS, refused)

    def _is_over(self, failures: Sequence[FailedEntry]) -> bool:
        return bool(failures) and (not self.goes_on or any(each.ends for each in failures))

    def _stage(self, divided: Sequence[Wave], stage: Stage) -> tuple[FailedEntry, ...]:
        """Restore the waves of a stage, and again the entries that were refused."""
        failures: tuple[FailedEntry, ...] = ()
        for wave in divided:
            if wave.stage is not stage:
                continue
            failures += self._wave(wave)
            if any(each.ends for each in failures):
                return failures
            if wave.above and stage is Stage.ROWS:
                self._owners.borrow()
        failures = self._retrying.run(stage, failures)
        return self._loosened(stage, failures)

    def _loosened(self, stage: Stage, failures: tuple[FailedEntry, ...]) -> tuple[FailedEntry, ...]:
        if self.loosening is None or not failures:
            return failures
        return self.loosening.run(self._retrying, stage, failures)

    def _is_without_owners(self, stage: Stage) -> bool:
        return self.manner.no_owner or (self._gives and stage in _BY_THE_HELPER)

    def _wave(self, wave: Wave) -> tuple[FailedEntry, ...]:
        early = wave.stage in _BY_THE_HELPER
        manner = replace(self.manner, no_owner=self._is_without_owners(wave.stage))
        by_helper = self.helper is not None and early and not wave.above
        tools = self.helper.tools if self.helper and by_helper else self.backup.tools
        with self.backup.stored.local_path() as dump, self._timed(wave.stage):
            result = restore_wave(tools, dump, self.dbname, wave, manner)
        return self._failures(result)

    def _definitions(self, entries: Sequence[TocEntry], stage: Stage) -> tuple[FailedEntry, ...]:
        """Restore entries as they are here, not as the dump has them."""
        wave = Wave(stage, tuple(entries))
        tools = self.backup.tools
        with self._timed(stage):
            result = restore_definitions(self.backup, tools, self.dbname, wave, self.manner)
        return self._failures(result)

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        """Add the time of the block to that of a stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started

    def _failures(self, result: WaveErrors) -> tuple[FailedEntry, ...]:
        """Return the entries that were refused, as the dump has them."""
        entries = {entry.dump_id: entry for entry in self.backup.toc.entries}
        return tuple(
            FailedEntry(entries.get(error.dump_id or 0), error, result.is_cut_off)
            for error in result.errors
        )

    def _hand_over(self, failures: Sequence[FailedEntry]) -> tuple[FailedEntry, ...]:
        """Give everything to its owners, and restore the grants."""
        self._owners.give_back()
        missing = {each.entry.dump_id for each in failures if each.entry}
        if self.loosening is not None:
            missing |= {each.entry.dump_id for each in self.loosening.loosened if each.is_left_out}
        there = [entry for entry in self.backup.entries if entry.dump_id not in missing]
        giving = ownership(there)
        refused = self._definitions(giving, Stage.CONDITIONS)
        if self.loosening is None:
            return refused
        given = {entry.dump_id: entry for entry in giving if entry.defn == NO_DEFINITION}
        return self._loosened(Stage.CONDITIONS, tuple(_without_definition(refused, given)))


def _without_definition(
    refused: Sequence[FailedEntry], given: Container[int]
) -> Iterator[FailedEntry]:
    """Yield the failures; an entry that is there already, without its owner, has no definition."""
    for failure in refused:
        entry = failure.entry
        is_there = entry is not None and entry.dump_id in given
        yield replace(failure, entry=replace(entry, defn="")) if entry and is_there else failure


def _extension_waves(entries: Sequence[TocEntry]) -> tuple[Wave, ...]:
    """Return the waves that make the extensions, with their schemas before them; none without."""
    extensions = tuple(
        entry for entry in entries if entry.desc == kinds.EXTENSION and entry.tag != _ALWAYS_THERE
    )
    needed = {number for entry in extensions for number in entry.dependencies}
    schemas = tuple(
        entry for entry in entries if entry.desc == kinds.SCHEMA and entry.dump_id in needed
    )
    waves = (Wave(Stage.ROWS, schemas), Wave(Stage.ROWS, extensions, above=True))
    return tuple(wave for wave in waves if wave.entries)


@contextmanager
def _around_restore(connect: Callable[[], Session]) -> Iterator[None]:
    """Call the functions that extensions have for a restore: TimescaleDB's are the best known.

    After an error none is called. Raises psycopg.Error.
    """
    with connect() as session:
        rows = session.execute(query("extension_restore_functions")).fetchall()
        _call(session, ((schema, name) for schema, name, *_ in rows))
    yield
    if rows:
        with connect() as session:
            _call(session, ((schema, name) for *_, schema, name in rows))


def _call(session: Session, functions: Iterable[tuple[str, str]]) -> None:
    for schema, name in functions:
        session.execute(sql.SQL("SELECT {}()").format(sql.Identifier(schema, name)))
