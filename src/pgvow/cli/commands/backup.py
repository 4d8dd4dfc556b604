"""``pgvow backup``: make a backup."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import settings
from pgvow.cli import options
from pgvow.cli.commands.prune import prune_after_backup
from pgvow.cli.options import is_parallel, selection
from pgvow.cli.patience import patient
from pgvow.cli.printing import print_result
from pgvow.cli.progress import TerminalProgress
from pgvow.errors import BackupFailed

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser


def add_backup(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    backup = commands.add_parser("backup", help="make a backup", description="Make a backup.")
    for add in (
        options.add_env,
        options.add_output_dir,
        options.add_backup,
        options.add_engine,
        options.add_patience,
        options.add_report,
        options.add_record,
    ):
        add(backup)


def backup(arguments: argparse.Namespace) -> int:
    """Make a backup."""
    from pgvow.model import Compress  # noqa: PLC0415
    from pgvow.operations.backup import BackupOptions, make_backup  # noqa: PLC0415
    from pgvow.operations.backup.dumping import DumpOptions  # noqa: PLC0415

    chosen = settings.load(
        env=arguments.env,
        environ=os.environ,
        directory=Path(),
        environments=arguments.configuration.environments,
    )
    options = BackupOptions(
        output_dir=arguments.output_dir,
        space_factor=arguments.space_factor,
        lock_wait_timeout=arguments.lock_wait_timeout,
        with_globals=not arguments.no_globals,
        inspect=not arguments.no_inspect,
        dump=DumpOptions(
            parallel=is_parallel(arguments),
            jobs=arguments.jobs,
            compress=arguments.compress or Compress(),
            selection=selection(arguments),
            statistics=arguments.statistics,
        ),
    )
    watch = arguments.watch
    watch.found(
        environment=chosen.environment,
        database=chosen.connection.dbname,
        selection=options.dump.selection,
    )
    watch.before()
    with (
        TerminalProgress(quiet=arguments.quiet) as progress,
        patient(arguments, progress, BackupFailed) as timed,
    ):
        result = make_backup(chosen, options, environ=os.environ, progress=timed)
    watch.about(result.backup.path, result.metadata, result.backup.level)
    pruned = prune_after_backup(arguments, chosen.environment)
    if arguments.quiet and not arguments.json:
        return 0  # what draws text is slow to load
    from rich.console import Group  # noqa: PLC0415

    from pgvow.cli.render.backup import backup_object, backup_text  # noqa: PLC0415
    from pgvow.cli.render.prune import outcome_object, outcome_text  # noqa: PLC0415

    print_result(
        arguments,
        lambda: {**backup_object(result), **outcome_object(pruned)},
        lambda: Group(backup_text(result), *outcome_text(pruned)),
    )
    return 0
