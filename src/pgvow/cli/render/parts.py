"""How a backup of less than the whole database is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.model import Metadata

LABEL = "Only a part"


def part_rows(metadata: Metadata | None) -> list[tuple[str, str]]:
    """Return the line of a report that names the part; none of a whole database."""
    if metadata is None or not metadata.selection:
        return []
    return [(LABEL, selected(metadata.selection))]


def selected(selection: Sequence[str]) -> str:
    """Write pg_dump's options of what it was to dump as one text."""
    return " ".join(selection)
