"""Restore a backup on a server of a proof, and compare it: tables, sequences, schema."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import database_locale, roles_named, superusers_named
from pgvow.errors import CannotBeProven
from pgvow.operations.core.compare import ComparedDatabase, compare_database
from pgvow.operations.core.fill import Filling
from pgvow.operations.core.loosen import Loosening
from pgvow.operations.core.schema import compare_schemas, schema_of
from pgvow.operations.core.stages import CheckedBackup, FailedEntry, FilledDatabase, RestorerTools
from pgvow.operations.prove.measured import Measured
from pgvow.operations.prove.server import require_space
from pgvow.operations.prove.verdict import (
    refuse_missing_extensions,
    restore_difference,
    with_evidence,
)
from pgvow.postgres.database_settings import settings_for_restore
from pgvow.postgres.majors import LOGIN_TRIGGERS_SINCE
from pgvow.postgres.pg_restore import PgRestoreOptions, ProofTools, fails_harmlessly
from pgvow.postgres.proof_databases import ProofDatabases
from pgvow.postgres.restore_order import event_triggers
from pgvow.postgres.restorer import is_superuser
from pgvow.postgres.sql import query
from pgvow.progress import Phase, Step
from pgvow.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.model import Difference, Metadata
    from pgvow.operations.core.compare import Comparison
    from pgvow.operations.prove.server import ProofServer, ProveOptions
    from pgvow.postgres.connection import Session
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

_Failures = tuple[FailedEntry, ...]


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """The backup to prove, at hand, and how; ``between`` is ``prove_backup``'s.

    ``measured`` is filled while it is proven.
    """

    backup: StoredBackup
    metadata: Metadata
    toc: TableOfContents
    options: ProveOptions
    report: Progress
    between: Callable[[str], None] | None
    measured: Measured = field(default_factory=Measured)


def restore_and_compare(request: ProofRequest, server: ProofServer) -> ComparedDatabase:
    """Restore into databases made for it; differences, and a refusal of the server, are results.

    Raises CannotBeProven, NoSpace, RestoreFailed, PgvowError and psycopg.Error.
    """
    toc, warn = request.toc, request.report.warn
    require_space(server, request.metadata, warn=warn)
    with ExitStack() as stack:
        session = stack.enter_context(server.tools.open(server.database))
        site = ProofDatabases(session, server.tools.place, lasting=not server.is_throwaway)
        stack.enter_context(site)
        if cleared := site.clear_abandoned():
            warn(f"cleared away what a proof left that was killed: {', '.join(cleared)}")
        refuse_missing_extensions(session, toc)
        superusers = superusers_named(toc) if server.is_throwaway else ()
        lacking = site.find_locale(encoding=toc.encoding, locale=database_locale(toc))
        if lacking:
            warn(f"the source's collation is not to be had here, proving with C: {lacking}")
        site.stand_in(roles_named(toc), superusers=superusers)
        helpers = _helpers(site, server.tools, warn)
        entries = _entries(toc, session)
        make = partial(
            site.database, encoding=toc.encoding, settings=settings_for_restore(toc.entries)
        )
        restored = make()
        for name, complaint in site.refused_settings.items():
            warn(f"the database's own setting {name} is not to be had here: {complaint}")
        tools = _undisturbed(server.tools, entries, session)
        backup = CheckedBackup(request.backup, request.metadata, toc, entries, tools)
        folder = stack.enter_context(temporary_folder("pgvow-prove-"))
        proving = _Proving(request, server, backup, lacking, site, helpers, folder)
        if server.is_throwaway:
            return proving.run(restored, make)
        # Not beside the restore: an interruption has to know all databases that it must drop.
        reference = make()
        return proving.run(restored, lambda: reference)


def _entries(toc: TableOfContents, session: Session) -> tuple[TocEntry, ...]:
    """Return the entries to restore: all but those that are known to fail harmlessly."""
    superuser = is_superuser(session)
    return tuple(entry for entry in toc.entries if not fails_harmlessly(entry, superuser=superuser))


def _helpers(
    site: ProofDatabases, tools: ProofTools, warn: Callable[[str], None]
) -> tuple[RestorerTools | None, RestorerTools | None]:
    """Make the roles that restore in a superuser's place, one a database, if there can be any."""
    restored = RestorerTools.of(site.restorer(warn=warn), tools)
    return restored, RestorerTools.of(site.restorer(warn=warn), tools) if restored else None


