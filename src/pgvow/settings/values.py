"""Read the values of options: from ``pgvow.toml``, and from the command line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pgvow.model import MOST_JOBS, Compress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from enum import StrEnum

ENVIRONMENT_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
ENGINES = ("parallel", "pg_dump")
SELECTING = ("schema", "exclude_schema", "table", "exclude_table", "exclude_table_data")
"""The options that leave something out of a backup, in the order in which pg_dump gets them."""
AUTO = "auto"
_CRON_FIELDS = 5
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""To read an expression; only the times at which it is due depend on the time to begin with."""
_MOST_CORES = 8
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"([0-9]{1,12})([smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_TO_THE_LAST_SECOND = timedelta(hours=23, minutes=59, seconds=59)
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


def parse_since(text: str) -> timedelta | datetime:
    """Read an age as ``parse_duration`` does, or a date or time, in UTC unless it names a zone.

    Raises ValueError for anything else.
    """
    try:
        return parse_duration(text)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a length of time such as 7d, nor a date such as 2026-11-27"
        ) from None


def parse_until(text: str) -> timedelta | datetime:
    """Read a length of time, or a date or time as ``parse_since`` does; a date is its whole day.

    Raises ValueError for anything else.
    """
    until = parse_since(text)
    try:
        date.fromisoformat(text)
    except ValueError:
        return until
    return until + _TO_THE_LAST_SECOND


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


def usable_cores() -> int:
    """Return how many workers ``auto`` means: the cores that this process may use, at most 8."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(_MOST_CORES, len(usable(0)) if usable else os.cpu_count() or 1)


def typed_count(text: str) -> int:
    """Read a whole number of 1 or more from the command line; raises ValueError."""
    # Not int() alone, which takes "1_000" and digits of any script.
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _typed_jobs(text: str) -> int:
    jobs = usable_cores() if text == AUTO else typed_count(text)
    if jobs > MOST_JOBS:
        raise ValueError(f"{text} are more than {MOST_JOBS} workers")
    return jobs


def _typed_number(text: str) -> float:
    try:
        return _number(float(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a number of 0 or more") from None


def typed_path(text: str) -> Path:
    """Read a path from the command line; raises ValueError.

    An empty one is the result of a shell variable that is not set.
    """
    if not text:
        raise ValueError("the path is empty")
    return Path(text)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("is not a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")  # noqa: TRY004 - shown to a user
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("is not a whole number of 0 or more")
    return value


def _jobs(value: Any) -> int | str:
    if value == AUTO:
        return AUTO
    if not _count(value) or value > MOST_JOBS:
        raise ValueError(f"is not a whole number of 1 to {MOST_JOBS}, or auto")
    return int(value)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN compares false with everything, and infinity is no number of bytes or seconds.
    if not is_number or not 0 <= value < float("inf"):
        raise ValueError("is not a number of 0 or more")
    return float(value)


def _positive(value: Any) -> float:
    number = _number(value)
    if not number:
        raise ValueError("is not a number above 0")
    return number


def _share(value: Any) -> float:
    share = _number(value)
    if not 0 < share <= 1:
        raise ValueError("is not a share, such as 0.4 for 40 %")
    return share


def _engine(value: Any) -> str:
    if value not in ENGINES:
        raise ValueError(f"is neither {' nor '.join(ENGINES)}")
    return str(value)


def _list(value: Any, expected: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"is not a list {expected}")  # noqa: TRY004 - shown to a user
    return tuple(map(_text, value))


def _member(kind: type[StrEnum], value: Any) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"is none of {', '.join(kind)}") from None


def _zone(value: Any) -> str:
    try:
        ZoneInfo(_text(value))
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone, such as Europe/Berlin or UTC") from None
    return str(value)


def _cron(value: Any) -> str:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - few commands need it

    try:
        CronSim(_text(value), _ANY_TIME)
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error}") from None
    if len(value.split()) != _CRON_FIELDS:
        raise ValueError("is not a cron expression of five fields, such as 0 2 * * *")
    return str(value)


def _matching(pattern: re.Pattern[str], complaint: str, value: Any) -> str:
    if not pattern.fullmatch(_text(value)):
        raise ValueError(complaint)
    return str(value)


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A kind of value; both of its functions raise ValueError.

    ``of_value`` reads the value of a TOML key; its error is the predicate of a sentence, of which
    the key is the subject. ``of_text`` reads a typed text; its error is a whole sentence.
    """

    of_value: Callable[[Any], Any]
    of_text: Callable[[str], Any] = str


TEXT = ValueKind(_text)
PATH = ValueKind(lambda value: Path(_text(value)), typed_path)
FLAG = ValueKind(_flag)
COUNT = ValueKind(_count, typed_count)
JOBS = ValueKind(_jobs, _typed_jobs)
NUMBER = ValueKind(_number, _typed_number)
POSITIVE = ValueKind(_positive)
SHARE = ValueKind(_share)
DURATION = ValueKind(lambda value: parse_duration(_text(value)), parse_duration)
UNTIL = ValueKind(lambda value: parse_until(_text(value)), parse_until)
SINCE = ValueKind(lambda value: parse_since(_text(value)), parse_since)
COMPRESS = ValueKind(lambda value: Compress.parse(_text(value)), Compress.parse)
ENGINE = ValueKind(_engine)
WEB_PAGE = ValueKind(
    partial(_matching, re.compile(r"https?://[^\s<>\"]+"), "is no http:// or https:// URL")
)
TEXTS = ValueKind(partial(_list, expected="of texts"))
PATTERNS = ValueKind(TEXTS.of_value)
COMMAND = ValueKind(partial(_list, expected='such as ["/usr/bin/program", "argument"]'))
ZONE = ValueKind(_zone)
CRON = ValueKind(_cron)
ENVIRONMENT = ValueKind(
    partial(
        _matching,
        ENVIRONMENT_NAME,
        "is no environment's name: small letters, digits and hyphens",
    )
)
VARIABLE = ValueKind(
    partial(_matching, re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "is no name of variables")
)


def one_of(members: type[StrEnum]) -> ValueKind:
    """Make the kind of a member of an enumeration."""
    return ValueKind(partial(_member, members))


def some_of(members: type[StrEnum]) -> ValueKind:
    """Make the kind of a list of members of an enumeration."""
    return ValueKind(
        lambda value: frozenset(_member(members, name) for name in TEXTS.of_value(value))
    )


def selecting_options(patterns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Spell patterns, by the names of ``SELECTING``, as pg_dump's options: ``--table=orders``."""
    return tuple(
        f"--{name.replace('_', '-')}={pattern}"
        for name in SELECTING
        for pattern in patterns.get(name, ())
    )
