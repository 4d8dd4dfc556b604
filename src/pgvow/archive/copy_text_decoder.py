"""COPY text back into values: strictly what COPY TO writes, and nothing else."""

from __future__ import annotations

NULL = b"\\N"
BACKSLASH = b"\\"
_STAND_IN = b"\0"  # for a backslash that is none of an escape's
_ESCAPES = (
    (b"\\n", b"\n"),
    (b"\\t", b"\t"),
    (b"\\r", b"\r"),
    (b"\\b", b"\b"),
    (b"\\f", b"\f"),
    (b"\\v", b"\v"),
)


class CopyTextError(Exception):
    """The text is not what COPY TO writes."""


def decode_field(raw: bytes) -> bytes | None:
    r"""Return the value of one field, None for ``\N``; raises CopyTextError.

    Octal and hexadecimal escapes are refused: COPY FROM would take them, COPY TO never writes them.
    """
    if BACKSLASH not in raw:
        return raw
    return None if raw == NULL else unescape(raw)


def unescape(raw: bytes) -> bytes:
    """Undo the escapes of a field, or of a part of one that cuts none of them in two."""
    if _STAND_IN in raw:
        raise CopyTextError("there is a zero byte in it, which no text of PostgreSQL's has")
    # Whole replacements: text full of line breaks took 20 times as long escape by escape.
    text = raw.replace(BACKSLASH * 2, _STAND_IN)
    for escape, byte in _ESCAPES:
        text = text.replace(escape, byte)
    if BACKSLASH in text:
        start = text.index(BACKSLASH)
        raise CopyTextError(f"{text[start : start + 2]!r} is no escape that COPY writes")
    return text.replace(_STAND_IN, BACKSLASH)


def whole_escapes(raw: bytes) -> int:
    """Return how much of the beginning of a field cuts no escape in two: all of it, or one less."""
    backslashes = len(raw) - len(raw.rstrip(BACKSLASH))
    return len(raw) - backslashes % 2
