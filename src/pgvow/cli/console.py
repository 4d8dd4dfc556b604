"""Where text goes and how it looks: results to standard output, everything else to stderr."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from pgvow.outside import printable as printable  # noqa: PLC0414 - shown from here

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console
    from rich.text import Text

GOOD = "green"
BAD = "red"
WARNING = "yellow"
FAINT = "dim"

_PIPE_WIDTH = 10_000
"""A pipe has no edge: whoever reads it greps whole lines."""


@cache
def output() -> Console:
    """The console on standard output."""
    return _console(sys.stdout)


@cache
def errors() -> Console:
    """The console on standard error."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    from pgvow.cli.bordered import BorderedConsole  # noqa: PLC0415 - rich is slow to load

    return BorderedConsole(
        file=stream,
        width=None if stream.isatty() else _PIPE_WIDTH,
        # A table may be called "[red]": nothing that comes from a database is markup.
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
    )


def styled(text: str, style: str) -> Text:
    """Text in one style."""
    from rich.text import Text  # noqa: PLC0415 - see _console

    return Text(text, style=style)


def mark(*, good: bool) -> Text:
    """✓ or ✗ in its colour."""
    return styled("✓", GOOD) if good else styled("✗", BAD)


def send_nowhere(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: Python's own last try would end us with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
