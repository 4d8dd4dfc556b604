r"""Read one settings file as python-dotenv does, with line numbers and every fault.

python-dotenv's own rules, tried out on 1.2 and kept by tests:

- ``KEY='…'`` is literal but for ``\'`` and ``\\``; ``KEY="…"`` knows ``\n``, ``\t``, ``\"`` and
  the like; both may run over several lines, and only a comment may follow the closing quote.
- ``KEY=…`` without quotes is literal to the end of the line: ``#`` begins a comment only after
  white space, quotes and backslashes inside stay, white space at the end goes.
- ``$`` and ``$NAME`` are literal everywhere. ``${NAME}`` and ``${NAME:-default}`` are replaced
  everywhere, *even between single quotes*, by a value from further up in the same file, else from
  the environment, else by nothing. Where ``${`` itself is meant, write ``${:-$}{``.

So a password with ``#``, ``$``, spaces, backslashes or double quotes goes between single quotes.
``dotenv.dotenv_values`` itself is not called: it gives no lines, writes what it cannot parse to
standard error, and replaces from ``os.environ`` where we are given an environment.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables

from pgvow.errors import AccessDenied, Problem
from pgvow.settings.variables import KNOWN
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dotenv.parser import Binding

_EXAMPLE = "KEY='value'  # comment"
_KEY = re.compile(r"\s*(?:export\s+)?(\w+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable in a file; ``hollow`` if it refers to a variable that is not set.

    ``mixed`` if it is more than one reference and nothing else.
    """

    value: str = field(repr=False)
    line: int
    interpolated: bool = False
    hollow: bool = False
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What one file holds, and what in it could not be read."""

    name: str
    entries: Mapping[str, Entry]
    problems: tuple[Problem, ...] = ()


def read(path: Path, environ: Mapping[str, str]) -> EnvFile:
    """Read a file; a missing one, or a folder of that name (a virtualenv, say), is empty.

    Raises AccessDenied where it may not be read; anything else wrong is among its problems.
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
    return parse(name, text, environ)


def parse(name: str, text: str, environ: Mapping[str, str]) -> EnvFile:
    """Parse a file's text; of a variable that stands there twice, the last one counts."""
    entries: dict[str, Entry] = {}
    bare: dict[str, int] = {}
    problems: list[Problem] = []
    for binding in _bindings(text):
        if binding.error:
            problems.append(_unreadable(name, binding))
        elif binding.key is not None and binding.value is not None:
            entries[binding.key] = _interpolate(binding, binding.value, entries, environ)
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
    where = f"{name} line {_line(binding)}"
    complaint = (
        "this line cannot be read: a quote is not closed, or something other than a comment"
        " follows the closing quote, or there is no = after the name"
    )
    # The line may hold a password, or its second half: only names known to be names are shown.
    key = _KEY.match(binding.original.string)
    if key and key[1] in KNOWN:
        return Problem(key[1], where, complaint, _EXAMPLE)
    return Problem(where, None, complaint, _EXAMPLE)


def _interpolate(
    binding: Binding, value: str, entries: Mapping[str, Entry], environ: Mapping[str, str]
) -> Entry:
    known = {**environ, **{key: entry.value for key, entry in entries.items()}}
    atoms = list(parse_variables(value))
    references = [atom for atom in atoms if isinstance(atom, Variable)]
    return Entry(
        value="".join(atom.resolve(known) for atom in atoms),
        line=_line(binding),
        interpolated=bool(references),
        hollow=any(ref.default is None and ref.name not in known for ref in references),
        mixed=any(ref.name for ref in references) and len(atoms) > 1,
    )
