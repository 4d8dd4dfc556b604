"""COPY text: the terminator behind it, its rows, and its facts: number, bytes, fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.csv_text import CopyTextError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# pg_dump writes it behind the last row. No row can contain it: a backslash of a row is doubled.
TERMINATOR = b"\\.\n\n\n"
# Counting newlines holds the interpreter, hashing lets others have it: so they take turns.
AT_A_TIME = 96 * 1024
_LEAST_HELD = len(TERMINATOR) + 1  # and the newline of the last row
_MOST_HELD = 256  # small: pieces of a few bytes are added to it one by one


class TextError(Exception):
    """Raised if the text of a table's data is not complete."""


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """The rows and bytes of a COPY text, and XXH3-128 of them in hexadecimal."""

    rows: int
    size: int
    fingerprint: str


class CopyDigest:
    """Computes the facts of COPY text, given in any pieces."""

    def __init__(self) -> None:
        self._rows = 0
        self._size = 0
        self._hash = xxhash.xxh3_128()

    def update(self, text: bytes | memoryview, *, rows: int | None = None) -> None:
        """Add the next piece, without any terminator; ``rows`` is the number that end in it.

        None has them counted, which takes longer than the fingerprint.
        """
        self._size += len(text)
        if rows is not None:
            self._rows += rows
            self._hash.update(text)
            return
        for piece in _pieces(text):
            self._rows += _newlines(piece)
            self._hash.update(piece)

    def facts(self) -> CopyFacts:
        """Return the facts so far."""
        return CopyFacts(rows=self._rows, size=self._size, fingerprint=self._hash.hexdigest())


def count_rows(text: bytes | memoryview) -> int:
    """Count the rows that end in a piece of COPY text."""
    return sum(map(_newlines, _pieces(text)))


def _pieces(text: bytes | memoryview) -> Iterator[bytes]:
    if isinstance(text, bytes) and len(text) <= AT_A_TIME:
        yield text
        return
    view = memoryview(text)
    for start in range(0, len(view), AT_A_TIME):
        yield bytes(view[start : start + AT_A_TIME])


def _newlines(text: bytes) -> int:
    """Count the newlines, which end rows: one in a value is written as backslash and n.

    Removing them took a half to a third of the time of ``count``.
    """
    return len(text) - len(text.replace(b"\n", b""))


def without_terminator(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces up to the terminator; raises TextError if the text does not end with it.

    The last piece is held back until it is known to be the last. It is the whole piece rather than
    its last bytes, so that nothing needs to be copied.
    """
    held = b""
    for piece in pieces:
        if len(piece) > len(TERMINATOR):
            if held:
                yield held
            held = piece
        else:
            held += piece
            if len(held) > _MOST_HELD:
                yield held[:-_LEAST_HELD]
                held = held[-_LEAST_HELD:]
    rows = held.removesuffix(TERMINATOR)
    if rows == held or (rows and not rows.endswith(b"\n")):
        raise TextError("the table's rows end too early")
    yield rows


def whole_rows(text: Iterable[bytes], columns: int) -> Iterator[list[bytes]]:
    """Yield the rows that end in each piece of COPY text, without their newlines.

    A row is kept until it ends, however long. Raises CopyTextError if a row has another number of
    fields, or does not end.
    """
    begun: list[bytes] = []
    for piece in text:
        first, *others = piece.split(b"\n")
        begun.append(first)
        if not others:
            continue
        rows = [b"".join(begun), *others[:-1]]
        begun = [others[-1]]
        _check_fields(rows, columns)
        yield rows
    if any(begun):
        raise CopyTextError("the last row does not end")


def _check_fields(rows: list[bytes], columns: int) -> None:
    # A tab within a value is written as a backslash and t: these are the ones between fields.
    if any(row.count(b"\t") != columns - 1 for row in rows) if columns else any(rows):
        raise CopyTextError(f"there is a row that has not the table's {columns} columns")
    if any(b"\0" in row for row in rows):
        raise CopyTextError("there is a zero byte in it, which no text of PostgreSQL's has")


def picker(places: Sequence[int], columns: int) -> Callable[[bytes], bytes]:
    """Return a function that takes the fields at these places out of a row of so many columns."""
    chosen = tuple(places)
    if chosen == tuple(range(columns)):
        return bytes  # the very row
    if chosen == (0,):
        return lambda row: row.partition(b"\t")[0]

    def pick(row: bytes) -> bytes:
        fields = row.split(b"\t")
        return b"\t".join([fields[place] for place in chosen])

    return pick


_MODULUS = 1 << 128


class UnorderedDigest:
    """Computes facts that do not depend on the order of rows: the sum of the rows' XXH3-128.

    ``columns`` has, for each field of a row in the wanted order, its index in the text.
    """

    def __init__(self, columns: Sequence[int] | None = None) -> None:
        self._arrange = _arranger(columns)
        self._rows = 0
        self._size = 0
        self._total = 0
        self._begun: list[bytes] = []

    def update(self, text: bytes) -> None:
        """Add the next piece, without any terminator."""
        self._size += len(text)
        first, *others = text.split(b"\n")
        self._begun.append(first)
        if not others:
            return
        rows = [b"".join(self._begun), *others[:-1]]
        self._begun = [others[-1]]
        if self._arrange is not None:
            rows = list(map(self._arrange, rows))
        self._rows += len(rows)
        self._total = (self._total + sum(map(xxhash.xxh3_128_intdigest, rows))) % _MODULUS

    def facts(self) -> CopyFacts:
        """Return the facts of the complete rows so far."""
        return CopyFacts(rows=self._rows, size=self._size, fingerprint=f"{self._total:032x}")


def _arranger(columns: Sequence[int] | None) -> Callable[[bytes], bytes] | None:
    if columns is None or list(columns) == sorted(columns):
        return None

    def arrange(row: bytes) -> bytes:
        # A tab within a value is written as \t: these are the ones between fields.
        fields = row.split(b"\t")
        return b"\t".join([fields[column] for column in columns])

    return arrange
