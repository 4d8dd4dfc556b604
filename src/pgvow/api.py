"""pgvow from Python: each function is one recorded run of the operation of that name.

``import pgvow`` offers them: ``context = pgvow.open_context()``, then ``pgvow.backup(context)``. As
on a command line a run has its line in the history, its hooks, notifications and metrics, and the
errors of ``pgvow.errors`` are raised.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import DEFAULT_DIRECTORY, settings
from pgvow.engine import DumpOptions, is_parallel
from pgvow.model import Compress
from pgvow.operations.backup import BackupOptions
from pgvow.operations.context import Context
from pgvow.operations.list import ListOptions, list_backups
from pgvow.operations.prove import ProveOptions
from pgvow.operations.recorded import Recording, recorded
from pgvow.operations.recorded.operations import back_up, prove_file, restore_file, verify_file
from pgvow.operations.restore import RestoreOptions
from pgvow.operations.verify import VerifyOptions
from pgvow.postgres.watchdog import Patience
from pgvow.progress import Reporter
from pgvow.runs import Operation
from pgvow.settings.values import AUTO, usable_cores
from pgvow.store import StoredBackup
from pgvow.store.backups import directories

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgvow.model import Backup
    from pgvow.operations.backup import BackupResult
    from pgvow.operations.prove import ProofResult
    from pgvow.operations.recorded import RecordedRun
    from pgvow.operations.restore import RestoreResult
    from pgvow.operations.verify.verification import Verification
    from pgvow.progress import Progress
    from pgvow.settings import BackupSection

__all__ = [
    "BackupOptions",
    "Context",
    "ProveOptions",
    "RestoreOptions",
    "backup",
    "backup_options",
    "list",
    "open_context",
    "prove",
    "restore",
    "verify",
]


def open_context(
    directory: Path | str = ".",
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Context:
    """Read the settings file of a directory, and make the context of a run.

    ``config`` is another settings file, ``environ`` other environment variables than those of this
    process. ``progress`` receives steps and warnings. A context is for one run: its reporter keeps
    the warnings. Raises ConfigurationError and AccessDenied.
    """
    directory = Path(directory)
    environ = os.environ if environ is None else environ
    loaded = settings.load_configuration(path=config, environ=environ, directory=directory)
    return Context(loaded.configuration, environ, directory, reporter=Reporter(progress))


def backup_options(context: Context, environment: str | None = None) -> BackupOptions:
    """Return the options of a backup as the settings have them; ``replace`` changes them."""
    section = context.configuration.backup_of(environment)
    jobs = usable_cores() if section.jobs == AUTO else int(section.jobs)
    return BackupOptions(
        output_dir=_output_dir(context, environment),
        space_factor=section.space_factor,
        lock_wait_timeout=section.lock_wait_timeout,
        with_globals=section.globals,
        inspect=section.inspect,
        dump=DumpOptions(
            parallel=is_parallel(section.engine, jobs),
            jobs=jobs,
            compress=section.compress or Compress(),
            selection=section.selection,
            statistics=section.statistics,
        ),
    )


def backup(
    context: Context, env: str = AUTO, *, options: BackupOptions | None = None
) -> BackupResult:
    """Make a backup of an environment's database, and return it; raises the errors of a backup."""
    loaded = context.load_settings(env)
    options = options or backup_options(context, loaded.environment)
    patience = _patience(context.configuration.backup_of(loaded.environment))
    with _run(context, Operation.BACKUP, options.output_dir, loaded.environment) as run:
        return back_up(context, run, loaded, options, patience).result


def list(context: Context, env: str = AUTO) -> Sequence[Backup]:  # noqa: A001 - as the command
    """List the backups of all directories that the settings name, newest first.

    ``env`` other than ``auto`` lists those of an environment alone. Raises AccessDenied and
    PgvowError.
    """
    environment = settings.named_environment(env, context.configuration.environments)
    first = _output_dir(context, environment)
    places = [first] if environment else directories(context.configuration, first)
    return list_backups(places, ListOptions(environment), context)


def verify(context: Context, dump: Path | str, *, deep: bool = False) -> Verification:
    """Verify one backup by the path of its dump; see ``passed`` of what is returned.

    ``deep`` decodes every byte. Raises NoVerdict if a check could not be made.
    """
    options = VerifyOptions(context.load_pg_bin(), deep=deep)
    with _run(context, Operation.VERIFY, _place(context, dump)) as run:
        return verify_file(context, run, Path(dump), options, _patience(_backup(context)))


def prove(
    context: Context, dump: Path | str, *, on: str | None = None, jobs: int | None = None
) -> ProofResult:
    """Restore a backup on a throw-away server, or ``on`` another, and compare; see ``proven``.

    ``on`` is a connection string of libpq. Raises CannotBeProven, and the errors of a restore.
    """
    options = ProveOptions(on=on, jobs=jobs, pg_bin=context.load_pg_bin())
    with _run(context, Operation.PROVE, _place(context, dump)) as run:
        return prove_file(context, run, Path(dump), options, _patience(_backup(context)))


def restore(
    context: Context,
    dump: Path | str,
    to: str,
    env: str = AUTO,
    *,
    options: RestoreOptions | None = None,
) -> RestoreResult:
    """Restore a backup into a database ``to`` that does not exist yet, on an environment's server.

    ``comparison`` of what is returned is None if it could not be compared there. Raises
    RestoreFailed, and the errors of the connection.
    """
    loaded = context.load_settings(env)
    options = replace(options, database=to) if options else RestoreOptions(to)
    patience = _patience(context.configuration.backup_of(loaded.environment))
    with _run(context, Operation.RESTORE, _place(context, dump), loaded.environment) as run:
        return restore_file(context, run, loaded, Path(dump), options, patience)


@contextmanager
def _run(
    context: Context, operation: Operation, directory: Path, environment: str | None = None
) -> Iterator[RecordedRun]:
    metrics = context.configuration.metrics_file
    recording = Recording(operation, directory, environment, metrics_file=metrics)
    with recorded(context, recording) as run:
        yield run


def _place(context: Context, dump: Path | str) -> Path:
    """Return the directory of the record: that of the dump, unless it is none of ours."""
    path = Path(dump)
    return _output_dir(context, None) if StoredBackup.at(path).is_foreign else path.parent


def _output_dir(context: Context, environment: str | None) -> Path:
    place = context.configuration.output_dir_of(environment)
    return place or context.directory / DEFAULT_DIRECTORY


def _backup(context: Context) -> BackupSection:
    return context.configuration.backup_of(None)


def _patience(section: BackupSection) -> Patience:
    limit = section.run_timeout
    run = None if limit is None else limit.total_seconds()
    return Patience(stall=section.stall_timeout.total_seconds(), run=run)
