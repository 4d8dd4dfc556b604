"""Sizes, durations, times and counts as people read them, in reports and notifications alike."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_STEP = 1000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_IN_DAYS = 2 * _DAY
_SHOWN_DIGITS = 12
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def size(count: int) -> str:
    """Write a number of bytes in powers of 1000, as disks are sold: 10.9 MB are 10,900,000."""
    if count < _STEP:
        return counted(count, "byte")
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= _STEP
        if round(value, 1) < _STEP:
            return f"{value:.1f} {unit}"
    return f"{value / _STEP:.1f} PB"


def duration(seconds: float) -> str:
    """Write seconds in two units at most: ``0.8 s``, ``3 min 20 s``, ``26 h``, ``12 d 3 h``."""
    if round(seconds, 1) < _MINUTE:
        return f"{max(seconds, 0):.1f} s"
    return _two_units(round(seconds))


def elapsed(seconds: float) -> str:
    """Write an age as a duration of whole seconds: ``8 s``, ``26 h``."""
    whole = max(int(seconds), 0)
    return f"{whole} s" if whole < _MINUTE else _two_units(whole)


def _two_units(seconds: int) -> str:
    if seconds < _HOUR:
        large, small, names = _MINUTE, 1, ("min", "s")
    elif seconds < _IN_DAYS:
        large, small, names = _HOUR, _MINUTE, ("h", "min")
    else:
        large, small, names = _DAY, _HOUR, ("d", "h")
    whole, rest = divmod(seconds, large)
    numbers = (whole, rest // small)
    return " ".join(f"{n} {name}" for n, name in zip(numbers, names, strict=True) if n)


def moment(when: datetime) -> str:
    """Write a timestamp in UTC as in the metadata: ``2025-01-27T14:30:00Z``."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(count: int | None) -> str:
    """Write a count: ``2,000``, and ``?`` for one that is not known.

    The ``Tables`` line of a backup's report alone has no commas.
    """
    return "?" if count is None else f"{count:,}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a number of things: ``1 table``, ``2 tables``, ``2,000 entries``."""
    return f"{number(count)} {noun if count == 1 else plural or noun + 's'}"


def short_digest(digest: str) -> str:
    """Shorten a checksum to its beginning, enough to compare by eye."""
    return digest[:_SHOWN_DIGITS] + "..."


def without_digests(text: str) -> str:
    """Shorten every SHA-256 in a text."""
    return _DIGEST.sub(lambda match: short_digest(match[0]), text)
