"""Fill in the options that were not typed, from ``pgvow.toml`` or else by their defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import settings
from pgvow.errors import PgvowError
from pgvow.settings import BackupSection
from pgvow.settings.options import options_of
from pgvow.settings.values import AUTO, usable_cores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pgvow.settings import Configuration

_DETECTING = ("backup", "doctor", "restore")
"""The commands that choose one environment by themselves if none is named."""
_WATCHED = ("backup", "verify", "prove", "restore")
"""The commands that end if a server or a tool is silent."""


def configure(arguments: argparse.Namespace) -> None:
    """Read the settings file, and fill in the options that were not typed.

    Adds ``configuration`` and ``origins``. Raises ConfigurationError and AccessDenied; not for
    ``doctor``, which is run because something is wrong: it has the error as ``unreadable``.
    """
    arguments.unreadable = None
    try:
        _configure(arguments)
    except PgvowError as error:
        if arguments.command != "doctor":
            raise
        if "configuration" not in arguments:  # else it is .env that cannot be read
            arguments.configuration, arguments.origins = settings.Configuration(), {}
            arguments.unreadable = error


def _configure(arguments: argparse.Namespace) -> None:
    loaded = settings.load_configuration(
        path=arguments.config, environ=os.environ, directory=Path()
    )
    arguments.configuration, arguments.origins = loaded.configuration, loaded.origins
    if loaded.configuration.path is None:
        return
    for name, value in _values(arguments, loaded.configuration):
        if name not in arguments.typed:
            setattr(arguments, name, value)


def environment_of(arguments: argparse.Namespace) -> str | None:
    """Return the short name of the typed environment, or None; raises ConfigurationError."""
    return settings.named_environment(arguments.env, arguments.configuration.environments)


def directories_of(arguments: argparse.Namespace) -> list[Path]:
    """List the directories to look into: the typed one, that of the typed environment, or all."""
    if "output_dir" in arguments.typed or environment_of(arguments) is not None:
        return [arguments.output_dir]
    from pgvow.store.places import directories  # noqa: PLC0415 - --help loads no libraries

    return directories(arguments.configuration, arguments.output_dir)


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
        environments = configuration.environments
        return settings.detected_environment(arguments.env, variables, environments)
    return environment_of(arguments)


def _of_backup(section: BackupSection) -> Iterator[tuple[str, Any]]:
    for option in options_of(BackupSection).values():
        value = getattr(section, option.name)
        if option.is_negated:
            value = not value
        yield option.typed_name, usable_cores() if value == AUTO else value
