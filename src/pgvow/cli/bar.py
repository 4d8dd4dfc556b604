"""How a bar looks: rich's own, with a phase's words where it has no bytes to count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task


class _Amount(DownloadColumn):
    """A phase's own words, if it has any; else bytes where it counts them."""

    def render(self, task: Task) -> Text:
        detail = task.fields.get("detail", "")
        return super().render(task) if task.total and not detail else Text(detail)


class _Rate(TransferSpeedColumn):
    """Bytes a second where a phase counts bytes."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text()


def make_bar(console: Console) -> Progress:
    """Make a bar that is gone once it is stopped."""
    return Progress(
        TextColumn("{task.description:<15}"),
        BarColumn(),
        _Amount(binary_units=True),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
