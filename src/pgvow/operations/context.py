"""The context of an operation: all that it needs and was not asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import settings
from pgvow.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgvow.settings import Configuration


def utc_now() -> datetime:
    """Return the time of this machine's clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """Made once, at the top of a command, a page or a scheduler, and handed down.

    ``environ`` are the environment variables. ``directory`` is where .env files are, and against
    which relative paths count. ``clock`` returns the time in UTC, aware; nothing else asks for it.
    ``reporter`` receives progress and warnings of one run: another run has another.
    """

    configuration: Configuration
    environ: Mapping[str, str]
    directory: Path = Path()
    clock: Callable[[], datetime] = utc_now
    reporter: Reporter = field(default_factory=Reporter)

    def load_settings(self, env: str) -> settings.Settings:
        """Load the settings of an environment; raises ConfigurationError, AccessDenied."""
        return settings.load(
            env=env,
            environ=self.environ,
            directory=self.directory,
            environments=self.configuration.environments,
        )

    def load_pg_bin(self) -> Path | None:
        """Load the directory of PostgreSQL's programs, if one is set; raises ConfigurationError."""
        return settings.load_pg_bin(environ=self.environ, directory=self.directory)

    def now(self) -> datetime:
        """Return the time to the second, as records have it."""
        return self.clock().replace(microsecond=0)
