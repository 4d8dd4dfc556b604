"""A digest of COPY text that does not heed the order of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.rows import CopyFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MODULUS = 1 << 128


class UnorderedDigest:
    """Takes COPY text in any pieces: the fingerprint is the sum of the rows' XXH3-128.

    ``columns`` has, for each field of a row in the order wanted, where it stands in the text.
    """

    def __init__(self, columns: Sequence[int] | None = None) -> None:
        self._arrange = _arranger(columns)
        self._rows = 0
        self._size = 0
        self._total = 0
        self._begun: list[bytes] = []

    def update(self, text: bytes) -> None:
        """Take in the next piece, without any terminator."""
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
        """Return what there was so far, in whole rows."""
        return CopyFacts(rows=self._rows, size=self._size, fingerprint=f"{self._total:032x}")


def _arranger(columns: Sequence[int] | None) -> Callable[[bytes], bytes] | None:
    if columns is None or list(columns) == sorted(columns):
        return None

    def arrange(row: bytes) -> bytes:
        # A tab within a value is written as \t: these are the ones between fields.
        fields = row.split(b"\t")
        return b"\t".join([fields[column] for column in columns])

    return arrange
