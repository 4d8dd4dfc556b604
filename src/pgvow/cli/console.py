"""The two consoles: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from pgvow.outside import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from rich.console import ConsoleOptions, RenderableType

GOOD = "green"
BAD = "red"
WARNING = "yellow"
FAINT = "dim"

_PIPE_WIDTH = 10_000
"""A pipe has no edge: its readers search whole lines."""
_LAID_OUT = re.compile(r"([\n\t]+)")


class EscapingConsole(Console):
    """A console that escapes control characters and changes of direction in every text.

    A renderer makes names ``printable`` itself, so that tables keep their shape. This is for the
    text that one forgets. The codes of rich itself, to move the cursor or to colour, are no text.
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


@cache
def output() -> Console:
    """Return the console on standard output."""
    return _console(sys.stdout)


@cache
def errors() -> Console:
    """Return the console on standard error."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    return EscapingConsole(
        file=stream,
        width=None if stream.isatty() else _PIPE_WIDTH,
        # A table may be called "[red]": nothing that comes from a database is markup.
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
    )


def styled(text: str, style: str) -> Text:
    """Return a text in one style."""
    return Text(text, style=style)


def mark(*, good: bool) -> Text:
    """Return ✓ or ✗ in its colour."""
    return styled("✓", GOOD) if good else styled("✗", BAD)


def print_warning(message: str) -> None:
    """Print a warning in a line of its own on standard error."""
    errors().print(styled("!", WARNING), printable(message))


def discard(stream: TextIO) -> None:
    """Discard all output that is still to be written: the flush at exit would end us with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
