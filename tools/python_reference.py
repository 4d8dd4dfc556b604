"""Write docs/reference/python.md from signatures and docstrings: ``make reference``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/python.md"
_HEAD = """\
# Python API

Written by `make reference` from the code: change it there. How the functions go together:
[from Python](../python.md).
"""


def reference() -> str:
    """Make the page."""
    members = [(name, getattr(api, name)) for name in api.__all__]
    functions = [member for member in members if inspect.isfunction(member[1])]
    classes = [member for member in members if inspect.isclass(member[1])]
    parts = [_HEAD]
    parts += [part for name, member in functions for part in _function(name, member)]
    parts += [part for name, member in classes for part in _class(name, member)]
    return "\n".join(parts)


def _function(name: str, function: Callable[..., object]) -> Iterator[str]:
    signature = inspect.signature(function)
    yield f"## pgvow.{name}\n"
    yield f"```python\npgvow.{name}("
    yield from _parameters(signature.parameters.values())
    yield f") -> {signature.return_annotation}\n```\n"
    yield _text(function)


def _parameters(parameters: Iterable[inspect.Parameter]) -> Iterator[str]:
    """Yield a line for each; annotations are texts, as they stand in the source."""
    is_positional = True
    for parameter in parameters:
        if is_positional and parameter.kind is parameter.KEYWORD_ONLY:
            is_positional = False
            yield "    *,"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        yield f"    {parameter.name}: {parameter.annotation}{default},"


def _class(name: str, kind: type) -> Iterator[str]:
    yield f"## pgvow.{name}\n"
    yield _text(kind)
    if dataclasses.is_dataclass(kind):
        yield "| field | type | default |"
        yield "|---|---|---|"
        for field in dataclasses.fields(kind):
            if not field.name.startswith("_"):
                yield f"| `{field.name}` | `{_cell(field.type)}` | {_default(field)} |"
        yield ""


def _default(field: dataclasses.Field[object]) -> str:
    """Return a default as it is written: a factory and an object of ours by their names."""
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory.__name__}()`"
    if field.default is dataclasses.MISSING:
        return ""
    if dataclasses.is_dataclass(field.default):
        return f"`{type(field.default).__name__}()`"
    name = getattr(field.default, "__name__", None)
    return f"`{name or _cell(field.default)}`"


def _cell(value: object) -> str:
    return str(value).replace("|", r"\|")


def _text(member: object) -> str:
    """Return the docstring in Markdown: its code has two backticks."""
    return re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(member) or "") + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
