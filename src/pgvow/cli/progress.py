"""The progress bar: bytes, rate and time left, on a terminal and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from pgvow.cli.console import WARNING, errors, printable, styled

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Task, TaskID

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
    "analyzing": "Analyzing",
    "comparing": "Comparing",
}


class _Amount(DownloadColumn):
    """Bytes where a phase counts them; else its own words, if it has any."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text(task.fields.get("detail", ""))


class _Rate(TransferSpeedColumn):
    """Bytes a second where a phase counts bytes."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text()


class TerminalProgress:
    """Draws a bar on standard error when that is a terminal; warnings are lines there always."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = errors()
        self._task: TaskID | None = None
        self._phase = ""
        self._bar = Progress(
            TextColumn("{task.description:<15}"),
            BarColumn(),
            _Amount(binary_units=True),
            _Rate(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, step: Step) -> None:
        """Move the bar; a new phase begins a new one."""
        if self._bar.disable:
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
            self._console.print(styled("!", WARNING), printable(message))
