"""Any result object as JSON: dataclasses become objects, moments and paths become strings."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from pgvow.cli.render.units import moment

# What a terminal may act upon, what reorders the text around it, and what no encoding can carry:
# surrogates stand for the bytes of a file's name that is no text.
_ESCAPED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def dumps(result: object) -> str:
    """Write one JSON document, readable and stable, that standard output can carry."""
    # JSON knows but one escape: what the stream itself would write in its place is none.
    plainly = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(plain(result), indent=2, ensure_ascii=plainly)
    return _ESCAPED.sub(lambda one: f"\\u{ord(one[0]):04x}", text)


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
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
