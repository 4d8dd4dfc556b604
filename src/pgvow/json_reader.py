"""JSON from a file that anybody may have changed: read strictly, with all that is wrong with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeGuard, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_T = TypeVar("_T")
_HEXADECIMAL = "0123456789abcdef"
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LARGEST = 2**63 - 1  # of a bigint, which every count and size of PostgreSQL's is
_LONGEST_NAME = 255  # bytes, on every POSIX file system in use
_SHOWN = 60  # characters of a value that is complained of
_MISSING = object()
_NOWHERE = datetime.min.replace(tzinfo=UTC)  # stands in for what was complained of


def parse(data: bytes, complaints: list[str]) -> object:
    """Parse JSON as the standard has it: no NaN, and no key twice, which readers settle apart."""

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(found)
        if len(result) < len(found):
            counts = Counter(key for key, _ in found)
            twice = sorted(key for key, count in counts.items() if count > 1)
            complaints.extend(f"key {quoted(key)} stands there twice" for key in twice)
        return result

    def constant(name: str) -> None:
        complaints.append(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError as error:
        complaints.append(f"is not UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        complaints.append("is nested too deeply")
    except ValueError as error:  # JSONDecodeError, and Python's limit on the digits of an int
        complaints.append(f"is not JSON: {error}")
    return None


def quoted(value: object) -> str:
    """Show a value in a complaint: printable, and short however long or deep it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = ascii(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


class JsonReader:
    """Reads the keys of one object; what is wrong is noted, and something harmless returned."""

    def __init__(
        self,
        found: Mapping[str, object],
        complaints: list[str],
        *,
        where: str = "",
        is_lenient: bool = False,
    ) -> None:
        self._found = found
        self.complaints = complaints
        self._where = where
        self.is_lenient = is_lenient

    def lenient(self, *, when: bool) -> JsonReader:
        """Read the same object, taking optional keys that do not fit for unknown ones."""
        return JsonReader(self._found, self.complaints, where=self._where, is_lenient=when)

    def optional(self, key: str, read: Callable[[str], _T]) -> _T | None:
        """Read a key that may be absent or null."""
        if self._found.get(key) is None:
            return None
        before = len(self.complaints)
        value = read(key)
        if self.is_lenient and len(self.complaints) > before:
            del self.complaints[before:]
            return None
        return value

    def text(self, key: str) -> str:
        """Read a text that is not empty and stands for bytes."""
        value = self._found.get(key, _MISSING)
        if is_text(value):
            return value
        return self._complain(key, "a text that is not empty", value, "")

    def moment(self, key: str) -> datetime:
        """Read a moment in UTC, to the second."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, str) and _MOMENT.fullmatch(value):
            try:
                return datetime.fromisoformat(value)
            except ValueError:  # 31 February
                pass
        return self._complain(key, "a moment such as 2025-01-27T14:30:00Z", value, _NOWHERE)

    def count(self, key: str, *, at_least: int = 0) -> int:
        """Read a whole number that is not negative."""
        value = self._found.get(key, _MISSING)
        if is_count(value) and value >= at_least:
            return value
        return self._complain(key, f"a whole number of at least {at_least}", value, 0)

    def digest(self, key: str, digits: int) -> str:
        """Read a digest of so many hexadecimal digits."""
        value = self._found.get(key, _MISSING)
        if is_digest(value, digits):
            return value
        return self._complain(key, f"{digits} lower-case hexadecimal digits", value, "")

    def digests(self, key: str, digits: int) -> tuple[str, ...]:
        """Read a list of digests."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, list) and all(is_digest(one, digits) for one in value):
            return tuple(value)
        return self._complain(key, f"a list of {digits} hexadecimal digits each", value, ())

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Read one of a few texts."""
        value = self._found.get(key, _MISSING)
        if value in choices:
            return str(value)
        return self._complain(key, " or ".join(map(repr, choices)), value, "")

    def named(self, key: str, is_right: Callable[[str], bool], what: str) -> str:
        """Read a text that names something in a way of its own."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, str) and is_right(value):
            return value
        return self._complain(key, what, value, "")

    def whole(self, key: str) -> int:
        """Read a whole number, as large as a bigint."""
        value = self._found.get(key, _MISSING)
        if type(value) is int and -_LARGEST - 1 <= value <= _LARGEST:
            return value
        return self._complain(key, "a whole number", value, 0)

    def text_list(self, key: str) -> tuple[str, ...]:
        """Read a list of texts."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, list) and all(is_text(one) for one in value):
            return tuple(value)
        return self._complain(key, "a list of texts", value, ())

    def texts(self, key: str) -> dict[str, str]:
        """Read an object whose values are texts."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
            return value
        return self._complain(key, "an object of texts", value, {})

    def objects(
        self,
        key: str,
        read: Callable[[JsonReader], _T],
        *,
        quick: Callable[[dict[str, object]], _T | None] | None = None,
    ) -> tuple[_T, ...]:
        """Read a list of objects, by ``quick`` where that gives something, else by ``read``."""
        value = self._found.get(key, _MISSING)
        if not isinstance(value, list):
            return self._complain(key, "a list of objects", value, ())
        found: list[_T] = []
        for index, item in enumerate(value):
            good = quick(item) if quick and isinstance(item, dict) else None
            found.append(good or read(self.inner(f"{key}[{index}]", item)))
        return tuple(found)

    def nested(self, key: str, read: Callable[[JsonReader], _T]) -> _T:
        """Read an object by ``read``."""
        return read(self.inner(key, self._found.get(key)))

    def file(self, key: str) -> str:
        """Read a file's name that cannot leave its directory."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, str) and _is_plain(value):
            return value
        return self._complain(key, "the plain name of a file in this directory", value, "")

    def flag(self, key: str) -> bool:
        """Read true or false."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, bool):
            return value
        return self._complain(key, "true or false", value, False)  # noqa: FBT003 - a fallback value

    def seconds(self, key: str) -> float:
        """Read a number of seconds."""
        value = self._found.get(key, _MISSING)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = float(min(value, _LARGEST))  # an int of 400 digits is no float
            if 0 <= seconds < _LARGEST:  # neither NaN nor infinity is
                return seconds
        return self._complain(key, "a number of seconds", value, 0.0)

    def all_seconds(self) -> dict[str, float]:
        """Read the whole object: each of its values is a number of seconds."""
        return {key: self.seconds(key) for key in self._found}

    def counts(self, key: str) -> dict[str, int]:
        """Read an object whose values are counts."""
        value = self._found.get(key, _MISSING)
        if not isinstance(value, dict):
            return self._complain(key, "an object of tables and their rows", value, {})
        if all(map(is_count, value.values())):
            return value
        inner = JsonReader(value, self.complaints, where=self._path(key) + ".")
        return {table: inner.count(table) for table in value}

    def inner(self, where: str, item: object) -> JsonReader:
        """Return a reader of an object inside this one."""
        found = item if isinstance(item, dict) else self._complain(where, "an object", item, {})
        return JsonReader(found, self.complaints, where=f"{self._where}{where}.")

    def _path(self, key: str) -> str:
        return self._where + ascii(key[:_LONGEST_NAME])[1:-1]

    def _complain(self, key: str, wanted: str, value: object, instead: _T) -> _T:
        found = "is missing" if value is _MISSING else f"is {quoted(value)}"
        self.complaints.append(f"{self._path(key)} {found}, not {wanted}")
        return instead


def is_text(value: object) -> TypeGuard[str]:
    """Say whether a value is a text that is not empty and stands for bytes."""
    if not isinstance(value, str) or not value:
        return False
    # Neither NUL nor a lone surrogate is printable: the quick answer, and mostly the only one.
    return value.isprintable() or ("\0" not in value and _has_bytes(value))


def is_digest(value: object, digits: int) -> TypeGuard[str]:
    """Say whether a value is a digest in lower-case hexadecimal digits."""
    return isinstance(value, str) and len(value) == digits and not value.strip(_HEXADECIMAL)


def is_count(value: object) -> TypeGuard[int]:
    """Say whether a value is a whole number that is not negative."""
    return type(value) is int and 0 <= value <= _LARGEST  # True is an int to isinstance


def _is_plain(name: str) -> bool:
    """Say whether a name stays in its directory and can be given to the operating system."""
    if not is_text(name) or "/" in name or name in (".", ".."):
        return False
    return len(name.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME


def _has_bytes(text: str) -> bool:
    """Say whether a text stands for bytes at all: UTF-8, or what is not as Python escapes it."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
