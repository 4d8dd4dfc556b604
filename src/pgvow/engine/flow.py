"""Between those who read and the one who writes: pieces in order, and not too many of them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from pgvow.archive import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future


_LOOK_SECONDS = 0.1


class StoppedError(Exception):
    """The work was called off; whoever called it off knows why."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some text of a segment, now or soon its piece, and how many rows end in it."""

    text: memoryview
    piece: Future[Piece] | Piece
    rows: int | None

    def wait(self) -> Piece:
        """Wait for the piece."""
        return self.piece if isinstance(self.piece, Piece) else self.piece.result()


class Flow:
    """Takes parts of numbered segments from many threads, and yields them in order in one.

    Whoever brings a part waits while more than ``most`` bytes of text are on their way. For the
    segment that is being written ``awaited`` bytes of its own are always let in, and one part of
    any size: others cannot keep it from being finished, and the writer takes what it waits for.
    """

    def __init__(self, most: int, *, awaited: int) -> None:
        self._queues: dict[int, SimpleQueue[Part | None]] = {}  # of segments that somebody has
        self._most = most
        self._awaited = awaited
        self._on_the_way: Counter[int] = Counter()  # bytes by segment
        self._in_all = 0
        self._current = -1
        self._moved = threading.Condition()
        self._failure: BaseException | None = None
        self._stopped = False

    def put(self, number: int, part: Part) -> None:
        """Hand over a part of a segment, when there is room; raises StoppedError."""
        size = len(part.text)
        with self._moved:
            self._moved.wait_for(lambda: self._stopped or self._has_room(number, size))
            if self._stopped:
                raise StoppedError
            self._count(number, size)
        self._queue(number).put(part)

    def end(self, number: int) -> None:
        """Say that a segment has no more parts."""
        self._queue(number).put(None)

    def parts(self, number: int) -> Iterator[Part]:
        """Yield the parts of the segment whose turn it is; raises what a reader has failed with."""
        with self._moved:
            self._current = number
            self._moved.notify_all()
        queue = self._queue(number)
        while (part := self._next(queue)) is not None:
            yield part
            with self._moved:
                self._count(number, -len(part.text))
                self._moved.notify_all()
        del self._queues[number], self._on_the_way[number]

    def fail(self, error: BaseException) -> None:
        """Call it off; the first reason counts."""
        with self._moved:
            if self._failure is None and not self._stopped:
                self._failure = error
            self._stopped = True
            self._moved.notify_all()

    def stop(self) -> None:
        """Call it off for a reason that is the writer's."""
        with self._moved:
            self._stopped = True
            self._moved.notify_all()

    def check(self) -> None:
        """Raise what a reader has failed with, if one has."""
        if self._failure is not None:
            raise self._failure

    def _queue(self, number: int) -> SimpleQueue[Part | None]:
        with self._moved:
            return self._queues.setdefault(number, SimpleQueue())

    def _has_room(self, number: int, size: int) -> bool:
        if self._in_all + size <= self._most:
            return True
        own = self._on_the_way[number]
        return number == self._current and (not own or own + size <= self._awaited)

    def _count(self, number: int, size: int) -> None:
        self._on_the_way[number] += size
        self._in_all += size

    def _next(self, queue: SimpleQueue[Part | None]) -> Part | None:
        while True:
            self.check()
            try:
                return queue.get(timeout=_LOOK_SECONDS)  # a signal's handler runs in between
            except Empty:
                continue
