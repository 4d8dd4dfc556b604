"""Lengths of time as people type them: ``30d``, ``12h``, ``1d12h``."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"([0-9]{1,12})([smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST = timedelta.max // timedelta(seconds=1)


def parse_duration(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``12h``, ``30d``, ``8w``, or several in a row such as ``1d12h``.

    Each unit may stand once, whatever the order. Raises ValueError for anything else, for nothing
    at all (``0d``), and for more than a timedelta holds.
    """
    parts = _PART.findall(text) if _WHOLE.fullmatch(text) else []
    units = [unit for _, unit in parts]
    if not parts or len(set(units)) < len(units):
        raise ValueError(f"{text!r} is not a length of time such as 12h, 30d, 8w or 1d12h")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{text!r} is {'nothing' if not seconds else 'too long'}")
    return timedelta(seconds=seconds)


def format_duration(length: timedelta) -> str:
    """Write a length of time of whole seconds as ``parse_duration`` reads it: ``1d12h``.

    A week is seven days: ``8w`` comes back as ``56d``.
    """
    left = int(length.total_seconds())
    written = []
    for unit in "dhms":
        number, left = divmod(left, _SECONDS[unit])
        if number:
            written.append(f"{number}{unit}")
    return "".join(written) or "0s"
