"""The consoles: results on standard output; warnings, errors and progress on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from pgvow.cli.folding import folded
from pgvow.quoted_texts import printable, quotable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from typing import TextIO

    from rich.console import ConsoleOptions, RenderableType
    from rich.progress import Progress, TaskID

    from pgvow.progress import Phase, Step

GOOD = "green"
BAD = "red"
WARNING = "yellow"
FAINT = "dim"

_PIPE_WIDTH = 10_000
"""A pipe has no edge: its readers search whole lines."""
_LINE_SECONDS = 0.5
_LAID_OUT = re.compile(r"([\n\t]+)")


class EscapingConsole(Console):
    """A console that escapes control characters and changes of direction in every text.

    A renderer makes names ``printable`` itself, so that tables keep their shape. This is for the
    text that one forgets. The codes of rich itself, to move the cursor or to colour, are no text.
    """

    folds = False
    """Whether texts are folded between words: those of reports, on a terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, fold the texts of a report for the terminal, and escape."""
        is_whole = options is None or options.max_width == self.width  # no cell of a bar
        if self.folds and is_whole and isinstance(renderable, Text):
            renderable = folded(renderable, self.width)
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
    console = _console(sys.stdout)
    console.folds = sys.stdout.isatty()
    return console


@cache
def errors() -> Console:
    """Return the console on standard error."""
    console = _console(sys.stderr)
    console.folds = sys.stderr.isatty()
    return console


def _console(stream: TextIO) -> EscapingConsole:
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


class JsonProgress:
    """Writes steps and warnings to standard error, each as one line of JSON, for programs.

    ``{"event": "progress", "phase", "done", "total", "detail"}`` when a phase begins, and then at
    most twice a second; ``{"event": "warning", "message"}``. Sizes are bytes, ``total`` is 0 if it
    is unknown.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._phase: Phase | None = None
        self._written = 0.0

    def drawing(self) -> AbstractContextManager[None]:
        """Do nothing around a block: lines need no end."""
        return nullcontext()

    def update(self, step: Step) -> None:
        """Write the step, unless one of its phase was written just now."""
        now = self._now()
        if step.phase == self._phase and now - self._written < _LINE_SECONDS:
            return
        self._phase, self._written = step.phase, now
        write_event(
            "progress", phase=step.phase, done=step.done, total=step.total, detail=step.detail
        )

    def warn(self, message: str) -> None:
        """Write a warning."""
        write_event("warning", message=quotable(message))


def write_event(event: str, **facts: object) -> None:
    """Write one line of JSON to standard error; a reader that has left is no error."""
    with suppress(OSError):
        print(json.dumps({"event": event, **facts}), file=sys.stderr, flush=True)


class TerminalProgress:
    """Draws a bar on standard error if that is a terminal; prints warnings there in any case."""

    def __init__(self, *, quiet: bool, has_bar: bool = True) -> None:
        self._quiet = quiet
        self._has_bar = has_bar and not quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._phase: Phase | None = None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw a bar while the block runs; a bar that is still drawn would garble a report."""
        self._task, self._phase = None, None
        self._bar = _bar_on_terminal() if self._has_bar else None
        if self._bar is None:
            yield
            return
        try:
            with self._bar:
                yield
        finally:
            self._bar = None

    def update(self, step: Step) -> None:
        """Move the bar; a new phase begins a new one."""
        if self._bar is None:
            return
        if self._task is None or step.phase != self._phase:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._phase = step.phase
            self._task = self._bar.add_task(step.phase.words, total=None)
        self._bar.update(
            self._task, completed=step.done, total=step.total or None, detail=printable(step.detail)
        )

    def warn(self, message: str) -> None:
        """Print a warning line above the bar."""
        if not self._quiet:
            print_warning(quotable(message))


def _bar_on_terminal() -> Progress | None:
    console = errors()
    if not console.is_terminal:
        return None
    from pgvow.cli.bar import make_bar  # noqa: PLC0415 - slow to load, and cron sees none

    return make_bar(console)
