"""A finding of the doctor: one fact, how grave it is, and a step that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgvow.errors import PgvowError


class Severity(IntEnum):
    """How grave a finding is; the worst decides."""

    GOOD = 0
    ATTENTION = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact; ``origin`` is the variable and the file that it comes from, if there is one."""

    level: Severity
    name: str
    text: str
    hint: str | None = None
    origin: str | None = None

    @classmethod
    def from_error(cls, name: str, error: PgvowError) -> Finding:
        """Turn an error that would have ended a backup into a finding."""
        return cls(Severity.BAD, name, error.cause, error.steps[0] if error.steps else None)
