"""The progress bar: bytes, rate and time left, on a terminal and nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgvow.cli.console import errors, print_warning
from pgvow.outside import printable, quotable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from pgvow.progress import Phase, Step


class TerminalProgress:
    """Draws a bar on standard error if that is a terminal; prints warnings there in any case."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._phase: Phase | None = None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw a bar while the block runs; a bar that is still drawn would garble a report."""
        self._task, self._phase = None, None
        self._bar = None if self._quiet else _bar_on_terminal()
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
