"""COPY text into CSV as RFC 4180 has it, in pieces, with bounded memory however long a value is."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    """Raised if a text is not as COPY TO writes it."""


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


def encode_field(value: bytes) -> bytes:
    """Return one field as COPY TO writes a value that is not NULL."""
    text = value.replace(BACKSLASH, BACKSLASH * 2)
    for escape, byte in _ESCAPES:
        text = text.replace(byte, escape)
    return text


def whole_escapes(raw: bytes) -> int:
    """Return the length of the beginning that cuts no escape in two: all of it, or one less."""
    backslashes = len(raw) - len(raw.rstrip(BACKSLASH))
    return len(raw) - backslashes % 2


# A longer value is passed on piece by piece, and quoted, as the rest of it is not known.
LONG = 1 << 20

_COMMA = b","
_ROW_END = b"\r\n"
_QUOTE = b'"'
_NO_VALUE = b"\0"
_SPECIAL = b"\0\0"
_AROUND = ((b"\t", b"\t"), (b"\t", b"\n"), (b"\n", b"\t"), (b"\n", b"\n"))
_TABS_TO_COMMAS = bytes.maketrans(b"\t", _COMMA)
_NO_ENDS = bytes(byte for byte in range(256) if byte not in b"\t\n")
# From the first special byte to the end of the field, whose beginning is searched backwards.
_SPECIAL_FROM = re.compile(rb'[\\",\r][^\t\n]*').finditer
_PLAIN = re.compile(rb'[^\\",\r]+').fullmatch
_NEEDS_QUOTES = re.compile(rb'[",\r\n]').search
# Alone on a line it would end the input of PostgreSQL's own COPY FROM before 18.
_END_OF_DATA = b"\\."


def header(columns: Sequence[bytes]) -> bytes:
    """Return the row that names the columns."""
    return _COMMA.join([_quoted(column) for column in columns]) + _ROW_END


def csv_rows(text: Iterable[bytes], columns: int, *, long: int = LONG) -> Iterator[bytes]:
    """Turn COPY text, cut anywhere, into CSV: NULL is an empty field, an empty text is ``""``.

    A row is kept until it ends, or until it has more than ``long`` bytes. Raises CopyTextError if
    it is no COPY text, or a row has another number of fields.
    """
    rows = _Rows(columns, long)
    for piece in text:
        yield from rows.take(piece)
    rows.finish()


class _Rows:
    """Turns pieces of COPY text into CSV; keeps the beginning of a row that has not ended."""

    def __init__(self, columns: int, long: int) -> None:
        self._columns = columns
        self._long = max(long, len(NULL))  # of which no part may be passed on
        self._held: list[bytes] = []
        self._size = 0
        self._fields = 0  # of this row that have been passed on
        self._is_inside = False  # a long value, whose beginning has been passed on

    def take(self, piece: bytes) -> Iterator[bytes]:
        """Yield the CSV of every row that ends in this piece."""
        end = piece.rfind(b"\n") + 1
        if end:
            whole = b"".join((*self._held, piece[:end]))
            self._hold(piece[end:])
            if self._is_inside or self._fields:
                start, whole = self._finish_long_row(whole)
                yield start
            yield _whole_rows(whole, self._columns)
        else:
            self._held.append(piece)
            self._size += len(piece)
        if self._size > self._long:
            yield self._pass_on(b"".join(self._held))

    def finish(self) -> None:
        """Raise CopyTextError if the last row does not end."""
        if self._size or self._is_inside or self._fields:
            raise CopyTextError("the last row does not end")

    def _hold(self, rest: bytes) -> None:
        self._held = [rest] if rest else []
        self._size = len(rest)

    def _check(self, count: int) -> None:
        if count != self._columns:
            raise CopyTextError(f"a row has {count} fields, and the table {self._columns} columns")

    def _pass_on(self, text: bytes) -> bytes:
        """Return the CSV of a row's beginning: whole fields, and a part of the last."""
        *whole, last = text.split(b"\t")
        out = [self._next_field(field) for field in whole]
        if len(last) > self._long or self._is_inside:
            cut = whole_escapes(last)
            out.append(self._part(last[:cut]))
            last = last[cut:]
        self._hold(last)
        return b"".join(out)

    def _finish_long_row(self, text: bytes) -> tuple[bytes, bytes]:
        """Return the CSV of the rest of a row whose beginning is out, and the text behind it."""
        line, _, rest = text.partition(b"\n")
        out = [self._next_field(field) for field in line.split(b"\t")]
        self._check(self._fields)
        self._fields = 0
        return b"".join(out) + _ROW_END, rest

    def _next_field(self, field: bytes) -> bytes:
        """Return the CSV of a field, or of its rest if its beginning is out."""
        if self._is_inside:
            end = self._part(field) + _QUOTE
            self._is_inside = False
        else:
            end = self._separator() + csv_field(field)
        self._fields += 1
        return end

    def _part(self, field: bytes) -> bytes:
        start = b"" if self._is_inside else self._separator() + _QUOTE
        self._is_inside = True
        return start + unescape(field).replace(_QUOTE, _QUOTE * 2)

    def _separator(self) -> bytes:
        return _COMMA if self._fields else b""


