"""The chunks of a damaged block: their payload, and the breaks in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.blocks import MAX_CHUNK
from pgvow.archive.primitives import PIECE
from pgvow.archive.salvage.files import Pages, ZeroRuns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.archive.primitives import ArchiveFile
    from pgvow.archive.toc import TocEntry

# By chance, a byte in 512 begins a plausible chunk in a block of gigabytes.
_CHAIN = 4


@dataclass(frozen=True, slots=True)
class Extent:
    """The range of the file that an entry's block has or had; ``is_last``: the file ends it."""

    entry: TocEntry
    start: int
    end: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Break:
    """Bytes are missing here.

    ``exact``: all that came before is right, as the damage begins where the data stops. Otherwise
    it may have begun earlier.
    """

    exact: bool


class DamagedChunks:
    """Yields the payload of a block's chunks, in pieces of up to ``PIECE``, and its breaks.

    A chunk is taken as it is only if another, or the end of the block, follows it. Else the next
    place is searched from which chunks follow each other, and the bytes up to there are payload
    around a gap.
    """

    def __init__(self, source: ArchiveFile, extent: Extent, int_size: int) -> None:
        self._source = source
        self._pages = Pages(source)
        self._zeros = ZeroRuns(source, extent.end)
        self._end = extent.end
        self._is_last = extent.is_last
        self._head = 1 + int_size
        # Behind the block's own head: its kind and a dump id.
        self._start = extent.start + 1 + self._head
        self._candidates = re.compile(rb"\0(?!\0{%d})" % int_size).finditer

    def __iter__(self) -> Iterator[bytes | Break]:
        position = self._start
        while not self._ends_at(position):
            length = self._length(position)
            after = position + self._head + length
            if length and self._follows(after):
                yield from self._payload(position + self._head, after)
                position = after
                continue
            again = self._next_chain(position + (self._head if length else 0))
            yield from self._around_gap(position, after if length else None, again or self._end)
            if again is None:
                yield Break(exact=self._is_last)
                return
            position = again

    def begin_with_a_chain(self) -> bool:
        """Return whether the first chunks follow each other."""
        return self._is_chain(self._start)

    def _around_gap(self, position: int, after: int | None, stop: int) -> Iterator[bytes | Break]:
        """Yield the payload from the chunk at ``position`` to ``stop``.

        ``after`` is the end of that chunk by its length, None if its head is not plausible.
        """
        if after is None:
            yield self._break_at(position)
            yield from self._payload(position, stop)
            return
        middle = min(after, stop)
        yield from self._payload(position + self._head, middle)
        if after <= stop:
            yield self._break_at(after)
            yield from self._payload(after, stop)
        elif stop != self._end or not self._is_last:
            yield Break(exact=False)

    def _break_at(self, position: int) -> Break:
        is_cut = self._is_last and position + self._head > self._end
        return Break(exact=is_cut or self._zeros.touch(position, self._head))

    def _payload(self, start: int, end: int) -> Iterator[bytes | Break]:
        """Yield the bytes of a range, with a break for each run of zeros."""
        while start < end:
            run = self._zeros.after(start)
            stop = end if run is None else min(end, run[0])
            while start < stop:
                piece = self._source.read_at(start, min(PIECE, stop - start))
                yield piece
                start += len(piece)
            if run is not None and stop < end:
                yield Break(exact=True)
                start = run[1]

    def _length(self, position: int) -> int:
        """Return the length of the chunk that begins there; 0 if none can begin there."""
        head = self._pages.read(position, self._head)
        if position + self._head > self._end or head[0]:
            return 0
        length = int.from_bytes(head[1:], "little")
        return length if length <= MAX_CHUNK else 0

    def _ends_at(self, position: int) -> bool:
        return position + self._head == self._end and not any(
            self._pages.read(position, self._head)
        )

    def _follows(self, position: int) -> bool:
        """Return whether a chunk within the block begins there, or the block ends."""
        if self._ends_at(position):
            return True
        length = self._length(position)
        longest = self._end - position - 2 * self._head
        return bool(length) and (length <= longest or self._is_last)

    def _next_chain(self, start: int) -> int | None:
        """Return the first position from which chunks follow each other; None if there is none."""
        while start < self._end:
            window = self._source.read_at(start, min(PIECE, self._end - start))
            whole = len(window) - self._head + 1
            for match in self._candidates(window):
                if match.start() < whole and self._is_chain(start + match.start()):
                    return start + match.start()
            if whole <= 0 or start + len(window) >= self._end:
                return None
            start += whole
        return None

    def _is_chain(self, position: int) -> bool:
        for depth in range(_CHAIN):
            if depth and self._ends_at(position):
                return True
            length = self._length(position)
            position += self._head + length
            if not length or position + self._head > self._end:
                return False
        return True
