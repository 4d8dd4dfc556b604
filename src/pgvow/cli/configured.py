"""Options that were not typed come from ``pgvow.toml``, or are the defaults."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import settings
from pgvow.cli.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.settings import Configuration
    from pgvow.settings.configuration import BackupSection

_DETECTING = ("backup", "doctor", "restore")
"""The commands that choose one environment by themselves where none is named."""
_WATCHED = ("backup", "verify", "prove", "restore")
"""The commands that end if a server or a tool is silent."""
_SAME = (
    "engine",
    "compress",
    "space_factor",
    "lock_wait_timeout",
    "run_timeout",
    "schema",
    "exclude_schema",
    "table",
    "exclude_table",
    "exclude_table_data",
)


def filled_in(arguments: argparse.Namespace, configuration: Configuration) -> argparse.Namespace:
    """Return the arguments with the options that were not typed as the settings file has them.

    Raises ConfigurationError and AccessDenied.
    """
    if configuration.path is None:
        return arguments
    values = dict(_values(arguments, configuration))
    values = {name: value for name, value in values.items() if name not in arguments.typed}
    return argparse.Namespace(**{**vars(arguments), **values})


def _values(
    arguments: argparse.Namespace, configuration: Configuration
) -> Iterator[tuple[str, Any]]:
    environment = _environment(arguments, configuration)
    directory = configuration.output_dir_of(environment)
    if directory is not None:
        yield "output_dir", directory
    if arguments.command in _WATCHED:
        yield "stall_timeout", configuration.backup_of(environment).stall_timeout
    if arguments.command == "backup":
        yield from _of_backup(configuration.backup_of(environment))


def _environment(arguments: argparse.Namespace, configuration: Configuration) -> str | None:
    if arguments.command in _DETECTING:
        sources = settings.Sources.read(environ=os.environ, directory=Path())
        known = configuration.environments
        return settings.detected_environment(arguments.env, sources, known)
    return settings.named_environment(arguments.env, configuration.environments)


def _of_backup(section: BackupSection) -> Iterator[tuple[str, Any]]:
    yield "jobs", usable_cores() if section.jobs == "auto" else section.jobs
    yield "no_inspect", not section.inspect
    yield "statistics", section.statistics
    yield "no_globals", not section.globals
    yield from ((name, getattr(section, name)) for name in _SAME)
