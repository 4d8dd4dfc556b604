"""Where the archive sets each sequence: they do not heed snapshots, so it alone knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.errors import ArchiveError

if TYPE_CHECKING:
    from pgvow.archive.toc import TableOfContents

_SEQUENCE_SET = "SEQUENCE SET"
_VALUES = re.compile(r", (-?\d+), (true|false)\);\s*$")


@dataclass(frozen=True, slots=True)
class SequencePosition:
    """One sequence: its last value, and whether the next one is beyond it (``is_called``)."""

    schema: str
    name: str
    last_value: int
    is_called: bool


def sequence_positions(toc: TableOfContents) -> tuple[SequencePosition, ...]:
    """Return the positions of all sequences whose data is in the archive.

    Raises ArchiveError where an entry is not the ``setval`` that pg_dump writes.
    """
    return tuple(
        _position(entry.namespace, entry.tag, entry.defn)
        for entry in toc.entries
        if entry.desc == _SEQUENCE_SET
    )


def _position(schema: str, name: str, statement: str) -> SequencePosition:
    values = _VALUES.search(statement)
    if values is None:
        complaint = f"the position of sequence {schema}.{name} cannot be read"
        raise ArchiveError(complaint, offset=0)
    return SequencePosition(schema, name, int(values[1]), values[2] == "true")
