"""The progress bar: bytes, rate and time left, on a terminal and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pgvow.cli.console import WARNING, errors, printable, styled
from pgvow.outside import quotable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from pgvow.progress import Step

_PHASES = {
    "fill": "Making it up",
    "lock": "Locking tables",
    "dump": "Dumping",
    "checksum": "Checksum",
    "reading the archive": "Reading back",
    "integrity": "Checking",
    "restoring the schema again": "Reference",
    "comparing schemas": "Schema",
    "restoring": "Restoring",
    "indexes": "Indexes",
    "extracting": "Extracting",
    "analyzing": "Analyzing",
    "comparing": "Comparing",
}


class TerminalProgress:
    """Draws a bar on standard error when that is a terminal; warnings are lines there always."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._task: TaskID | None = None
        self._phase = ""
        self._bar = None if quiet else _bar_on_terminal()

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, step: Step) -> None:
        """Move the bar; a new phase begins a new one."""
        if self._bar is None:
            return
        if self._task is None or step.phase != self._phase:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._phase = step.phase
            self._task = self._bar.add_task(_PHASES.get(step.phase, step.phase), total=None)
        self._bar.update(
            self._task, completed=step.done, total=step.total or None, detail=printable(step.detail)
        )

    def warn(self, message: str) -> None:
        """Print a warning line above the bar."""
        if not self._quiet:
            errors().print(styled("!", WARNING), printable(quotable(message)))


def _bar_on_terminal() -> Progress | None:
    console = errors()
    if not console.is_terminal:
        return None
    from pgvow.cli.bar import make_bar  # noqa: PLC0415 - slow to load, and cron sees none

    return make_bar(console)
