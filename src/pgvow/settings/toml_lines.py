"""On which line of a TOML file each key stands, which tomllib does not say."""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Map the path of every table and key to its line, from 1; ``text`` must be valid TOML.

    Elements of an array of tables have their number in the path. What an inline table or an array
    holds stands on the line where the statement around it begins.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    counts: Counter[Path] = Counter()
    for number, statement in _statements(text):
        parsed = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(parsed, counts)
            found.setdefault(table, number)
            continue
        for path in _paths(parsed):
            found.setdefault((*table, *path), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Cut into statements: each is as many lines as it takes to be valid by itself."""
    pending, start = "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start if pending else number
        pending += line + "\n"
        try:
            tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        yield start, pending
        pending = ""


def _header(parsed: Mapping[str, Any], counts: Counter[Path]) -> Path:
    """The path of ``[a.b]`` or ``[[a.b]]``; tables inside an array's element get its number."""
    path: Path = ()
    value: Any = parsed
    while isinstance(value, dict) and value:
        (name, value), *_ = value.items()
        path = (*path, name)
        if isinstance(value, list):
            counts[path] += 1
            return (*path, counts[path] - 1)
        if counts[path]:
            path = (*path, counts[path] - 1)
    return path


def _paths(parsed: Mapping[str, Any]) -> Iterator[Path]:
    for name, value in parsed.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *path) for path in _paths(value))
        if isinstance(value, list):
            yield from _elements(name, value)


def _elements(name: str, values: list[Any]) -> Iterator[Path]:
    for number, value in enumerate(values):
        yield (name, number)
        if isinstance(value, dict):
            yield from ((name, number, *path) for path in _paths(value))
