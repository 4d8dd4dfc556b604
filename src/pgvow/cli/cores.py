"""How many cores there are to use."""

from __future__ import annotations

import os

MOST = 8


def usable_cores() -> int:
    """How many workers ``--jobs auto`` means: the cores that this process may use, at most 8."""
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return min(MOST, count)
