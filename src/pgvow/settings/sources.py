"""Where a variable's value comes from: the environment, ``.env.local``, ``.env``, in this order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.settings import dotenv_file
from pgvow.settings.masking import SECRET_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pgvow.errors import Problem
    from pgvow.settings.dotenv_file import EnvFile

ENVIRONMENT = "the environment"
FILES = (".env.local", ".env")

_SHOWN = 60
_PASSWORD_IN_URL = re.compile(r"^postgres(?:ql)?://[^/@]*:[^/@]+@|[?&]password=[^&]")


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value and where it stands: ``the environment``, or ``.env.local line 3``.

    ``interpolated`` if a ``${…}`` was replaced in it, ``hollow`` if one by nothing,
    ``mixed`` if there is more in it than one reference.
    """

    value: str = field(repr=False)
    source: str
    interpolated: bool = False
    hollow: bool = False
    mixed: bool = False


class Sources:
    """All variables of one run, key by key: a later source counts where no earlier one has it."""

    def __init__(self, environ: Mapping[str, str], files: Sequence[EnvFile] = ()) -> None:
        self._environ = environ
        self._files = files

    @classmethod
    def read(cls, *, environ: Mapping[str, str], directory: Path) -> Sources:
        """Read both files of a directory; raises AccessDenied where one may not be read."""
        return cls(environ, [dotenv_file.read(directory / name, environ) for name in FILES])

    @property
    def problems(self) -> list[Problem]:
        """What could not be read in the files."""
        return [problem for file in self._files for problem in file.problems]

    def get(self, name: str) -> Sourced | None:
        """Look a variable up; present counts, even if its value is empty."""
        if name in self._environ:
            return Sourced(self._environ[name], ENVIRONMENT)
        return self.from_files(name)

    def from_files(self, name: str) -> Sourced | None:
        """Look a variable up in the files alone."""
        for file in self._files:
            if entry := file.entries.get(name):
                source = f"{file.name} line {entry.line}"
                return Sourced(entry.value, source, entry.interpolated, entry.hollow, entry.mixed)
        return None

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each variable that a file sets, with its place."""
        for file in self._files:
            for name, entry in file.entries.items():
                yield name, f"{file.name} line {entry.line}"

    def file_has_secret(self, file_name: str, passwords: Iterable[str]) -> bool:
        """Return whether a file sets one of the passwords, or a URL with one in it."""
        entries = [file.entries for file in self._files if file.name == file_name]
        return any(
            (entry.value and name in set(passwords)) or _PASSWORD_IN_URL.search(entry.value)
            for found in entries
            for name, entry in found.items()
        )

    def only_in_files(self, names: Iterable[str]) -> dict[str, Sourced]:
        """Those of the variables that a file sets and the environment does not."""
        found = {name: self.from_files(name) for name in names if name not in self._environ}
        return {name: sourced for name, sourced in found.items() if sourced is not None}

    def quote(self, sourced: Sourced) -> str:
        """Quote a value for a message; not if it may hold a secret.

        That is a URL in the wrong place, or a password that a ``${…}`` brought along.
        """
        if self._may_be_secret(sourced):
            return "its value"
        return repr(sourced.value if len(sourced.value) <= _SHOWN else f"{sourced.value[:_SHOWN]}…")

    def _may_be_secret(self, sourced: Sourced) -> bool:
        if "://" in sourced.value or "@" in sourced.value:
            return True
        # Only then: a password of "dev" must not hide the "devel" that somebody mistyped.
        return sourced.interpolated and any(part in sourced.value for part in self._secrets())

    def _secrets(self) -> set[str]:
        maps = [self._environ, *({k: e.value for k, e in f.entries.items()} for f in self._files)]
        return {m[name] for m in maps for name in SECRET_VARIABLES if m.get(name)}
