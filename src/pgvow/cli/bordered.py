"""The border to a terminal: whatever is printed, none of its text is obeyed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from pgvow.outside import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType

_LAID_OUT = re.compile(r"([\n\t]+)")


class BorderedConsole(Console):
    """A console that escapes control characters and changes of direction in every text.

    A renderer makes names ``printable`` itself, so that tables keep their shape. This is for the
    text that one forgets. What rich itself sends to move the cursor or to colour is no text.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, and escape."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(_escaped(segment.text), segment.style)


def _escaped(text: str) -> str:
    parts = _LAID_OUT.split(text)
    parts[::2] = map(printable, parts[::2])
    return "".join(parts)
