r"""Read ``.env.local`` and ``.env`` as python-dotenv does, with line numbers and every fault.

python-dotenv's own rules, tried out on 1.2 and kept by tests:

- ``KEY='…'`` is literal but for ``\'`` and ``\\``; ``KEY="…"`` knows ``\n``, ``\t``, ``\"`` and
  the like; both may run over several lines, and only a comment may follow the closing quote.
- ``KEY=…`` without quotes is literal to the end of the line: ``#`` begins a comment only after
  white space, quotes and backslashes inside stay, white space at the end goes.
- ``$`` and ``$NAME`` are literal everywhere. ``${NAME}`` and ``${NAME:-default}`` are replaced
  everywhere, *even between single quotes*, by a value from further up in the same file, else from
  the environment, else by nothing. For ``${`` itself, write ``${:-$}{``.

So a password with ``#``, ``$``, spaces, backslashes or double quotes goes between single quotes.
``dotenv.dotenv_values`` itself is not called: it gives no lines, writes lines that it cannot
parse to standard error, and replaces from ``os.environ``, not from the environment of the caller.
"""

from __future__ import annotations

import io
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables

from pgvow.errors import AccessDenied, Problem
from pgvow.settings.variables import KNOWN, SECRET_VARIABLES
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dotenv.parser import Binding

ENVIRONMENT = "the environment"
FILES = (".env.local", ".env")

_SHOWN = 60
_PASSWORD_IN_URL = re.compile(r"^postgres(?:ql)?://[^/@]*:[^/@]+@|[?&]password=[^&]")
_EXAMPLE = "KEY='value'  # comment"
_KEY = re.compile(r"\s*(?:export\s+)?(\w+)")


@dataclass(frozen=True, slots=True)
class VariableValue:
    """The value of a variable, and its place: ``the environment``, or ``.env.local line 3``.

    ``interpolated`` if a ``${…}`` was replaced in it, ``hollow`` if by nothing, for that variable
    is not set; ``mixed`` if there is more in it than one reference.
    """

    value: str = field(repr=False)
    source: str
    interpolated: bool = False
    hollow: bool = False
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables of one file, and the problems with lines that cannot be read."""

    name: str
    entries: Mapping[str, VariableValue]
    problems: tuple[Problem, ...] = ()


def read_env_file(path: Path, environ: Mapping[str, str]) -> EnvFile:
    """Read a file; a missing one, or a folder of that name (a virtualenv, say), is empty.

    Raises AccessDenied if it may not be read; anything else wrong is among its problems.
    """
    try:
        content = read_small(path)
    except (FileNotFoundError, IsADirectoryError):
        return EnvFile(path.name, {})
    except PermissionError as error:
        raise AccessDenied(
            f"{path} cannot be read: {error.strerror}",
            facts={"File": str(path)},
            steps=[
                f"Look at its owner and mode: ls -l {path}",
                "Let the user that makes backups read it, and nobody else: chmod 600, chown",
            ],
        ) from error
    except OSError as error:
        problem = Problem(path.name, None, f"cannot be read: {error.strerror}")
        return EnvFile(path.name, {}, (problem,))
    return _decode(path.name, content, environ)


def _decode(name: str, content: bytes, environ: Mapping[str, str]) -> EnvFile:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        complaint = "is not UTF-8 text; save the file as UTF-8 (not UTF-16 or Latin-1)"
        return EnvFile(name, {}, (Problem(f"{name} line {line}", None, complaint),))
    return parse_env_file(name, text, environ)


def parse_env_file(name: str, text: str, environ: Mapping[str, str]) -> EnvFile:
    """Parse a file's text; the last assignment of a variable counts."""
    entries: dict[str, VariableValue] = {}
    bare: dict[str, int] = {}
    problems: list[Problem] = []
    for binding in _bindings(text):
        if binding.error:
            problems.append(_unreadable(name, binding))
        elif binding.key is not None and binding.value is not None:
            entries[binding.key] = _interpolate(name, binding, entries, environ)
        elif binding.key in KNOWN:
            bare[binding.key] = _line(binding)
    # `export DB_NAME` below `DB_NAME=…` serves shells that source the file, and takes nothing away.
    problems += (
        Problem(key, f"{name} line {line}", "stands there without = and a value", f"{key}=value")
        for key, line in bare.items()
        if key not in entries
    )
    return EnvFile(name, entries, tuple(problems))


def _bindings(text: str) -> Iterator[Binding]:
    # newline=None makes \n of \r\n and \r, as opening the file as text does.
    return parse_stream(io.StringIO(text, newline=None))


