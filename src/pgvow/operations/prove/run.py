"""Restore a backup on a server, and compare what came back: tables, sequences, schema."""

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
from pgvow.operations.compare.database import compare_database
from pgvow.operations.compare.filling import Filling, Helper
from pgvow.operations.compare.schema import compare_schemas, schema_of
from pgvow.operations.prove.evidence import with_evidence
from pgvow.operations.prove.obstacles import refuse_missing_extensions, restore_difference
from pgvow.postgres.database_settings import settings_for_restore
from pgvow.postgres.majors import LOGIN_TRIGGERS_SINCE
from pgvow.postgres.pg_restore import Manner, RestoreError, Tools, fails_harmlessly
from pgvow.postgres.proof_databases import ProofSite
from pgvow.postgres.proof_server import open_session
from pgvow.postgres.restore_order import event_triggers
from pgvow.postgres.restorer import AsRestorer
from pgvow.postgres.sql import query
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pgvow.archive import Entry, TableOfContents
    from pgvow.model import Difference, Metadata
    from pgvow.operations.compare.database import Comparison
    from pgvow.operations.prove.place import Chosen, ProveOptions
    from pgvow.postgres.connection import Session
    from pgvow.postgres.proof_server import Place
    from pgvow.postgres.restorer import Restorer
    from pgvow.progress import Progress


@dataclass(frozen=True, slots=True)
class Run:
    """One proof under way."""

    path: Path
    metadata: Metadata
    toc: TableOfContents
    options: ProveOptions
    progress: Progress
    between: Callable[[str], None] | None
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Keep a warning for the result, and tell it now."""
        self.warnings.append(message)
        self.progress.warn(message)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a restore and its comparison came to; ``comparison`` is None where it did not end."""

    differences: tuple[Difference, ...]
    comparison: Comparison | None
    restore_seconds: float


def restore_and_compare(run: Run, chosen: Chosen) -> Outcome:
    """Restore into databases made for it; differences, and a refusal of the server's, are results.

    Raises CannotBeProven, NoSpace, RestoreFailed, PgvowError and psycopg.Error.
    """
    with ExitStack() as stack:
        session = stack.enter_context(open_session(chosen.tools.place, chosen.database))
        site = ProofSite(session, chosen.tools.place, lasting=not chosen.is_throwaway)
        stack.enter_context(site)
        if cleared := site.clear_abandoned():
            run.warn(f"cleared away what a proof left that was killed: {', '.join(cleared)}")
        refuse_missing_extensions(session, run.toc)
        superusers = superusers_named(run.toc) if chosen.is_throwaway else ()
        lacking = site.find_locale(encoding=run.toc.encoding, locale=database_locale(run.toc))
        if lacking:
            run.warn(f"the source's collation is not to be had here, proving with C: {lacking}")
        site.stand_in(roles_named(run.toc), superusers=superusers)
        helpers = _helpers(site, chosen.tools, run.warn)
        entries = _wanted(run.toc, session)
        make = partial(
            site.database,
            encoding=run.toc.encoding,
            settings=settings_for_restore(run.toc.entries),
        )
        restored = make()
        for name, complaint in site.refused_settings.items():
            run.warn(f"the database's own setting {name} is not to be had here: {complaint}")
        chosen = replace(chosen, tools=_undisturbed(chosen.tools, entries, session))
        proving = _Proving(run, chosen, entries, lacking, site, helpers)
        if chosen.is_throwaway:
            return proving.run(restored, make)
        # What an interruption has to drop is there, or is not: nothing is being made.
        reference = make()
        return proving.run(restored, lambda: reference)


def _wanted(toc: TableOfContents, session: Session) -> tuple[Entry, ...]:
    """Return what is restored: all but what is known to fail, and harmless where it does."""
    above = session.info.parameter_status("is_superuser") == "on"
    return tuple(one for one in toc.entries if not fails_harmlessly(one, superuser=above))


def _helpers(
    site: ProofSite, tools: Tools, warn: Callable[[str], None]
) -> tuple[Helper | None, Helper | None]:
    """Make the roles that restore in a superuser's place, one a database, if there can be any."""

    def helper(restorer: Restorer) -> Helper:
        return Helper(restorer.name, replace(tools, place=AsRestorer(tools.place, restorer)))

    restored = site.restorer(warn=warn)
    reference = site.restorer(warn=warn) if restored else None
    return (helper(restored) if restored else None, helper(reference) if reference else None)


def _undisturbed(tools: Tools, entries: Sequence[Entry], session: Session) -> Tools:
    """Keep event triggers from acting on our own sessions, where there are some that could.

    Only from 17 on they act on those who connect, and can be switched off, by a superuser.
    """
    above = session.info.parameter_status("is_superuser") == "on"
    if above and tools.installation.major >= LOGIN_TRIGGERS_SINCE and event_triggers(entries):
        return replace(tools, options="-c event_triggers=off")
    return tools


@contextmanager
def _aside() -> Iterator[ThreadPoolExecutor]:
    """Provide threads for what can be done meanwhile.

    Where the block fails nobody waits for it: it ends with the databases it works on.
    """
    pool = ThreadPoolExecutor(3, thread_name_prefix="meanwhile")
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def _inside(place: Place, dbname: str) -> Iterator[Session]:
    """Open a session in a database, as whoever proves; the backup's operators are not in sight."""
    with open_session(place, dbname) as session:
        session.execute("SET client_encoding TO UTF8")
        session.execute("SET search_path TO ''")
        yield session


def _do_nothing() -> None:
    """Go on when rows are there."""


@dataclass(slots=True)
class _InTurn:
    """The progress of a comparison, told only when the restore beside it has ended."""

    progress: Progress
    is_its_turn: bool = False

    def update(self, step: Step) -> None:
        """Tell how far the work has come."""
        if self.is_its_turn:
            self.progress.update(step)

    def warn(self, message: str) -> None:
        """Tell a warning."""
        self.progress.warn(message)


