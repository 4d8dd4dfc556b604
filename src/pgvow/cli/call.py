"""One call of a command: its arguments, complete, and the context of its operation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import settings
from pgvow.cli.configured import filled_in
from pgvow.cli.console import TerminalProgress, print_warning
from pgvow.errors import PgvowError
from pgvow.operations.context import Context
from pgvow.progress import Reporter
from pgvow.store.places import directories

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Call:
    """A command as it was typed and configured; ``arguments`` have every option.

    ``origins`` maps keys of the settings file to their lines. ``unreadable`` is the error of a
    settings file that a tolerant command goes on without.
    """

    arguments: argparse.Namespace
    context: Context
    terminal: TerminalProgress
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
        return settings.load(
            env=self.arguments.env,
            environ=self.context.environ,
            directory=self.context.directory,
            environments=self.context.configuration.environments,
        )

    def load_pg_bin(self) -> Path | None:
        """Load the directory of PostgreSQL's programs, if one is set; raises ConfigurationError."""
        return settings.load_pg_bin(environ=self.context.environ, directory=self.context.directory)


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
            raise
        loaded, unreadable = settings.LoadedConfiguration(settings.Configuration()), error
    try:
        arguments = filled_in(arguments, loaded.configuration)
    except PgvowError:  # .env cannot be read, which a tolerant command reports itself
        if not tolerant:
            raise
    terminal = TerminalProgress(quiet=arguments.quiet)
    context = Context(
        configuration=loaded.configuration,
        environ=environ,
        directory=directory,
        reporter=Reporter(terminal, insist=print_warning),
    )
    return Call(arguments, context, terminal, loaded.origins, unreadable)
