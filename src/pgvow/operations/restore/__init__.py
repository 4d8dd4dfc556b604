"""Restore one backup: verify, make a database, fill it, compare it, and only then name it."""

from __future__ import annotations

import time
import traceback
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import CannotBeProven, PgvowError, RestoreFailed
from pgvow.model import LargeObjectFacts, TocFacts
from pgvow.operations.compare.database import compare_database
from pgvow.operations.compare.filling import Filling, Helper
from pgvow.operations.recorded_tables import with_tables
from pgvow.operations.restore.checks import (
    claim_name,
    prepared,
    require_confirmation,
    require_name,
    require_roles,
    require_tablespaces,
    require_whole,
    verified,
)
from pgvow.operations.restore.database import analyze, apply_definition, apply_left_out
from pgvow.operations.restore.globals import restore_globals
from pgvow.operations.restore.progress import RowsWatch
from pgvow.operations.restore.restorer import as_restorer, restorer_for
from pgvow.operations.restore.run import RestoreResult
from pgvow.operations.restore.swap import Names, put_in_place, set_aside
from pgvow.operations.restore.tool import open_restored, restore_failure
from pgvow.postgres.connection import Target
from pgvow.postgres.databases import Databases, dropdb, psql, refused
from pgvow.postgres.pg_restore import Manner, TargetTools
from pgvow.postgres.restore_order import Stage, event_triggers, has_statistics
from pgvow.postgres.statements import quoted
from pgvow.progress import Phase, Step
from pgvow.store import being_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgvow.model import Difference, Metadata
    from pgvow.operations.restore.run import RestoreOptions, Run
    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import RestoreError
    from pgvow.progress import Progress
    from pgvow.settings import Settings

_DIFFERENCES_SHOWN = 20


def restore_backup(
    settings: Settings,
    options: RestoreOptions,
    *,
    environ: Mapping[str, str],
    progress: Progress,
) -> RestoreResult:
    """Restore a backup into a database that does not exist, or with ``swap`` in place of one.

    Raises the errors of ``pgvow.errors``; whatever it raises, no half-made database is left, and
    none that was there has been touched.
    """
    started = time.monotonic()
    require_name(options)
    require_whole(options)
    require_confirmation(settings, options)
    with being_read(options.file):
        return _restore(settings, options, environ, progress, started)


def _restore(
    settings: Settings,
    options: RestoreOptions,
    environ: Mapping[str, str],
    progress: Progress,
    started: float,
) -> RestoreResult:
    metadata = verified(settings, options, environ, progress)
    target = Target(settings.connection, settings.libpq_variables, environ)
    with Databases.connect(target, avoiding=options.database) as databases:
        run = prepared(settings, options, environ, progress, databases, metadata)
        claim_name(run)
        names = Names.free(databases, options.database, datetime.now(UTC))
        with _roles_told(run):
            if options.with_globals:
                restore_globals(run)
            require_roles(run)
            require_tablespaces(run)
            with restorer_for(run, names), _dropped_on_failure(run, names):
                seconds = _fill(run, names)
                _compare(run, names)
                ended = _publish(run, names)
        return RestoreResult(
            file=options.file,
            database=options.database,
            metadata=metadata,
            server=run.server,
            pg_restore=run.installation.version,
            entries=len(run.selection.entries),
            comparison=run.comparison,
            not_compared=run.not_compared,
            kept_as=names.before if run.replaces else None,
            sessions=run.sessions,
            ended=ended,
            restore_seconds=seconds,
            seconds=time.monotonic() - started,
            warnings=tuple(run.warnings),
        )


@contextmanager
def _dropped_on_failure(run: Run, names: Names) -> Iterator[None]:
    """Drop the temporary database however the work fails; one that has its name is not it."""
    try:
        yield
    except BaseException as error:
        # Interrupted while it connected, a half-open connection lives on in the frames of error:
        # its server process is deaf until it times out, and DROP DATABASE waits for every process.
        traceback.clear_frames(error.__traceback__)
        run.databases.session.close()  # it may be in the middle of anything
        left = _drop(run.target, names)
        if left is not None and isinstance(error, PgvowError):
            error.facts["Left behind"] = f"{names.temporary}, which could not be dropped: {left}"
        raise


@contextmanager
def _roles_told(run: Run) -> Iterator[None]:
    """Say which roles a failed restore leaves: others may have begun to use them."""
    try:
        yield
    except PgvowError as error:
        if run.made_roles:
            error.facts["Created roles"] = f"{', '.join(run.made_roles)} (they stay)"
        raise


def _drop(target: Target, names: Names) -> str | None:
    """Drop the temporary database in a session of its own; returns what was in the way."""
    try:
        with Databases.connect(target, avoiding=names.final) as databases:
            databases.drop(names.temporary)
    except PgvowError as error:
        return error.cause
    return None


def _fill(run: Run, names: Names) -> float:
    """Make the database and restore into it; returns how many seconds that took."""
    started = time.monotonic()
    run.update(Step(Phase.CREATE))
    name, no_owner = names.temporary, run.options.no_owner
    run.databases.create(name, run.definition.create)
    run.update(Step(Phase.CREATED))
    run.databases.say(name, names.comment)
    with open_restored(run.target, name) as session, refused(run.target):
        apply_definition(session, run.definition, name, no_owner=no_owner, keep=False)
    _run_pg_restore(run, name)
    with open_restored(run.target, name) as session:
        apply_left_out(
            session, run.selection.left_out, target=run.target, no_owner=no_owner, warn=run.warn
        )
        if run.options.schema_only or not has_statistics(run.selection.entries):
            run.update(Step(Phase.ANALYZE))
            analyze(session, run.warn)
    # Not before: with --no-owner, indexes by a function would be analyzed with our own rights.
    _succeed(run, _filling(run, name).finish())
    return time.monotonic() - started