def _line(binding: Binding) -> int:
    """Count from the first character of the statement: python-dotenv counts blank lines to it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + blank.count("\n")


def _unreadable(name: str, binding: Binding) -> Problem:
    place = f"{name} line {_line(binding)}"
    complaint = (
        "this line cannot be read: a quote is not closed, or something other than a comment"
        " follows the closing quote, or there is no = after the name"
    )
    # The line may hold a password, or its second half: only names known to be names are shown.
    key = _KEY.match(binding.original.string)
    if key and key[1] in KNOWN:
        return Problem(key[1], place, complaint, _EXAMPLE)
    return Problem(place, None, complaint, _EXAMPLE)


def _interpolate(
    file: str, binding: Binding, entries: Mapping[str, VariableValue], environ: Mapping[str, str]
) -> VariableValue:
    known = {**environ, **{key: entry.value for key, entry in entries.items()}}
    atoms = list(parse_variables(binding.value or ""))
    references = [atom for atom in atoms if isinstance(atom, Variable)]
    return VariableValue(
        value="".join(atom.resolve(known) for atom in atoms),
        source=f"{file} line {_line(binding)}",
        interpolated=bool(references),
        hollow=any(ref.default is None and ref.name not in known for ref in references),
        mixed=any(ref.name for ref in references) and len(atoms) > 1,
    )


class Variables:
    """The variables of a run, from the environment, ``.env.local`` and ``.env``, in this order."""

    def __init__(self, environ: Mapping[str, str], files: Sequence[EnvFile] = ()) -> None:
        self._environ = environ
        self._files = files

    @classmethod
    def read(cls, *, environ: Mapping[str, str], directory: Path) -> Variables:
        """Read both files of a directory; raises AccessDenied if one may not be read."""
        return cls(environ, [read_env_file(directory / name, environ) for name in FILES])

    @property
    def problems(self) -> list[Problem]:
        """The problems with the files."""
        return [problem for file in self._files for problem in file.problems]

    def get(self, name: str) -> VariableValue | None:
        """Look a variable up; present counts, even if its value is empty."""
        if name in self._environ:
            return VariableValue(self._environ[name], ENVIRONMENT)
        return self.from_files(name)

    def from_files(self, name: str) -> VariableValue | None:
        """Look a variable up in the files alone."""
        return next((file.entries[name] for file in self._files if name in file.entries), None)

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each variable that a file sets, with its place."""
        for file in self._files:
            yield from ((name, entry.source) for name, entry in file.entries.items())

    def file_has_secret(self, file_name: str, passwords: Collection[str]) -> bool:
        """Return whether a file sets one of the passwords, or a URL with one in it."""
        return self.file_has_password(file_name, passwords) or any(
            _PASSWORD_IN_URL.search(entry.value) for entry in self._file(file_name).values()
        )

    def file_has_password(self, file_name: str, passwords: Collection[str]) -> bool:
        """Return whether a file sets one of the passwords."""
        entries = self._file(file_name)
        return any(name in passwords and entry.value for name, entry in entries.items())

    def _file(self, name: str) -> Mapping[str, VariableValue]:
        return next((file.entries for file in self._files if file.name == name), {})

    def only_in_files(self, names: Iterable[str]) -> dict[str, VariableValue]:
        """Return those of the variables that a file sets and the environment does not."""
        values = {name: self.from_files(name) for name in names if name not in self._environ}
        return {name: value for name, value in values.items() if value is not None}

    def quote(self, value: VariableValue) -> str:
        """Quote a value for a message; not if it may hold a secret.

        That is a URL in the wrong place, or a password that a ``${…}`` brought along.
        """
        if self._may_be_secret(value):
            return "its value"
        return repr(value.value if len(value.value) <= _SHOWN else f"{value.value[:_SHOWN]}…")

    def _may_be_secret(self, value: VariableValue) -> bool:
        if "://" in value.value or "@" in value.value:
            return True
        # Only then: a password of "dev" must not hide a mistyped "devel".
        return value.interpolated and any(secret in value.value for secret in self._secrets())

    def _secrets(self) -> set[str]:
        maps = [self._environ, *({k: e.value for k, e in f.entries.items()} for f in self._files)]
        return {m[name] for m in maps for name in SECRET_VARIABLES if m.get(name)}


def readable_by_others(path: Path) -> bool:
    """Return whether users beside owner and group may read a file; False if there is none."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IROTH)
