"""One call of a command: its arguments, complete, and the context of its operation."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow import settings
from pgvow.cli.console import JsonProgress, TerminalProgress, print_warning
from pgvow.errors import PgvowError
from pgvow.operations.context import Context
from pgvow.progress import Reporter
from pgvow.runs import Operation
from pgvow.settings import BackupSection
from pgvow.settings.declared_option import options_of
from pgvow.settings.values import AUTO, usable_cores
from pgvow.store.backups import directories

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings import Configuration


@dataclass(frozen=True, slots=True)
class Call:
    """A command as it was typed and configured; ``arguments`` have every option.

    ``origins`` maps keys of the settings file to their lines. ``unreadable`` is the error of a
    settings file that a tolerant command goes on without.
    """

    arguments: argparse.Namespace
    context: Context
    terminal: TerminalProgress | JsonProgress
    origins: Mapping[str, str]
    unreadable: PgvowError | None = None

    @property
    def environment(self) -> str | None:
        """The environment that was named: its short name, or None; raises ConfigurationError."""
        known = self.context.configuration.environments
        return settings.named_environment(self.arguments.env, known)

    @property
    def output_dir(self) -> Path:
        """The directory of the backups."""
        directory: Path = self.arguments.output_dir
        return directory

    @property
    def directories(self) -> list[Path]:
        """The directory that was typed, that of the environment that was named, or all of them."""
        if "output_dir" in self.arguments.typed or self.environment is not None:
            return [self.output_dir]
        return directories(self.context.configuration, self.output_dir)

    def load_settings(self) -> settings.Settings:
        """Load the settings of the environment; raises ConfigurationError, AccessDenied."""
        return self.context.load_settings(self.arguments.env)


def call_of(arguments: argparse.Namespace, *, tolerant: bool = False) -> Call:
    """Read the settings file, fill in the options that were not typed, and make the context.

    Raises ConfigurationError and AccessDenied unless ``tolerant``: then defaults take the place of
    a settings file that cannot be used.
    """
    environ, directory = os.environ, Path()
    unreadable = None
    try:
        loaded = settings.load_configuration(
            path=arguments.config, environ=environ, directory=directory
        )
    except PgvowError as error:
        if not tolerant:
            _record_refusal(arguments, error)
            raise
        loaded, unreadable = settings.LoadedConfiguration(settings.Configuration()), error
    try:
        arguments = filled_in(arguments, loaded.configuration)
    except PgvowError:  # .env cannot be read, which a tolerant command reports itself
        if not tolerant:
            raise
    how = arguments.progress
    as_json = how == "json"
    quiet, has_bar = arguments.quiet, how != "none"
    terminal = JsonProgress() if as_json else TerminalProgress(quiet=quiet, has_bar=has_bar)
    context = Context(
        configuration=loaded.configuration,
        environ=environ,
        directory=directory,
        reporter=Reporter(terminal, insist=terminal.warn if as_json else print_warning),
    )
    return Call(arguments, context, terminal, loaded.origins, unreadable)


def _record_refusal(arguments: argparse.Namespace, error: PgvowError) -> None:
    """Record that a command could not begin, if it is one that is recorded."""
    if arguments.command in list(Operation):
        # Loaded here, for this is much, and no other command needs it.
        recording = import_module("pgvow.cli.recording")
        recording.record_refusal(arguments, error)


_DETECTING = ("adopt", "backup", "doctor", "restore")
"""The commands that choose one environment by themselves if none is named."""
_WATCHED = ("backup", "verify", "prove", "restore", "compare")
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
    if arguments.command == "sheet":
        yield "format", configuration.recovery_sheet.format
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
