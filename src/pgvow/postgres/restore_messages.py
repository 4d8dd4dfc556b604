"""Read the messages of a pg_restore that goes on after errors: which entries the server refused.

``--verbose`` names the entry before each error, and tells nothing else that is kept. Workers of a
parallel restore write at the same time, so an error may follow the name of another's entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgvow.postgres.failure_classes import FailureClass, meaning_of
from pgvow.postgres.tool_stderr import StderrExcerpt, own_words

_PROGRAM = "pg_restore: "
_ENTRY = re.compile(r"pg_restore: from TOC entry (\d+);")
_ERROR = "pg_restore: error: "
_OF_THE_ERROR = re.compile(r"pg_restore: (?:detail|hint): ")
_WARNING = "pg_restore: warning: "
_WENT_ON = re.compile(r"pg_restore: warning: errors ignored on restore: \d+")
_STATEMENT = "Command was: "
_MOST_ERRORS = 10_000
_MOST_LINES = 60
_LINES_BEYOND = 2
_LINES_OF_A_STATEMENT = 10
_LEFT_OUT = "…\n"
_SURROUNDINGS = frozenset(
    {
        FailureClass.DISK,
        FailureClass.MEMORY,
        FailureClass.HANDLES,
        FailureClass.STOPPED,
        FailureClass.CONNECTION,
    }
)


@dataclass(frozen=True, slots=True)
class RestoreMessage:
    """One error: the number of the entry that was named last before it, if any, and its text."""

    dump_id: int | None
    text: str


class RestoreMessages(StderrExcerpt):
    """The errors and warnings of a pg_restore, while it writes them.

    ``refused`` are the numbers of all entries that were named, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[int] = []
        self.goes_on = False
        """Whether pg_restore said at its end that it went on after every error."""
        self._errors: list[tuple[int | None, list[str]]] = []
        self._named: int | None = None
        self._current: list[str] | None = None
        self._is_kept = True
        self._judged = 0

    def add(self, line: str) -> None:
        """Add a line, with its end."""
        if line.startswith(_PROGRAM):
            self._begin(line)
        elif self._current is not None:
            self._continue(line)
        if self._is_kept:
            super().add(line)

    def _begin(self, line: str) -> None:
        if entry := _ENTRY.match(line):
            self._named, self._current, self._is_kept = int(entry[1]), None, False
            self.refused.append(self._named)
        elif line.startswith(_ERROR):
            self._current, self._is_kept = [], True
            self._errors.append((self._named, self._current))
            self._continue(line.removeprefix(_ERROR))
        elif _OF_THE_ERROR.match(line):
            self._is_kept = True
            if self._current is not None:
                self._continue(line)
        else:
            self._current = None
            self._is_kept = line.startswith(_WARNING)
            self.goes_on = self.goes_on or bool(_WENT_ON.match(line))

    def _continue(self, line: str) -> None:
        lines = self._current or []
        quoted = next((n for n, each in enumerate(lines) if each.startswith(_STATEMENT)), None)
        whole = _MOST_LINES if len(self._errors) < _MOST_ERRORS else _LINES_BEYOND
        most = whole if quoted is None else min(whole, quoted + _LINES_OF_A_STATEMENT)
        if self._current is not None and len(lines) <= most:
            self._current.append(line if len(lines) < most else _LEFT_OUT)

    def errors(self) -> tuple[RestoreMessage, ...]:
        """Return the errors so far."""
        return tuple(
            RestoreMessage(number, "".join(lines).strip()) for number, lines in self._errors
        )

    def end(self) -> RestoreMessage | None:
        """Return the first error that is of the server's surroundings; None without one.

        To go on would serve nothing: the disk is full, or the connection is gone.
        """
        for number, lines in self._errors[self._judged :]:
            text = "".join(lines).strip()
            if of_surroundings(text):
                return RestoreMessage(number, text)
        self._judged = max(0, len(self._errors) - 1)  # the last one may not be complete
        return None


def of_surroundings(complaint: str, sqlstate: str | None = None) -> bool:
    """Return whether a failure is of the disk, the memory, the connection, or a limit."""
    return meaning_of(sqlstate, own_words(complaint)) in _SURROUNDINGS
