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


@dataclass
class Report:
    """How the result of a command is printed: as JSON, as text, or not at all if it is good."""

    as_json: bool
    quiet: bool
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
            self._write(print, dumps(as_object()))
        elif not (self.quiet and good):
            self._write(output().print, as_text())

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


def dumps(result: object) -> str:
    """Write one JSON document, readable and stable, that standard output can carry."""
    # JSON has one escape only: the one that the stream itself would write is not valid in it.
    plainly = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(plain(result), indent=2, ensure_ascii=plainly)
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
