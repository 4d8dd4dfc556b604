"""Tables that fit the terminal: by whole columns, never by a part of a name or a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text

from pgvow.cli.folding import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions

_GAP = "  "
_INDENT = " " * 4


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``drop`` is its turn to be left out on a narrow terminal, 0 never.

    If the last column ``is_below``, it is not left out in its turn: it goes to a line of its own
    under each row, and those left out before it may come back.
    """

    heading: str
    drop: int = 0
    is_right: bool = False
    is_below: bool = False


class FittedTable:
    """Rows of texts; every row has a cell for each column.

    On a narrow terminal columns are left out, each in its turn; ``is_wide`` keeps all of them. Laid
    out here, since rich's own table cuts names, and took three seconds for 10,000 rows.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str | Text]],
        *,
        is_wide: bool = False,
        indent: str = "",
    ) -> None:
        self._columns = columns
        self._rows = [
            [cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows
        ]
        self._is_wide = is_wide
        self._indent = indent
        self._widths = [
            max(_width(column.heading), *(_width(row[at].plain) for row in self._rows), 0)
            for at, column in enumerate(columns)
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width = options.max_width - len(self._indent)
        shown, below = self._fitting(width)
        bold = console.get_style("bold")
        headings = [Text(column.heading) for column in self._columns]
        yield from (Segment(each.text, bold) for each in self._line(headings, shown, console))
        yield Segment.line()
        for row in self._rows:
            yield from self._line(row, shown, console)
            yield Segment.line()
            if below is not None and row[below].plain:
                text, style = row[below].plain, console.get_style(row[below].style)
                for line in wrapped(text, width - len(_INDENT)):
                    yield Segment(self._indent + _INDENT + line, style)
                    yield Segment.line()

    def _line(self, row: Sequence[Text], shown: Sequence[int], console: Console) -> list[Segment]:
        segments = [Segment(self._indent)] if self._indent else []
        filled = [at for at in shown if row[at].plain]
        for at in shown[: shown.index(filled[-1]) + 1] if filled else ():
            text, is_last = row[at].plain, at == filled[-1]
            space = " " * (self._widths[at] - _width(text))
            before, after = (space, "") if self._columns[at].is_right else ("", space)
            end = "" if is_last else after + _GAP
            segments.append(Segment(before))
            segments.append(Segment(text, console.get_style(row[at].style)))
            segments.append(Segment(end))
        return segments

    def _fitting(self, width: int) -> tuple[list[int], int | None]:
        """Return the columns that stand side by side, and the one below, if there is one."""
        every = list(range(len(self._columns)))
        if self._is_wide:
            return every, None
        beside = self._dropped(every, width)
        if self._columns[-1].is_below and every[-1] not in beside:
            return self._dropped(every[:-1], width), every[-1]
        return beside, None

    def _dropped(self, shown: Sequence[int], width: int) -> list[int]:
        """Leave out columns in their turn until the rest fits."""
        left = list(shown)
        for at in sorted(left, key=lambda at: self._columns[at].drop):
            if self._columns[at].drop and self._taken(left) > width:
                left.remove(at)
        return left

    def _taken(self, shown: Sequence[int]) -> int:
        return sum(self._widths[at] for at in shown) + len(_GAP) * (len(shown) - 1)


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