def _undisturbed(tools: ProofTools, entries: Sequence[TocEntry], session: Session) -> ProofTools:
    """Switch off event triggers for the tools that connect, if the backup has any.

    Only from 17 on they act on those who connect, and a superuser can switch them off.
    """
    can_be_off = tools.installation.major >= LOGIN_TRIGGERS_SINCE and is_superuser(session)
    if can_be_off and event_triggers(entries):
        return replace(tools, options="-c event_triggers=off")
    return tools


@contextmanager
def _aside() -> Iterator[ThreadPoolExecutor]:
    """Provide threads for work beside the restore.

    If the block fails they are not waited for: they end with the databases that they work on.
    """
    pool = ThreadPoolExecutor(3, thread_name_prefix="meanwhile")
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@dataclass(slots=True)
class _InTurn:
    """The progress of a comparison, passed on only when the restore beside it has ended."""

    progress: Progress
    is_its_turn: bool = False

    def update(self, step: Step) -> None:
        """Pass on how far the work has come."""
        if self.is_its_turn:
            self.progress.update(step)

    def warn(self, message: str) -> None:
        """Pass on a warning."""
        self.progress.warn(message)


@dataclass(frozen=True, slots=True)
class _RunningComparison:
    """A comparison of rows beside the restore."""

    progress: _InTurn
    comparison: Future[Comparison]

    def result(self) -> Comparison:
        """Wait for its end while its progress is passed on; raises its error."""
        self.progress.is_its_turn = True
        return self.comparison.result()


@dataclass(frozen=True, slots=True)
class _Proving:
    """The restore of one backup into two databases: all of it, and its schema for reference.

    ``folder`` is for rows that are refused, and removed at the end.
    """

    request: ProofRequest
    server: ProofServer
    backup: CheckedBackup
    lacking: str | None
    site: ProofDatabases
    helpers: tuple[RestorerTools | None, RestorerTools | None]
    folder: Path

    def run(self, restored: str, make_reference: Callable[[], str]) -> ComparedDatabase:
        """Restore both at once; compare rows while indexes are built, then the schema."""
        with _aside() as aside:
            reference = aside.submit(self._reference, make_reference)
            running: list[_RunningComparison] = []

            def compare() -> None:
                running.append(self._begin_to_compare(aside, restored))

            between = self.request.between
            filled = self._fill(restored, compare if between is None else lambda: None)
            if filled.failures:
                return self._not_restored(filled, running)
            self._judge_causes(filled, running)
            if between is not None:
                between(self.server.tools.place.conninfo(restored))
                compare()
            schema = aside.submit(schema_of, self.backup.tools, restored)
            comparison = running[0].result()
            self.request.report.update(Step(Phase.COMPARE_SCHEMAS))
            expected = reference.result()
            if isinstance(expected, tuple):
                differences = self._refused(expected, self.site.databases[-1])
                return ComparedDatabase(filled, None, differences)
            loosening = filled.filling.loosening
            loosened = loosening.loosened if loosening else ()
            loose = {name for each in loosened for name in each.names()}
            changed = compare_schemas(schema.result(), expected, self.backup.entries, loose=loose)
            self.request.measured.size(self.site.session, restored)
            return ComparedDatabase(filled, comparison, (*comparison.differences, *changed))

    def _fill(self, dbname: str, after_rows: Callable[[], None]) -> FilledDatabase:
        started = time.monotonic()

        def tick() -> None:
            taken = f"{time.monotonic() - started:.0f} s"
            self.request.report.update(Step(Phase.RESTORE, detail=taken))

        manner = PgRestoreOptions(jobs=self.request.options.workers, tick=tick)
        loosening = Loosening(self.folder, rules_only=True)
        filling = Filling(
            self.backup, dbname, manner, self.helpers[0], goes_on=True, loosening=loosening
        )
        failures = filling.run(after_rows) or _finish(filling)
        return FilledDatabase(filling, failures, time.monotonic() - started)

    def _reference(self, make: Callable[[], str]) -> TableOfContents | _Failures:
        """Restore the schema alone and read it back; returns the failures instead if any."""
        dbname = make()
        filling = Filling(self.backup, dbname, PgRestoreOptions(schema_only=True), self.helpers[1])
        return filling.run() or _finish(filling) or schema_of(self.backup.tools, dbname)

    def _not_restored(
        self, filled: FilledDatabase, running: Sequence[_RunningComparison]
    ) -> ComparedDatabase:
        """Judge a restore that failed; the rows are compared all the same if all of them came.

        Raises the errors of ``restore_difference`` if a failure is no evidence.
        """
        dbname = filled.filling.dbname
        try:
            differences = self._refused(filled.failures, dbname)
            if not running:
                return ComparedDatabase(filled, None, differences)
            comparison = running[0].result()
        except BaseException:
            self._stop_comparing(dbname)
            raise
        refused = {each.entry.key for each in filled.failures if each.entry}
        others = [each for each in comparison.differences if each.name not in refused]
        return ComparedDatabase(filled, comparison, (*differences, *others))

    def _judge_causes(self, filled: FilledDatabase, running: Sequence[_RunningComparison]) -> None:
        """Raise CannotBeProven and the like if a rule was not broken by the source's rows alone.

        A setting, a collation or a right that is not to be had here may be the cause as well.
        """
        loosening = filled.filling.loosening
        try:
            for cause in loosening.causes if loosening else ():
                self._difference(cause, filled.filling.dbname)
        except BaseException:
            if running:
                self._stop_comparing(filled.filling.dbname)
            raise

    def _refused(self, failures: _Failures, dbname: str) -> tuple[Difference, ...]:
        return tuple(self._difference(failed, dbname) for failed in failures)

    def _difference(self, failed: FailedEntry, dbname: str) -> Difference:
        is_first = dbname == self.site.databases[0]
        failed = with_evidence(
            failed,
            self.backup,
            witness=self.site.session,
            dbname=dbname,
            helper=self.helpers[0 if is_first else 1],
            server=self.server,
        )
        difference = restore_difference(
            failed, lacking=self.lacking, selection=self.backup.metadata.selection
        )
        if refused := self.site.refused_settings:
            raise CannotBeProven(
                f"{difference.found}\nsettings of the database that are not to be had here:"
                f" {', '.join(sorted(refused))}",
                facts={"Object": difference.name},
                steps=["Prove it where a superuser may set them: pgvow prove FILE --on DSN"],
            )
        return difference

    def _stop_comparing(self, dbname: str) -> None:
        """End the sessions of a comparison whose result is not needed, and it with them."""
        with suppress(psycopg.Error):
            self.site.session.execute(query("terminate_sessions"), {"name": dbname})

    def _begin_to_compare(self, aside: ThreadPoolExecutor, dbname: str) -> _RunningComparison:
        """Open sessions, one for each worker, and compare by them in a thread, which closes them.

        They are opened here, so that all of them exist if the comparison is stopped.
        """
        with ExitStack() as stack:
            sessions = [
                stack.enter_context(closing(self.backup.tools.open(dbname)))
                for _ in range(self.request.options.workers)
            ]
            progress = _InTurn(self.request.report)
            comparison = aside.submit(self._compare, sessions, progress, stack.pop_all())
        return _RunningComparison(progress, comparison)

    def _compare(
        self, sessions: Sequence[Session], progress: Progress, opened: ExitStack
    ) -> Comparison:
        first, *others = sessions
        with opened, self.request.measured.comparing(first):
            return compare_database(
                first,
                self.backup.metadata,
                self.backup.stored,
                progress=progress,
                others=others,
                make_pipe=self.server.make_pipe,
            )


def _finish(filling: Filling) -> _Failures:
    """Take everything from the helper, then make the event triggers, which would act on that."""
    filling.release()
    return filling.event_triggers()
