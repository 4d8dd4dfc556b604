"""The COPY statement of an entry: into which table its rows are loaded, and into which columns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgvow.archive.errors import ArchiveError

_NAME = r'(?:"(?:[^"]|"")*"|[^\s"(),.;]+)'
_STATEMENT = re.compile(
    rf"COPY (?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME}) *"
    rf"(?:\((?P<columns>{_NAME}(?:, *{_NAME})*)\))? *FROM stdin;\s*"
)
_NAMES = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """A table and its columns in the order of the rows; no column where the table has none.

    It is another table than the entry's own where rows are loaded through a partitioned root.
    """

    schema: str
    name: str
    columns: tuple[str, ...]


def copy_target(statement: str) -> CopyTarget:
    """Read the statement as pg_dump writes it; raises ArchiveError where it is anything else."""
    match = _STATEMENT.fullmatch(statement)
    if match is None:
        raise ArchiveError("the statement that loads a table's rows cannot be read", offset=0)
    return CopyTarget(
        schema=_bare(match["schema"] or ""),
        name=_bare(match["name"]),
        columns=tuple(_bare(found[0]) for found in _NAMES.finditer(match["columns"] or "")),
    )


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
