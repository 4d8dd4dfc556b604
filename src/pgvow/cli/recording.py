"""How a run is recorded, and how long it may take, by the options of a command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import settings
from pgvow.errors import PgvowError
from pgvow.operations.choose_backup import may_exist
from pgvow.operations.context import Context
from pgvow.operations.recorded import Recording, recorded
from pgvow.operations.recorded.side_effects import LogFile
from pgvow.postgres.watchdog import Patience
from pgvow.runs import Operation
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.call import Call


def recording_of(call: Call, operation: Operation) -> Recording:
    """Return how the call is recorded: beside the file that it names, or in its directory."""
    arguments = call.arguments
    environment = None
    with suppress(PgvowError):  # a name that is wrong fails the run, and not its record
        environment = call.environment
    return Recording(
        operation=operation,
        directory=_directory(call),
        environment=environment,
        metrics_file=arguments.metrics_file or call.context.configuration.metrics_file,
        log=_log_file(arguments),
        is_quiet=arguments.quiet,
        by_hand=sys.stdin.isatty(),
    )


def record_refusal(arguments: argparse.Namespace, error: PgvowError) -> None:
    """Record that a command failed because the settings file cannot be used.

    The record goes to the directory that was typed, or to the default one: the file that may name
    another cannot be read. A directory that is not there is not made.
    """
    directory = arguments.output_dir
    if not directory.is_dir():
        return
    configuration = settings.Configuration()
    environment = None
    with suppress(PgvowError):
        environment = settings.named_environment(arguments.env, configuration.environments)
    recording = Recording(
        operation=Operation(arguments.command),
        directory=directory,
        environment=environment,
        log=_log_file(arguments),
        by_hand=sys.stdin.isatty(),
    )
    with suppress(PgvowError), recorded(Context(configuration, os.environ), recording):
        raise error


def _log_file(arguments: argparse.Namespace) -> LogFile | None:
    log = arguments.log_file
    return None if log is None else LogFile(log, as_json=arguments.log_format == "json")


def _directory(call: Call) -> Path:
    """Return the directory of the file that was named by its path, else that of the backups.

    Nothing is written beside a file that is none of ours.
    """
    typed = call.arguments.file
    is_path = typed is not None and may_exist(typed) and not StoredBackup.at(Path(typed)).is_foreign
    return Path(typed).parent if is_path else call.output_dir


def patience_of(call: Call) -> Patience:
    """Return how long the call waits for a server or a tool, and for its own end."""
    limit = call.arguments.run_timeout
    return Patience(
        stall=call.arguments.stall_timeout.total_seconds(),
        run=None if limit is None else limit.total_seconds(),
    )
