"""Reports: any result as JSON or as text, on standard output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow.cli.console import discard, output
from pgvow.cli.words import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

# Characters that a terminal acts upon, that reorder the text around them, or that no encoding has:
# surrogates stand for the bytes of a file's name that is no text.
_ESCAPED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


SCHEMA_VERSION = 1
"""Of the schemas that ``pgvow schema`` prints; a new one has another meaning for a key."""


@dataclass
class Report:
    """How the result of a command is printed: as JSON, as text, or not at all if it is good."""

    as_json: bool
    quiet: bool
    command: str = ""
    as_lines: bool = False
    is_full: bool = True
    lost: OSError | None = None
    """Why the report could not be written: what was done is done."""

    def print(
        self,
        as_object: Callable[[], object],
        as_text: Callable[[], RenderableType],
        *,
        good: bool = True,
    ) -> None:
        """Print a result; an error of standard output is kept in ``lost``."""
        if self.as_json:
            self._write(print, self._document(as_object()))
        elif not (self.quiet and good):
            self._write(output().print, as_text())

    def _document(self, result: object) -> str:
        document = with_schema(plain(result), self.command)
        document = document if self.is_full else slim(document)
        if self.as_lines and isinstance(document, list):
            return "\n".join(dumps(each, indent=None) for each in document)
        return dumps(document, indent=None if self.as_lines else 2)

    def _write(self, write: Callable[[RenderableType], None], result: RenderableType) -> None:
        try:
            write(result)
            sys.stdout.flush()
        except OSError as error:
            self.lost = error
        except SystemExit:  # rich raises it if the reader has left
            self.lost = BrokenPipeError()
        else:
            return
        discard(sys.stdout)


def with_schema(document: Any, name: str) -> Any:
    """Add the name and version of its schema to an object, or to each object of a list."""
    if isinstance(document, list):
        return [with_schema(each, name) for each in document]
    if not isinstance(document, dict):  # a name of a list of names
        return document
    return {"schema": f"{name}/{SCHEMA_VERSION}", **document}


_BY_TABLE = {"metadata": ("tables", "sequences")}
"""What slim JSON leaves out: the facts of each table and sequence. Counts stay."""


def slim(document: Any) -> Any:
    """Leave out what a report has for each table and sequence of a database."""
    if isinstance(document, list):
        return [slim(each) for each in document]
    if not isinstance(document, dict):
        return document
    for name, large in _BY_TABLE.items():
        if isinstance(inner := document.get(name), dict):
            kept = {key: value for key, value in inner.items() if key not in large}
            document = {**document, name: kept}
    return document


def dumps(result: object, indent: int | None = 2) -> str:
    """Write one JSON document, readable and stable, that standard output can carry."""
    # JSON has one escape only: the one that the stream itself would write is not valid in it.
    plainly = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(plain(result), indent=indent, ensure_ascii=plainly)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain(value: Any) -> Any:
    """Convert a value to the types of JSON: dataclasses to objects, timestamps to strings …."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _plain_leaf(value)


def _plain_leaf(value: Any) -> Any:
    match value:
        case datetime():
            return moment(value)
        case Enum():
            return value.value
        case Path():
            return str(value)
    return value
