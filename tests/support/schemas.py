"""JSON held against the schemas that ``pgvow schema`` prints."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator


def conforming(document: Any) -> Any:
    """Return a document whose objects conform to the schemas they name; else ValidationError.

    Stricter than the schemas themselves, to which keys may be added: a key that they do not have is
    an error.
    """
    for each in document if isinstance(document, list) else [document]:
        _validator(each["schema"]).validate(each)
    return document


@cache
def _validator(name: str) -> Draft202012Validator:
    path = files("pgvow.cli").joinpath("schemas", f"{name.split('/', maxsplit=1)[0]}.json")
    return Draft202012Validator(_closed(json.loads(path.read_text("utf-8"))))


def _closed(schema: Any) -> Any:
    """Return a schema that allows no key besides its own, at any depth."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed
