"""Sizes, times, names and counts as words in a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.formats import duration, size
from pgvow.outside import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Metadata
    from pgvow.operations.show.contents import LargeObjectTotals

__all__ = [
    "duration",
    "large_objects",
    "moment",
    "namer",
    "none_in",
    "part_rows",
    "selected",
    "short_digest",
    "size",
]

_SHOWN_DIGITS = 12


def moment(when: datetime) -> str:
    """Write a timestamp in UTC as in the metadata: ``2025-01-27T14:30:00Z``."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def short_digest(digest: str) -> str:
    """Shorten a checksum to the beginning, enough to compare by eye."""
    return digest[:_SHOWN_DIGITS] + "..."


def large_objects(totals: LargeObjectTotals | None) -> str:
    """Write the number of large objects and their size."""
    if totals is None:
        return "none"
    if totals.count is None or totals.bytes is None:
        return "there are some, not counted"
    return f"{totals.count}, {size(totals.bytes)}"


def part_rows(metadata: Metadata | None) -> list[tuple[str, str]]:
    """Return the row of a report that names the part; none for a whole database."""
    if metadata is None or not metadata.selection:
        return []
    return [("Only a part", selected(metadata.selection))]


def selected(selection: Sequence[str]) -> str:
    """Join pg_dump's options of a selection to one text."""
    return " ".join(selection)


def namer(paths: Iterable[Path]) -> Callable[[Path], str]:
    """Return the function that names a file: without its directory, if all are in the same one."""
    if len({path.parent for path in paths}) > 1:
        return lambda path: printable(str(path))
    return lambda path: printable(path.name)


def none_in(directories: Sequence[Path]) -> Text:
    """Return the text that there are no backups."""
    return Text(
        f"No backups in {', '.join(printable(str(directory)) for directory in directories)}"
    )
