r"""Write a statement for psql's standard input so that its lexer meets no text of the server's.

psql obeys a line of its input that begins with a backslash, expands ``:name``, and decides where a
quote ends by the encoding and the settings that the server reports. Plain letters mean the same
under all of them. A name is made plain by its Unicode escapes; a statement that is not plain even
so goes as hexadecimal digits, which the server decodes and psql hands back by ``\gexec`` without
reading them.
"""

from __future__ import annotations

import re

_NAME = re.compile(r'("(?:[^"]|"")*")')
_OUTSIDE = re.compile(r"(?:[A-Za-z0-9_ .,()*=<>-]|'[A-Za-z0-9_ .,()-]*')*")
_COMMENT = "--"
_TO_ESCAPE = re.compile(r"[^A-Za-z0-9_ ]")
_TO_ESCAPE_OF_UNKNOWN = re.compile(r"[^A-Za-z0-9_ \x80-\xff]")  # no code points: kept as bytes
_DECODE = "SELECT pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), '{}')"


def plain(statement: str, *, unknown: bool = False) -> str | None:
    """Return the statement with its names escaped to plain letters; None if more is not plain.

    ``unknown`` is for bytes of no known encoding, carried as LATIN1: those beyond ASCII stay.
    """
    parts = _NAME.split(statement)
    # What is outside has no quote but of plain literals: so these are names, and nothing else.
    if any(_COMMENT in part or not _OUTSIDE.fullmatch(part) for part in parts[::2]):
        return None
    pattern = _TO_ESCAPE_OF_UNKNOWN if unknown else _TO_ESCAPE
    parts[1::2] = [_escaped(part[1:-1].replace('""', '"'), pattern) for part in parts[1::2]]
    return "".join(parts)


def _escaped(name: str, pattern: re.Pattern[str]) -> str:
    found = pattern.sub(lambda one: f"!+{ord(one[0]):06x}", name)
    return f'"{name}"' if found == name else f"U&\"{found}\" UESCAPE '!'"


def for_psql(statement: str, *, unknown: bool = False, then: str = "") -> bytes:
    """Return the input by which psql runs one composed statement, and ``then`` behind it.

    ``then`` is a constant of ours; a plain statement is sent in one message with it. Any other has
    to be sent after ``CopySession.end_at_errors``: psql reports no SQLSTATE of what it hands back.
    """
    encoding, codec = ("SQL_ASCII", "latin-1") if unknown else ("UTF8", "utf-8")
    text = plain(statement, unknown=unknown)
    if text is not None:
        return (text + (f"\n\\; {then}" if then else "") + "\n;\n").encode(codec)
    decode = _DECODE.format(statement.encode(codec).hex(), encoding)
    return (decode + " \\gexec\n" + (then + "\n;\n" if then else "")).encode("ascii")