@dataclass(slots=True)
class _Comparing:
    """A comparison beside the restore."""

    progress: _InTurn
    result: Future[Comparison]

    def ended(self) -> Comparison:
        """Wait for its end, and let it tell how far it is meanwhile; raises what it raised."""
        self.progress.is_its_turn = True
        return self.result.result()


@dataclass(frozen=True, slots=True)
class _Proving:
    """The restore of one backup into two databases: all of it, and its schema for reference."""

    proof: Run
    chosen: Chosen
    entries: tuple[Entry, ...]
    lacking: str | None
    site: ProofSite
    helpers: tuple[Helper | None, Helper | None]

    @property
    def tools(self) -> Tools:
        """The programs for the server."""
        return self.chosen.tools

    def run(self, restored: str, make_reference: Callable[[], str]) -> Outcome:
        """Restore both at once; compare rows while indexes are built, then the schema."""
        with _aside() as aside:
            expected = aside.submit(self._reference, make_reference)
            comparing: list[_Comparing] = []

            def compare() -> None:
                comparing.append(self._begin_to_compare(aside, restored))

            between = self.proof.between
            started = time.monotonic()
            error = self._restore(restored, compare if between is None else None)
            seconds = time.monotonic() - started
            if error is not None:
                return self._not_restored(error, restored, seconds, comparing)
            if between is not None:
                between(self.tools.place.conninfo(restored))
                compare()
            found = aside.submit(schema_of, self.tools, restored)
            comparison = comparing[0].ended()
            self.proof.progress.update(Step(Phase.COMPARE_SCHEMAS))
            schema = expected.result()
            if isinstance(schema, RestoreError):
                return self._refused(schema, self.site.databases[-1], seconds)
            changed = compare_schemas(found.result(), schema, self.entries)
            return Outcome((*comparison.differences, *changed), comparison, seconds)

    def _not_restored(
        self, error: RestoreError, dbname: str, seconds: float, comparing: Sequence[_Comparing]
    ) -> Outcome:
        """Judge a restore that failed; the rows are compared all the same if all of them came.

        Raises what ``restore_difference`` raises if the failure is no evidence.
        """
        try:
            outcome = self._refused(error, dbname, seconds)
            if not comparing:
                return outcome
            comparison = comparing[0].ended()
        except BaseException:
            self._stop_comparing(dbname)
            raise
        differences = (*outcome.differences, *comparison.differences)
        return replace(outcome, differences=differences, comparison=comparison)

    def _refused(self, error: RestoreError, dbname: str, seconds: float) -> Outcome:
        error = with_evidence(
            error,
            chosen=self.chosen,
            witness=self.site.session,
            dbname=dbname,
            dump=self.proof.path,
            toc=self.proof.toc,
        )
        difference = restore_difference(
            error,
            self.proof.toc,
            lacking=self.lacking,
            selection=self.proof.metadata.selection,
        )
        if refused := self.site.refused_settings:
            raise CannotBeProven(
                f"{difference.found}\nsettings of the database that are not to be had here:"
                f" {', '.join(sorted(refused))}",
                facts={"Object": difference.name},
                steps=["Prove it where a superuser may set them: pgvow prove FILE --on DSN"],
            )
        return Outcome((difference,), None, seconds)

    def _stop_comparing(self, dbname: str) -> None:
        """End the sessions of a comparison that nobody wants any more, and it with them."""
        with suppress(psycopg.Error):
            self.site.session.execute(query("terminate_sessions"), {"name": dbname})

    def _restore(
        self, dbname: str, when_rows_are_there: Callable[[], None] | None
    ) -> RestoreError | None:
        started = time.monotonic()

        def tick() -> None:
            taken = f"{time.monotonic() - started:.0f} s"
            self.proof.progress.update(Step(Phase.RESTORE, detail=taken))

        manner = Manner(jobs=self.proof.options.workers, tick=tick)
        filling = self._filling(dbname, manner, self.helpers[0])
        return filling.run(when_rows_are_there or _do_nothing) or filling.finish()

    def _filling(self, dbname: str, manner: Manner, helper: Helper | None) -> Filling:
        return Filling(
            dump=self.proof.path,
            dbname=dbname,
            toc=self.proof.toc,
            entries=self.entries,
            tools=self.tools,
            session=partial(_inside, self.tools.place, dbname),
            manner=manner,
            helper=helper,
        )

    def _reference(self, make: Callable[[], str]) -> TableOfContents | RestoreError:
        """Restore the schema alone, and read it back."""
        dbname = make()
        filling = self._filling(dbname, Manner(schema_only=True), self.helpers[1])
        error = filling.run() or filling.finish()
        return error or schema_of(self.tools, dbname)

    def _begin_to_compare(self, aside: ThreadPoolExecutor, dbname: str) -> _Comparing:
        """Open sessions, one for each worker, and compare by them in a thread, which closes them.

        They are opened here: where the comparison is stopped, all of them are there.
        """
        with ExitStack() as stack:
            sessions = [
                stack.enter_context(closing(open_session(self.tools.place, dbname)))
                for _ in range(self.proof.options.workers)
            ]
            progress = _InTurn(self.proof.progress)
            result = aside.submit(self._compare, sessions, progress, stack.pop_all())
        return _Comparing(progress, result)

    def _compare(
        self, sessions: Sequence[Session], progress: Progress, opened: ExitStack
    ) -> Comparison:
        first, *more = sessions
        with opened:
            return compare_database(
                first,
                self.proof.metadata,
                self.proof.path,
                progress=progress,
                more=more,
                make_pipe=self.chosen.make_pipe,
            )
