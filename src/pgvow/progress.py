"""What long work says of its progress, and to whom: a protocol and its silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """How far one phase has come; sizes are bytes, ``total`` is 0 where it is unknown."""

    phase: str
    done: int = 0
    total: int = 0
    detail: str = ""


class Progress(Protocol):
    """Whoever wants to know. Called often and from one thread: must be quick.

    Raises nothing but Stalled, if the run was ended.
    """

    def update(self, step: Step) -> None:
        """Take note of how far the work has come."""

    def warn(self, message: str) -> None:
        """Take note of something the user should know that stops nothing."""


class Silent:
    """Nobody wants to know; warnings are kept for the result."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def update(self, step: Step) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Keep the warning."""
        self.warnings.append(message)


class KeptWarnings:
    """Pass progress on, and keep the warnings for the result."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.warnings: list[str] = []

    def update(self, step: Step) -> None:
        """Pass on how far the work has come."""
        self.progress.update(step)

    def warn(self, message: str) -> None:
        """Keep a warning, and pass it on."""
        self.warnings.append(message)
        self.progress.warn(message)
