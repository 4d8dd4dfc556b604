"""Which backups to keep, and why: pure, takes ``now`` as an argument, opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """How many backups to keep of each kind, per database and environment; 0 or None asks nothing.

    ``daily`` and its like keep the newest of each of the last N days (hours, ISO weeks, months,
    years, in UTC) that have a backup. ``within`` keeps all that are younger.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta | None = None

    def __bool__(self) -> bool:
        """Whether there is any rule; without one nothing is ever removed."""
        return any(
            (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        ) or bool(self.within)
