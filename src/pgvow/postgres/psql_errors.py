"""What psql complained of: the first error among what it wrote to its standard error."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PREFIX = r"(?:psql:(?:<stdin>:\d+:)? )?"
# "ERROR:  57014: canceling statement", where some psql put their own name in front.
_FROM_SERVER = re.compile(_PREFIX + r"(\w+): +(?:([0-9A-Z]{5}): )?(.*)")
_FROM_PSQL = re.compile(_PREFIX + r"(?:error|fatal): (.*)")
_ERRORS = frozenset({"ERROR", "FATAL", "PANIC"})
_OTHERS = frozenset({"WARNING", "NOTICE", "LOG", "INFO", "DEBUG"})
_CLASSES_OF_OTHERS = ("00", "01", "02")
_HINT = "HINT:  "
_LAST = "LOCATION:"
_LABELS = re.compile(r"\s|LINE \d+:|DETAIL:|HINT:|QUERY:|CONTEXT:|STATEMENT:|LOCATION:")


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error: its SQLSTATE, where it has one; ``whole`` tells that no more of it can come."""

    state: str
    text: str
    hint: str = ""
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.text}\n{_HINT}{self.hint}" if self.hint else self.text


def first_complaint(said: str) -> Complaint | None:
    """Find the first error, by its severity: notices and warnings, however long, are none.

    Of lines that nobody's form fits (libpq's own, of a connection that is gone) the first counts
    where there is no error.
    """
    unknown: Complaint | None = None
    passing = False  # through a message that is no error
    lines = said.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(_LAST):
            passing = False
        elif error := _error(line):
            return _with_hint(error, lines[number + 1 :])
        elif _begins(line):
            passing = True
        elif line and not (passing or unknown or _LABELS.match(line)):
            unknown = Complaint("", line.strip(), whole=True)
    return unknown


def _error(line: str) -> Complaint | None:
    if own := _FROM_PSQL.fullmatch(line):
        return Complaint("", own[1], whole=True)
    found = _FROM_SERVER.fullmatch(line)
    if found and _is_error(found[1], found[2] or ""):
        return Complaint(found[2] or "", found[3])
    return None


def _is_error(severity: str, state: str) -> bool:
    """By the severity; where the server says it in another language, by the SQLSTATE's class."""
    if severity in _ERRORS or severity in _OTHERS or not state:
        return severity in _ERRORS
    return not state.startswith(_CLASSES_OF_OTHERS)


def _begins(line: str) -> bool:
    found = _FROM_SERVER.fullmatch(line)
    return found is not None and (found[2] is not None or found[1] in _OTHERS)


def _with_hint(error: Complaint, behind: list[str]) -> Complaint:
    hint = ""
    for line in behind:
        if line.startswith(_LAST) or _begins(line) or _error(line):
            return Complaint(error.state, error.text, hint, whole=True)
        if line.startswith(_HINT):
            hint = line.removeprefix(_HINT)
    return Complaint(error.state, error.text, hint, whole=error.whole)
