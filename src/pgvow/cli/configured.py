"""Options that were not typed come from ``pgvow.toml``, or are the defaults."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import settings
from pgvow.settings import BackupSection
from pgvow.settings.options import options_of
from pgvow.settings.values import AUTO, usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.settings import Configuration

_DETECTING = ("backup", "doctor", "restore")
"""The commands that choose one environment by themselves if none is named."""
_WATCHED = ("backup", "verify", "prove", "restore")
"""The commands that end if a server or a tool is silent."""


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
        variables = settings.Variables.read(environ=os.environ, directory=Path())
        known = configuration.environments
        return settings.detected_environment(arguments.env, variables, known)
    return settings.named_environment(arguments.env, configuration.environments)


def _of_backup(section: BackupSection) -> Iterator[tuple[str, Any]]:
    for option in options_of(BackupSection).values():
        value = getattr(section, option.name)
        if option.is_negated:
            value = not value
        yield option.typed_name, usable_cores() if value == AUTO else value
