"""Settings files in a folder of the test's own, loaded with an environment of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConfigurationError
from pgvow.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path


class SettingsFolder:
    """A folder with ``.env.local`` and ``.env``, and an environment that is not the process's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}

    def local(self, text: str) -> SettingsFolder:
        """Write ``.env.local``."""
        return self._write(".env.local", text)

    def shared(self, text: str) -> SettingsFolder:
        """Write ``.env``."""
        return self._write(".env", text)

    def _write(self, name: str, text: str) -> SettingsFolder:
        """Write one file, for its owner only: others reading a password earns a warning."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return self

    def exported(self, **variables: str) -> SettingsFolder:
        """Set variables in the environment."""
        self.environ.update(variables)
        return self

    def load(self, env: str = "auto") -> Settings:
        """Load; raises as ``load`` does."""
        return load(env=env, environ=self.environ, directory=self.folder)

    def refused(self, env: str = "auto") -> ConfigurationError:
        """Load invalid settings, and return the error."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(env)
        return caught.value

    def complaints(self, env: str = "auto") -> list[str]:
        """Load invalid settings, and return the problems, without their examples."""
        problems = self.refused(env).problems
        return [
            f"{problem.variable} ({problem.source}): {problem.complaint}" for problem in problems
        ]
