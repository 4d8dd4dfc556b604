"""A recorded backup, and the pruning after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import BackupFailed
from pgvow.operations.backup import make_backup
from pgvow.operations.recorded import patient
from pgvow.operations.recorded.prune import prune_after

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
    return BackedUp(result, prune_after(context, run, options.output_dir, settings.environment))
