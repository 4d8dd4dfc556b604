"""The notes of people beside a backup: that it is to be kept, and that its fault is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING

from pgvow.formats import moment

if TYPE_CHECKING:
    from datetime import datetime

_LAST_SECOND = time(23, 59, 59)


@dataclass(frozen=True, slots=True)
class Keep:
    """That a backup is kept, since ``at`` and up to ``until``; None is for ever."""

    at: datetime
    until: datetime | None = None
    note: str | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether it is still to be kept."""
        return holds(self.until, now)

    def __str__(self) -> str:
        return f"kept{until_text(self.until)}{_noted(self.note)}"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That a fault of a backup was known to a person ``at`` a time.

    ``fault`` is that fault as ``retention.fault_of`` names it: it holds for no other.
    """

    fault: str
    at: datetime
    until: datetime | None = None
    note: str | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether its time is not over."""
        return holds(self.until, now)

    def __str__(self) -> str:
        return f"acknowledged on {self.at:%Y-%m-%d}{until_text(self.until)}{_noted(self.note)}"


@dataclass(frozen=True, slots=True)
class Notes:
    """The contents of a backup's ``.notes.json``; empty without one.

    ``complaint`` is why they cannot be read. The backup is kept then, for they may say so.
    """

    keep: Keep | None = None
    acknowledged: Acknowledgement | None = None
    complaint: str | None = None

    def kept(self, now: datetime) -> str | None:
        """Return why the backup must not be removed, or None."""
        if self.complaint is not None:
            return f"kept: its notes cannot be read: {self.complaint}"
        return str(self.keep) if self.keep is not None and self.keep.holds(now) else None


NO_NOTES = Notes()


def holds(until: datetime | None, now: datetime) -> bool:
    """Return whether a note up to a time still holds; its last second belongs to it."""
    return until is None or now - until < timedelta(seconds=1)


def until_text(until: datetime | None) -> str:
    """Write up to when a note holds, as a day if it is the last second of one."""
    if until is None:
        return ""
    is_day = until.utcoffset() == timedelta(0) and until.time() == _LAST_SECOND
    return f" until {until:%Y-%m-%d}" if is_day else f" until {moment(until)}"


def _noted(note: str | None) -> str:
    return f": {note}" if note else ""
