"""Any result object as JSON: dataclasses become objects, moments and paths become strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from pgvow.cli.render.units import moment


def dumps(result: object) -> str:
    """Write one JSON document, readable and stable."""
    return json.dumps(plain(result), indent=2, ensure_ascii=False)


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
