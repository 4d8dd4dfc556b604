"""Progress of long work, and its warnings: the phases, a protocol, and the reporter of a run."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pgvow.quoted_texts import quotable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self


class Phase(StrEnum):
    """A phase by the name that histories and metrics have, with ``words`` for a progress bar."""

    FILL = "fill", "Making it up"
    LOCK = "lock", "Locking tables"
    DUMP = "dump", "Dumping"
    COPY = "copying", "Copying"
    CHECKSUM = "checksum", "Checksum"
    READ = "reading the archive", "Reading back"
    INTEGRITY = "integrity", "Checking"
    CREATE = "creating", "Creating"
    CREATED = "created", "Created"
    RESTORE = "restoring", "Restoring"
    INDEXES = "indexes", "Indexes"
    ANALYZE = "analyzing", "Analyzing"
    COMPARE = "comparing", "Comparing"
    COMPARE_SCHEMAS = "comparing schemas", "Schema"
    SETTINGS = "settings", "Settings"
    NAMING = "naming", "Naming"
    NAMED = "named", "Named"
    EXTRACT = "extracting", "Extracting"

    words: str

    def __new__(cls, name: str, words: str) -> Self:
        """Make a member whose value is the name alone."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.words = words
        return member


@dataclass(frozen=True, slots=True)
class Step:
    """How far one phase has come; sizes are bytes, ``total`` is 0 if it is unknown."""

    phase: Phase
    done: int = 0
    total: int = 0
    detail: str = ""


class Progress(Protocol):
    """Receives steps and warnings. Called often and from one thread: must be quick.

    Raises nothing but Stalled, if the run was ended.
    """

    def update(self, step: Step) -> None:
        """Receive how far the work has come."""

    def warn(self, message: str) -> None:
        """Receive a warning: something that the user should know and that stops nothing."""


class Silent:
    """A progress that shows nothing."""

    def update(self, step: Step) -> None:
        """Ignore the step."""

    def warn(self, message: str) -> None:
        """Ignore the warning."""


class Reporter:
    """The progress of one run: times its phases, keeps its warnings, and shows both on a display.

    ``warnings`` are those of the whole run; ``collecting`` has those of an operation's result.

    ``insist`` shows a warning that is recorded nowhere else, whatever the display leaves out.
    ``now`` is a clock of seconds.
    """

    def __init__(
        self,
        display: Progress | None = None,
        *,
        insist: Callable[[str], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = display or Silent()
        self._insist = insist or self._display.warn
        self._now = now
        self._check: Callable[[], None] | None = None
        self._phase: Phase | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = {}
        self._results: tuple[list[str], ...] = ()
        self.warnings: list[str] = []

    def update(self, step: Step) -> None:
        """Show a step, and time its phase; raises Stalled if the run was ended."""
        if self._check is not None:
            self._check()
        if step.phase != self._phase:
            self._turn(step.phase)
        self._display.update(step)

    def warn(self, message: str) -> None:
        """Keep a warning, for results too, and show it."""
        message = self.keep(message)
        for warnings in self._results:
            warnings.append(message)
        self._display.warn(message)

    def relay(self, message: str) -> None:
        """Keep and show a message of a program, which is no warning of a result."""
        self._display.warn(self.keep(message))

    def insist(self, message: str) -> None:
        """Keep a warning, and show it even if the user asked for silence."""
        self._insist(self.keep(message))

    def keep(self, message: str) -> str:
        """Keep a warning that is shown elsewhere; returns its text without secrets."""
        message = quotable(message)
        self.warnings.append(message)
        return message

    @contextmanager
    def collecting(self) -> Iterator[list[str]]:
        """Yield a list that gets the warnings of the block, in their order, as they come."""
        warnings: list[str] = []
        before, self._results = self._results, (*self._results, warnings)
        try:
            yield warnings
        finally:
            self._results = before

    @contextmanager
    def checking(self, check: Callable[[], None]) -> Iterator[None]:
        """Call ``check`` at each step of the block: hashing and decoding wait for no server."""
        before, self._check = self._check, check
        try:
            yield
        finally:
            self._check = before

    def seconds(self) -> dict[str, float]:
        """Return how long each phase took so far, in the order in which they began."""
        self._turn(None)
        return {phase: round(seconds, 3) for phase, seconds in self._seconds.items()}

    def _turn(self, phase: Phase | None) -> None:
        now = self._now()
        if self._phase is not None:
            before = self._seconds.get(self._phase.value, 0.0)
            self._seconds[self._phase.value] = before + now - self._since
        self._phase, self._since = phase, now
