"""Restore one backup: verify it, fill a database of another name, compare it, and rename it.

``RestorePlan`` → ``FilledDatabase`` → ``ComparedDatabase`` → ``NamedDatabase``: each stage is
frozen, and made of the one before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import CannotBeProven, PgvowError, RestoreFailed
from pgvow.operations.archived_tables import with_tables
from pgvow.operations.core.compare import ComparedDatabase, compare_database
from pgvow.operations.core.expected import only_of
from pgvow.operations.core.fill import Filling, default_jobs
from pgvow.operations.core.loosen import Loosening
from pgvow.operations.core.stages import FilledDatabase, RestorerTools, open_restored
from pgvow.operations.restore.checks import (
    planned,
    require_confirmation,
    require_name,
    require_whole,
    verified,
    with_known_roles,
    with_known_tablespaces,
)
from pgvow.operations.restore.progress import RowsWatch
from pgvow.operations.restore.rescue import (
    RescueResult,
    failed_restore,
    require_acceptance,
    require_rescue,
    rescue_folder,
    unexplained,
    write_down,
)
from pgvow.operations.restore.swap import put_in_place, set_aside
from pgvow.operations.restore.temporary_database import (
    analyze,
    apply_definition,
    apply_left_out,
    create_database,
    dropped_on_failure,
    restored_globals,
    restoring_role,
)
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.databases import Databases, dropdb, psql, refused
from pgvow.postgres.failure_classes import end_of_session
from pgvow.postgres.pg_restore import PgRestoreOptions
from pgvow.postgres.restore_order import event_triggers, has_statistics
from pgvow.postgres.server import address_of
from pgvow.postgres.statements import quoted
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pgvow.model import Difference, Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.core.compare import Comparison
    from pgvow.operations.core.stages import RetriedEntry
    from pgvow.operations.restore.checks import RestorePlan
    from pgvow.postgres.databases import ConnectedSession
    from pgvow.postgres.server import Address, ServerFacts
    from pgvow.settings import Settings
    from pgvow.store import StoredBackup

_DIFFERENCES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """The database to make, and how.

    ``owner_map`` maps roles of the archive to those that take their place. ``no_tablespaces`` puts
    everything into the server's default one. ``confirmed``: the user knows that ``swap`` replaces
    a production database. ``rescue`` brings back in a looser form entries that are refused, and
    ``accept_loosened`` lets a swap do so; ``keep`` leaves the database of a failed restore.
    ``again`` is the command line that asks for this restore.
    """

    database: str
    jobs: int = field(default_factory=default_jobs)
    tables: tuple[str, ...] = ()
    schema_only: bool = False
    no_owner: bool = False
    owner_map: Mapping[str, str] = field(default_factory=dict)
    with_globals: bool = False
    no_tablespaces: bool = False
    swap: bool = False
    terminate: bool = False
    confirmed: bool = False
    rescue: bool = False
    accept_loosened: bool = False
    keep: bool = False
    again: str | None = None


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """A finished restore.

    ``address`` and ``environment`` are those that it was restored to; the metadata have the origin.
    ``comparison`` is None if this server lacks a setting that makes rows comparable, and
    ``not_compared`` is the reason. ``kept_as`` is the new name of the database that was swapped
    out, None if there was none; ``sessions`` were connected to it, and ``ended`` of them were ended
    for the swap. ``retried`` entries were refused at first; ``rescue`` has those that came back in
    a looser form.
    """

    file: Path
    database: str
    address: Address
    environment: str
    metadata: Metadata
    server: ServerFacts
    pg_restore: str
    entries: int
    comparison: Comparison | None
    not_compared: str | None
    kept_as: str | None
    sessions: tuple[ConnectedSession, ...]
    ended: int
    restore_seconds: float
    seconds: float
    warnings: tuple[str, ...] = ()
    retried: tuple[RetriedEntry, ...] = ()
    rescue: RescueResult = field(default_factory=RescueResult)


@dataclass(frozen=True, slots=True)
class NamedDatabase:
    """The last stage: a compared database under its final name.

    ``kept_as`` is the name of the one that it replaced; ``ended`` counts the sessions that were
    ended for that.
    """

    compared: ComparedDatabase
    kept_as: str | None
    ended: int


def restore_backup(
    settings: Settings,
    backup: StoredBackup,
    options: RestoreOptions,
    context: Context,
) -> RestoreResult:
    """Restore a backup into a database that does not exist, or with ``swap`` in place of one.

    Raises the errors of ``pgvow.errors``. After any of them no half-made database is left, and no
    existing one has been touched.
    """
    started = time.monotonic()
    require_name(options)
    require_whole(backup, options)
    require_acceptance(options)
    require_confirmation(settings, options)
    with backup.held(), backup.at_hand() as fetched, context.reporter.collecting() as warnings:
        metadata = verified(settings, fetched, options, context)
        result = _restore(settings, fetched, metadata, options, context, started)
    return replace(result, warnings=tuple(warnings))


def _restore(
    settings: Settings,
    backup: StoredBackup,
    metadata: Metadata,
    options: RestoreOptions,
    context: Context,
    started: float,
) -> RestoreResult:
    target = ConnectionTarget(settings.connection, settings.libpq_variables, context.environ)
    with Databases.connect(target, avoiding=options.database) as databases:
        address = address_of(databases.session)
        plan = planned(settings, backup, options, context, databases, metadata)
        require_rescue(plan)
        with restored_globals(plan):
            plan = with_known_roles(plan)
            plan = with_known_tablespaces(plan)
            with (
                rescue_folder(options) as folder,
                restoring_role(plan) as restorer,
                dropped_on_failure(plan),
            ):
                filled = _fill(plan, RestorerTools.of(restorer, plan.tools), folder)
                compared = _compare(plan, filled)
                named = _name(plan, compared)
                rescue = write_down(plan, filled.filling, folder, context)
        return RestoreResult(
            file=backup.path,
            database=options.database,
            address=address,
            environment=settings.environment,
            metadata=metadata,
            server=plan.server,
            pg_restore=plan.tools.installation.version,
            entries=len(plan.backup.entries),
            comparison=compared.comparison,
            not_compared=compared.not_compared,
            kept_as=named.kept_as,
            sessions=plan.replaced or (),
            ended=named.ended,
            restore_seconds=filled.seconds,
            seconds=time.monotonic() - started,
            retried=tuple(filled.filling.retried),
            rescue=rescue,
        )


def _fill(plan: RestorePlan, helper: RestorerTools | None, folder: Path | None) -> FilledDatabase:
    """Make the database and restore into it all but the event triggers."""
    started = time.monotonic()
    options, name, report = plan.options, plan.names.temporary, plan.report
    report.update(Step(Phase.CREATE))
    create_database(plan)
    report.update(Step(Phase.CREATED))
    plan.databases.say(name, plan.names.comment)
    with refused(plan.target):
        with open_restored(plan.tools, name) as session:
            apply_definition(session, plan, keep=False)
        filling = _filling(plan, helper, folder)
        _run_watched(plan, filling)
        with open_restored(plan.tools, name) as session:
            apply_left_out(
                session,
                plan.left_out,
                target=plan.target,
                no_owner=options.no_owner,
                rescue=options.rescue,
                warn=report.warn,
            )
            if options.schema_only or not has_statistics(plan.backup.entries):
                report.update(Step(Phase.ANALYZE))
                analyze(session, report.warn)
        # Not before: with --no-owner, indexes by a function would be analyzed with our own rights.
        filling.release()
    return FilledDatabase(filling, (), time.monotonic() - started)


def _filling(plan: RestorePlan, helper: RestorerTools | None, folder: Path | None) -> Filling:
    options = plan.options
    manner = PgRestoreOptions(
        jobs=options.jobs,
        schema_only=options.schema_only,
        no_owner=options.no_owner,
        tablespaces=not options.no_tablespaces,
        warn=plan.report.relay,
    )
    loosening = Loosening(folder) if options.rescue else None
    return Filling(plan.backup, plan.names.temporary, manner, helper, loosening=loosening)


def _run_watched(plan: RestorePlan, filling: Filling) -> None:
    """Fill the database while its progress is read by a session of its own."""
    with open_restored(plan.tools, filling.dbname) as session:
        watch = RowsWatch(
            session,
            _expected(plan),
            plan.backup.entries,
            one_by_one=plan.options.jobs == 1,
            progress=plan.report,
        )
        watched = replace(filling, manner=replace(filling.manner, tick=watch.look))
        failures = watched.run()
        if failures:
            raise failed_restore(plan, watched, failures, session)


def _expected(plan: RestorePlan) -> Metadata:
    """Return the metadata of the entries that are restored."""
    options, metadata = plan.options, plan.backup.metadata
    if not (options.tables or options.schema_only):
        return metadata
    metadata = with_tables(metadata, plan.backup.toc.entries)
    return only_of(metadata, () if options.schema_only else plan.backup.entries)


def _compare(plan: RestorePlan, filled: FilledDatabase) -> ComparedDatabase:
    """Compare the database with the backup; raises RestoreFailed if they differ.

    If the server makes that impossible, a plain restore goes on without, and a swap does not.
    """
    plan.report.update(Step(Phase.COMPARE))
    with open_restored(plan.tools, plan.names.temporary) as session:
        try:
            comparison = compare_database(
                session, _expected(plan), plan.backup.stored, progress=plan.report
            )
        except PgvowError as error:
            lost = error.__cause__
            if isinstance(lost, psycopg.Error) and (
                ended := end_of_session(lost, facts=plan.target.facts)
            ):
                raise ended from lost
            if plan.options.swap or not _is_impossible(error):
                raise
            plan.report.warn(
                f"what was restored could not be compared with the backup: {error.cause}"
            )
            return ComparedDatabase(filled, None, not_compared=error.cause)
    if differences := unexplained(comparison.differences, filled.filling):
        raise _differs(plan, differences)
    return ComparedDatabase(filled, replace(comparison, differences=()))


def _is_impossible(error: PgvowError) -> bool:
    """Whether rows cannot be compared here: the server lacks something, or we lack a right."""
    lacking = isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege)
    return lacking or isinstance(error, CannotBeProven)


def _differs(plan: RestorePlan, differences: Sequence[Difference]) -> RestoreFailed:
    """Keep the restored database under a name of its own, unless the old one is still there.

    It may be all that there is.
    """
    names = plan.names
    shown = [str(each) for each in differences[:_DIFFERENCES_SHOWN]]
    others = len(differences) - len(shown)
    cause = "what came back is not what was backed up:\n" + "\n".join(
        [*shown, *([f"and {others} more"] if others else [])]
    )
    if plan.replaced is not None:
        steps = [f"{names.final} is as it was; what was restored has been dropped"]
    else:
        set_aside(plan.databases, names)
        steps = [
            f"Look at what was restored: {psql(names.differs)}",
            f"If it serves all the same: ALTER DATABASE … RENAME TO {quoted(names.final)}",
            f"If it does not: {dropdb(names.differs)}",
        ]
        if event_triggers(plan.backup.entries):
            steps.append("Its event triggers have not been made yet: pg_restore --list names them")
    return RestoreFailed(cause, facts=plan.target.facts, steps=steps)


def _name(plan: RestorePlan, compared: ComparedDatabase) -> NamedDatabase:
    """Make the event triggers, apply the database's settings, and give it its name.

    Event triggers act on every later statement or session, on ours too: an audit trigger would
    record our statements, and the rows would differ; another might forbid them. Before 17 nothing
    else keeps them quiet.
    """
    options, definition, name = plan.options, plan.definition, plan.names.temporary
    plan.report.update(Step(Phase.SETTINGS))
    with refused(plan.target), open_restored(plan.tools, name) as session:
        # In this order, and in this session: a setting may forbid to write, a trigger to connect.
        filling = compared.filled.filling
        if failures := filling.event_triggers():
            raise failed_restore(plan, filling, failures, None)
        apply_definition(session, plan, keep=True)
    plan.report.update(Step(Phase.NAMING))
    replaces = plan.replaced is not None
    ended = put_in_place(
        plan.databases,
        plan.names,
        definition.comment,
        swap=replaces,
        terminate=options.terminate,
        warn=plan.report.warn,
    )
    plan.report.update(Step(Phase.NAMED))
    return NamedDatabase(compared, plan.names.before if replaces else None, ended)