def _whole_rows(text: bytes, columns: int) -> bytes:
    """Return the CSV of whole rows.

    Field by field it took up to half as long again. So plain text is replaced as a whole, and only
    fields with special bytes one by one. Zero bytes, which no text of PostgreSQL's has, stand for
    NULL in the meantime, and two of them for a special field: there is a tab or a newline between
    any two fields.
    """
    _check_rows(text, columns)
    if not columns:
        return text.replace(b"\n", _ROW_END)
    text = _replaced(b"\n" + text, NULL, _NO_VALUE) if NULL in text else b"\n" + text
    plain, special = _parted(text)
    plain = _replaced(plain, b"", _QUOTE * 2).translate(_TABS_TO_COMMAS).replace(b"\n", _ROW_END)
    if special:
        special.append(b"")
        parts = zip(plain.split(_SPECIAL), special, strict=True)
        plain = b"".join(itertools.chain.from_iterable(parts))
    return plain[len(_ROW_END) :].replace(_NO_VALUE, b"")


def _check_rows(text: bytes, columns: int) -> None:
    if _NO_VALUE in text:
        raise CopyTextError("there is a zero byte in it, which no text of PostgreSQL's has")
    ends = text.translate(None, _NO_ENDS)
    wanted = b"\t" * (columns - 1) + b"\n"
    # A row without columns is empty: any other byte is an error.
    whole = text if not columns else ends
    if whole != wanted * ends.count(b"\n"):
        raise CopyTextError(f"there is a row that has not the table's {columns} columns")


def _replaced(text: bytes, field: bytes, by: bytes) -> bytes:
    """Replace the fields that are equal to ``field``."""
    for before, after in _AROUND:
        old, new = before + field + after, before + by + after
        # Twice, as two in succession share the byte between them.
        text = text.replace(old, new).replace(old, new)
    return text


def _parted(text: bytes) -> tuple[bytes, list[bytes]]:
    """Return the text with markers for the fields with special bytes, and those as CSV."""
    plain, special, start = [], [], 0
    for match in _SPECIAL_FROM(text):
        place = match.start()
        begin = max(text.rfind(b"\t", start, place), text.rfind(b"\n", start, place)) + 1
        plain.append(text[start:begin])
        start = match.end()
        special.append(_special_field(text[begin:start]))
    plain.append(text[start:])
    return _SPECIAL.join(plain), special


def csv_field(field: bytes) -> bytes:
    """Return the CSV of one whole field of COPY text."""
    return field if _PLAIN(field) else _special_field(field)


def _special_field(field: bytes) -> bytes:
    if BACKSLASH not in field:  # empty, or to be quoted: the most frequent by far
        return _QUOTE + field.replace(_QUOTE, _QUOTE * 2) + _QUOTE
    return b"" if field == NULL else _quoted(unescape(field))


def _quoted(value: bytes) -> bytes:
    if not value:
        return _QUOTE * 2
    if _NEEDS_QUOTES(value) or value == _END_OF_DATA:
        return _QUOTE + value.replace(_QUOTE, _QUOTE * 2) + _QUOTE
    return value
