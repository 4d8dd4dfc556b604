"""The names of a copy beside a living table: asked for by ``--as``, or made. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.postgres.databases import LONGEST_NAME, shortened

if TYPE_CHECKING:
    from collections.abc import Collection

DEFAULT_SUFFIX = "_before"
_PART = r'"(?:[^"]|"")+"|[^".]+'
_NAME = re.compile(rf"(?:(?P<schema>{_PART})\.)?(?P<name>{_PART})")


def parse_copy_name(text: str) -> tuple[str | None, str]:
    """Read ``NAME`` or ``SCHEMA.NAME``, quoted or not, as it stands; raises ConfigurationError."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{text} is not the name of a table",
            steps=["Give NAME or SCHEMA.NAME; one that has a dot in quotes: --as '\"a.b\"'"],
        )
    schema = match["schema"]
    return (unquoted(schema) if schema else None), require_length(unquoted(match["name"]))


def require_length(name: str) -> str:
    """Return a name; raises ConfigurationError if PostgreSQL would cut it off or refuse it."""
    size = len(name.encode("utf-8", "surrogateescape"))
    if not 0 < size <= LONGEST_NAME or "\0" in name:
        raise ConfigurationError(
            f"a name has 1 to {LONGEST_NAME} bytes, not {size}",
            steps=["Choose another: --as NAME"],
        )
    return name


def unquoted(part: str) -> str:
    """Return a name without its quotes; one that has none stays as it is."""
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def named_after(name: str, table: str, copy: str) -> str:
    """Return the name of a partition, index or sequence of a table for its copy.

    ``orders_pkey`` of ``orders`` becomes ``orders_before_pkey`` of ``orders_before``; a name that
    does not begin with the table's is put behind the copy's. A copy with the table's own name
    keeps all names.
    """
    if table == copy:
        return name
    if name.startswith(table):
        return shortened(copy, name[len(table) :])
    whole = f"{copy}_{name}".encode("utf-8", "surrogateescape")
    return whole[:LONGEST_NAME].decode("utf-8", "ignore")


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name, with a number behind it if it is taken."""
    number = 2
    chosen = name
    while chosen in taken:
        chosen = shortened(name, f"_{number}")
        number += 1
    return chosen
