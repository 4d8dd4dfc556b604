"""Numbers for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_STEP = 1024
_SHOWN_DIGITS = 12


def size(count: int) -> str:
    """Bytes as PostgreSQL itself shows them, in powers of 1024: ``50.0 MB``."""
    if count < _STEP:
        return f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= _STEP
        if value < _STEP:
            return f"{value:.1f} {unit}"
    return f"{value / _STEP:.1f} TB"


def moment(when: datetime) -> str:
    """Write a moment in UTC as in the metadata: ``2025-01-27T14:30:00Z``."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def short_digest(digest: str) -> str:
    """Shorten a checksum to the beginning, enough to compare by eye."""
    return digest[:_SHOWN_DIGITS] + "..."


def duration(seconds: float) -> str:
    """Write seconds so that they can be taken in: ``0.8 s``, ``3 min 20 s``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
