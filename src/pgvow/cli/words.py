"""Sizes, times, names and counts as words in a report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.formats import (
    counted,
    duration,
    elapsed,
    moment,
    number,
    short_digest,
    size,
    without_digests,
)
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pgvow.model import Metadata
    from pgvow.operations.show.contents import LargeObjectTotals
    from pgvow.recovery import LoosenedObject

__all__ = [
    "counted",
    "duration",
    "elapsed",
    "large_objects",
    "loosened_lines",
    "moment",
    "namer",
    "none_in",
    "number",
    "part_rows",
    "retried_line",
    "selected",
    "short_digest",
    "size",
    "sparkline",
    "without_digests",
]

_MOST_LOOSENED = 20
_BARS = {"unicode": "▁▂▃▄▅▆▇█", "ascii": "_.-=+*#@"}


def sparkline(values: Sequence[float], encoding: str) -> str:
    """Draw one bar for each value, from the least to the greatest; plain ASCII if need be."""
    bars = _BARS["unicode"]
    try:
        bars.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        bars = _BARS["ascii"]
    least, most = min(values, default=0), max(values, default=0)
    span = most - least
    if not span:
        return bars[0] * len(values)
    return "".join(bars[round((value - least) / span * (len(bars) - 1))] for value in values)


def large_objects(totals: LargeObjectTotals | None) -> str:
    """Write the number of large objects and their size."""
    if totals is None:
        return "none"
    if totals.count is None or totals.bytes is None:
        return "there are some, not counted"
    return f"{number(totals.count)}, {size(totals.bytes)}"


def part_rows(metadata: Metadata | None) -> list[tuple[str, str]]:
    """Return the rows of a report that name the part, and that the source was never seen.

    None for a whole database that was backed up.
    """
    rows = (
        [("Only a part", selected(metadata.selection))] if metadata and metadata.selection else []
    )
    if metadata is not None and metadata.adopted is not None:
        rows.append(("Source", str(metadata.adopted)))
    return rows


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


def retried_line(manners: Iterable[str]) -> str:
    """Write how many entries were restored on a second attempt, and in which manner."""
    numbers = Counter(manners)
    shown = ", ".join(f"{number:,} {manner}" for manner, number in numbers.items())
    return printable(f"{counted(numbers.total(), 'object')}, refused at first: {shown}")


def loosened_lines(loosened: Sequence[LoosenedObject]) -> Iterator[str]:
    """Yield the lines of objects in a looser form, with the queries of the rows that break them."""
    for each in loosened[:_MOST_LOOSENED]:
        yield f"! {printable(each.name)}: {printable(each.instead)}"
        yield f"    {printable(next(iter(each.reason.splitlines()), ''))}"
        if each.query is not None:
            yield f"    {counted(each.rows or 0, 'row')}: {printable(each.query)}"
    if len(loosened) > _MOST_LOOSENED:
        yield f"and {len(loosened) - _MOST_LOOSENED} more (all of them with --json)"
