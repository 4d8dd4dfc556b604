"""A model of COPY's text format and of CSV, byte by byte, from PostgreSQL's documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPED = {
    ord("\\"): b"\\\\",
    ord("\b"): b"\\b",
    ord("\f"): b"\\f",
    ord("\n"): b"\\n",
    ord("\r"): b"\\r",
    ord("\t"): b"\\t",
    ord("\v"): b"\\v",
}


def copy_field(value: bytes | None) -> bytes:
    r"""Write a value as COPY TO does; None is ``\N``."""
    if value is None:
        return b"\\N"
    return b"".join(_ESCAPED.get(byte, bytes([byte])) for byte in value)


def copy_row(values: Sequence[bytes | None]) -> bytes:
    """Write a row as COPY TO does."""
    return b"\t".join(map(copy_field, values)) + b"\n"


def csv_value(value: bytes | None) -> bytes:
    """Write a value as RFC 4180 has it; None is nothing at all."""
    if value is None:
        return b""
    if value in (b"", b"\\.") or any(byte in b'",\r\n' for byte in value):
        return b'"' + value.replace(b'"', b'""') + b'"'
    return value
