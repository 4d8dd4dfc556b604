r"""Write statements to psql's standard input, and read errors from its standard error.

psql obeys a line of its input that begins with a backslash, expands ``:name``, and decides by the
encoding and the settings that the server reports how a quote ends. Its lexer must meet no text of
the server's. Plain letters mean the same under all settings. A name is made plain by its Unicode
escapes; a statement that is not plain even so is sent as hexadecimal digits, which the server
decodes and psql hands back by ``\gexec`` without reading them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PREFIX = r"(?:psql:(?:<stdin>:\d+:)? )?"
# "ERROR:  57014: canceling statement", some psql put their own name in front.
_FROM_SERVER = re.compile(_PREFIX + r"(\w+): +(?:([0-9A-Z]{5}): )?(.*)")
_FROM_PSQL = re.compile(_PREFIX + r"(?:error|fatal): (.*)")
_ERRORS = frozenset({"ERROR", "FATAL", "PANIC"})
_OTHERS = frozenset({"WARNING", "NOTICE", "LOG", "INFO", "DEBUG"})
_CLASSES_OF_OTHERS = ("00", "01", "02")
_HINT = "HINT:  "
_LAST = "LOCATION:"
_NAME = re.compile(r'("(?:[^"]|"")*")')
_OUTSIDE = re.compile(r"(?:[A-Za-z0-9_ .,()*=<>-]|'[A-Za-z0-9_ .,()-]*')*")
_COMMENT = "--"
_TO_ESCAPE = re.compile(r"[^A-Za-z0-9_ ]")
_TO_ESCAPE_OF_UNKNOWN = re.compile(r"[^A-Za-z0-9_ \x80-\xff]")  # no code points: kept as bytes
_DECODE = "SELECT pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), '{}')"
_LABELS = re.compile(r"\s|LINE \d+:|DETAIL:|HINT:|QUERY:|CONTEXT:|STATEMENT:|LOCATION:")


@dataclass(frozen=True, slots=True)
class PsqlError:
    """An error: its SQLSTATE, if it has one; ``whole`` if no more of it can come."""

    state: str
    text: str
    hint: str = ""
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.text}\n{_HINT}{self.hint}" if self.hint else self.text


def first_complaint(said: str) -> PsqlError | None:
    """Find the first error, by its severity: notices and warnings, however long, are none.

    Of lines that nobody's form fits (libpq's own, of a connection that is gone) the first counts
    if there is no error.
    """
    unknown: PsqlError | None = None
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
            unknown = PsqlError("", line.strip(), whole=True)
    return unknown


def _error(line: str) -> PsqlError | None:
    if own := _FROM_PSQL.fullmatch(line):
        return PsqlError("", own[1], whole=True)
    parts = _FROM_SERVER.fullmatch(line)
    if parts and _is_error(parts[1], parts[2] or ""):
        return PsqlError(parts[2] or "", parts[3])
    return None


def _is_error(severity: str, state: str) -> bool:
    """Decide by the severity; if that is in another language, by the SQLSTATE's class."""
    if severity in _ERRORS or severity in _OTHERS or not state:
        return severity in _ERRORS
    return not state.startswith(_CLASSES_OF_OTHERS)


def _begins(line: str) -> bool:
    parts = _FROM_SERVER.fullmatch(line)
    return parts is not None and (parts[2] is not None or parts[1] in _OTHERS)


def _with_hint(error: PsqlError, behind: list[str]) -> PsqlError:
    hint = ""
    for line in behind:
        if line.startswith(_LAST) or _begins(line) or _error(line):
            return PsqlError(error.state, error.text, hint, whole=True)
        if line.startswith(_HINT):
            hint = line.removeprefix(_HINT)
    return PsqlError(error.state, error.text, hint, whole=error.whole)


def plain(statement: str, *, unknown: bool = False) -> str | None:
    """Return the statement with its names escaped to plain letters; None if more is not plain.

    ``unknown`` is for bytes of no known encoding, carried as LATIN1: those beyond ASCII stay.
    """
    parts = _NAME.split(statement)
    # The text outside has no quotes but those of plain literals: so these are names, and nothing
    # else.
    if any(_COMMENT in part or not _OUTSIDE.fullmatch(part) for part in parts[::2]):
        return None
    pattern = _TO_ESCAPE_OF_UNKNOWN if unknown else _TO_ESCAPE
    parts[1::2] = [_escaped(part[1:-1].replace('""', '"'), pattern) for part in parts[1::2]]
    return "".join(parts)


def _escaped(name: str, pattern: re.Pattern[str]) -> str:
    escaped = pattern.sub(lambda match: f"!+{ord(match[0]):06x}", name)
    return f'"{name}"' if escaped == name else f"U&\"{escaped}\" UESCAPE '!'"


def for_psql(statement: str, *, unknown: bool = False, then: str = "") -> bytes:
    """Return the input by which psql runs one composed statement, and ``then`` behind it.

    ``then`` is a constant of ours; a plain statement is sent in one message with it. Any other has
    to be sent after ``CopySession.end_at_errors``: psql reports no SQLSTATE of a statement that it
    hands back.
    """
    encoding, codec = ("SQL_ASCII", "latin-1") if unknown else ("UTF8", "utf-8")
    text = plain(statement, unknown=unknown)
    if text is not None:
        return (text + (f"\n\\; {then}" if then else "") + "\n;\n").encode(codec)
    decode = _DECODE.format(statement.encode(codec).hex(), encoding)
    return (decode + " \\gexec\n" + (then + "\n;\n" if then else "")).encode("ascii")
