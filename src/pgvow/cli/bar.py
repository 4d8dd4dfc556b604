"""The progress bar of rich, with a phase's words if it has no bytes to count."""

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


_WIDEST_BAR = 40
_NARROWEST_BAR = 8
_AROUND = 15 + 20 + 12 + 8 + 4  # the phase, the amount, the rate, the time left, gaps
_WIDEST_DETAIL = 30


class _Amount(DownloadColumn):
    """Bytes if a phase counts them, and its own words, if it has any, as far as they fit."""

    def __init__(self, room: int) -> None:
        super().__init__(binary_units=False)
        self._room = room

    def render(self, task: Task) -> Text:
        detail = Text(task.fields.get("detail", ""), no_wrap=True)
        if not task.total:
            return detail
        amount = super().render(task)
        if detail and self._room > 1:
            detail.truncate(self._room, overflow="ellipsis")
            amount = amount.append("  ").append_text(detail)
        return amount


class _Rate(TransferSpeedColumn):
    """Bytes a second if a phase counts bytes."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text()


def make_bar(console: Console) -> Progress:
    """Make a bar that disappears when it is stopped."""
    detail = max(0, min(_WIDEST_DETAIL, console.width - _AROUND - _NARROWEST_BAR))
    bar = min(_WIDEST_BAR, max(_NARROWEST_BAR, console.width - _AROUND - detail))
    return Progress(
        TextColumn("{task.description:<15}"),
        BarColumn(bar_width=bar),
        _Amount(room=detail - 2),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