def _run_pg_restore(run: Run, name: str) -> None:
    options = run.options
    with open_restored(run.target, name) as session:
        filling = _filling(run, name)
        watch = RowsWatch(
            session,
            _expected(run),
            filling.entries,
            one_by_one=options.jobs == 1,
            progress=run.progress,
        )
        filling = replace(filling, manner=replace(filling.manner, tick=watch.look))
        _succeed(run, filling.run())


def _filling(run: Run, name: str) -> Filling:
    """Prepare to fill the database with all but the event triggers."""
    options = run.options
    later = {entry.dump_id for entry in event_triggers(run.selection.entries)}
    return Filling(
        dump=options.file,
        dbname=name,
        toc=run.toc,
        entries=tuple(one for one in run.selection.entries if one.dump_id not in later),
        tools=TargetTools(run.installation, run.target),
        session=partial(_session, run, name),
        manner=Manner(
            jobs=options.jobs,
            schema_only=options.schema_only,
            no_owner=options.no_owner,
            tablespaces=not options.no_tablespaces,
            warn=run.progress.warn,
        ),
        helper=_helper(run),
        owners_later=bool(options.owner_map),
    )


def _helper(run: Run) -> Helper | None:
    if run.restorer is None:
        return None
    target = as_restorer(run.target, run.restorer)
    return Helper(run.restorer.name, TargetTools(run.installation, target))


@contextmanager
def _session(run: Run, name: str) -> Iterator[Session]:
    with open_restored(run.target, name) as session, refused(run.target):
        yield session


def _succeed(run: Run, error: RestoreError | None) -> None:
    """Raise RestoreFailed or NoSpace if there is an error."""
    if error is not None:
        raise restore_failure(error, run.selection.entries, run.installation, run.target)


def _make_event_triggers(run: Run, name: str) -> None:
    """Make what acts on every later statement or session: on ours too, so there must be no more.

    An audit trigger would write down what we do, and the rows would differ; one that forbids
    would forbid it to us. Before 17 nothing else keeps them quiet.
    """
    if entries := event_triggers(run.selection.entries):
        filling = _filling(run, name)
        _succeed(run, filling.definitions(entries, stage=Stage.EVENT_TRIGGERS))


def _expected(run: Run) -> Metadata:
    """What of the metadata is to be found again."""
    options = run.options
    if not (options.tables or options.schema_only):
        return run.metadata
    metadata = with_tables(run.metadata, run.toc.entries)
    positions = {
        (entry.namespace, entry.tag)
        for entry in run.selection.entries
        if entry.desc == "SEQUENCE SET" and not options.schema_only
    }
    keys = {
        entry.key
        for entry in run.selection.entries
        if entry.is_table_data and not options.schema_only
    }
    return replace(
        metadata,
        tables=tuple(table for table in metadata.tables if table.key in keys),
        sequences=tuple(one for one in metadata.sequences if (one.schema, one.name) in positions),
        large_objects=LargeObjectFacts(0, 0, "0" * 32),
        # Without it all that is not recorded would be read from the archive, chosen or not.
        toc=metadata.toc or TocFacts("", 0),
    )


def _compare(run: Run, names: Names) -> None:
    """Compare what came back; only a plain restore goes on where the server makes it impossible."""
    run.update(Step(Phase.COMPARE))
    with open_restored(run.target, names.temporary) as session:
        try:
            run.comparison = compare_database(
                session, _expected(run), run.options.file, progress=run
            )
        except PgvowError as error:
            if run.options.swap or not _is_impossible(error):
                raise
            run.not_compared = error.cause
            run.warn(f"what was restored could not be compared with the backup: {error.cause}")
            return
    if not run.comparison.equal:
        raise _differs(run, names, run.comparison.differences)


def _is_impossible(error: PgvowError) -> bool:
    """Whether rows cannot be compared here: the server lacks something, or we lack a right."""
    lacking = isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege)
    return lacking or isinstance(error, CannotBeProven)


def _differs(run: Run, names: Names, differences: Sequence[Difference]) -> RestoreFailed:
    """Keep what was restored unless there is the old one, for it may be all there is."""
    shown = [str(one) for one in differences[:_DIFFERENCES_SHOWN]]
    more = len(differences) - len(shown)
    cause = "what came back is not what was backed up:\n" + "\n".join(
        [*shown, *([f"and {more} more"] if more else [])]
    )
    if run.replaces:
        steps = [f"{names.final} is as it was; what was restored has been dropped"]
    else:
        set_aside(run.databases, names)
        steps = [
            f"Look at what was restored: {psql(names.differs)}",
            f"If it serves all the same: ALTER DATABASE … RENAME TO {quoted(names.final)}",
            f"If it does not: {dropdb(names.differs)}",
        ]
        if event_triggers(run.selection.entries):
            steps.append("Its event triggers have not been made yet: pg_restore --list names them")
    return RestoreFailed(cause, facts=run.target.facts, steps=steps)


def _publish(run: Run, names: Names) -> int:
    """Give the database its settings and its name; returns how many sessions were ended."""
    options, definition = run.options, run.definition
    run.update(Step(Phase.SETTINGS))
    with open_restored(run.target, names.temporary) as session, refused(run.target):
        # In this order, and in this session: a setting may forbid to write, a trigger to connect.
        _make_event_triggers(run, names.temporary)
        apply_definition(session, definition, names.temporary, no_owner=options.no_owner, keep=True)
    run.update(Step(Phase.NAMING))
    ended = put_in_place(
        run.databases,
        names,
        definition.comment,
        swap=run.replaces,
        terminate=options.terminate,
    )
    run.update(Step(Phase.NAMED))
    return ended
