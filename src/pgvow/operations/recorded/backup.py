"""A recorded backup, and the pruning after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import BackupFailed, PgvowError
from pgvow.operations.backup import make_backup
from pgvow.operations.prune import PruneOptions, prune
from pgvow.operations.recorded import patient

if TYPE_CHECKING:
    from pgvow.operations.backup import BackupOptions, BackupResult
    from pgvow.operations.context import Context
    from pgvow.operations.prune import PruneResult
    from pgvow.operations.recorded import RecordedRun
    from pgvow.postgres.silence import Patience
    from pgvow.settings import Settings


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was made; ``pruned`` is None unless the settings prune after it."""

    result: BackupResult
    pruned: PruneResult | None


def back_up(
    context: Context,
    run: RecordedRun,
    settings: Settings,
    options: BackupOptions,
    patience: Patience,
) -> BackedUp:
    """Make a backup between its hooks, and prune after it; raises the errors of a backup."""
    run.note(
        environment=settings.environment,
        database=settings.connection.dbname,
        selection=options.dump.selection,
    )
    run.begin_work()
    with patient(context, patience, BackupFailed):
        result = make_backup(settings, options, context)
    run.note_backup(result.backup.path, result.metadata, result.backup.level)
    return BackedUp(result, _prune(context, run, options, settings.environment))


def _prune(
    context: Context, run: RecordedRun, options: BackupOptions, environment: str
) -> PruneResult | None:
    """Prune an environment's backups if the settings say so; any failure is a warning."""
    section = context.configuration.retention_of(environment)
    if not section.prune_after_backup:
        return None
    warn = context.reporter.insist
    if not section.rules:
        warn("prune_after_backup without any keep_… in [retention] prunes nothing")
        return None
    wanted = PruneOptions(options.output_dir, lambda _: section.rules, environment)
    try:
        result = prune(wanted, now=context.clock())
    except PgvowError as error:
        warn(f"nothing was pruned: {error.cause}")
        return None
    for left in result.left:
        warn(f"not pruned: {left.path.name}: {left.reason}")
    run.note(removed=len(result.removed), freed=result.freed_bytes)
    return result
