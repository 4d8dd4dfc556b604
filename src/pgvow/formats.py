"""Sizes and durations as people read them, in reports and in notifications alike."""

from __future__ import annotations

_STEP = 1024


def size(count: int) -> str:
    """Write a number of bytes as PostgreSQL does, in powers of 1024: ``50.0 MB``."""
    if count < _STEP:
        return f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= _STEP
        if value < _STEP:
            return f"{value:.1f} {unit}"
    return f"{value / _STEP:.1f} TB"


def duration(seconds: float) -> str:
    """Write seconds for people: ``0.8 s``, ``3 min 20 s``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
