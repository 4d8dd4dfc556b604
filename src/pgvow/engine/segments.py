"""Segments on their way into the archive: their source, a bounded queue, and the writer."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from pgvow.archive import Piece
from pgvow.engine.plan import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from pgvow.archive import ArchiveWriter
    from pgvow.engine.plan import Task

_POLL_SECONDS = 0.1


class StoppedError(Exception):
    """Raised in a thread that reads once the work has ended early, for whatever reason."""


@dataclass(frozen=True, slots=True)
class SegmentPart:
    """Some text of a segment, its piece or the future of it, and the rows that end in it.

    ``rows`` None has the writer count them.
    """

    text: memoryview
    piece: Future[Piece] | Piece
    rows: int | None

    def wait(self) -> Piece:
        """Return the piece when it is compressed; raises the error of the compression."""
        return self.piece if isinstance(self.piece, Piece) else self.piece.result()


class SegmentSource(Protocol):
    """Supplies the rows of segments: from a server, or from any archive that has them already."""

    def parts(self, task: Task) -> Iterator[SegmentPart]:
        """Yield the parts of a segment in order, none for a segment without rows.

        The caller asks for segments in the order of the plan, each once, and takes all parts of one
        before it asks for the next: a source may read ahead. Raises the error of the source; it
        cannot be asked again after that.
        """


def write_segments(
    writer: ArchiveWriter,
    tasks: Iterable[Task],
    source: SegmentSource,
    *,
    written: Callable[[Task], None],
) -> None:
    """Write the block of every table, segment by segment; ``written`` is called after each."""
    numbers = {entry.oid: entry.dump_id for entry in writer.toc.table_data}
    current = None
    for task in tasks:
        if task.work is Work.COUNT:  # the first task of every table
            if current is not None:
                writer.end_table()
            current = task.oid
            writer.begin_table(numbers[current])
            continue
        for part in source.parts(task):
            writer.add(part.text, part.wait(), rows=part.rows)
        written(task)
    if current is not None:
        writer.end_table()


class SegmentQueue:
    """Takes parts of numbered segments from many threads, and yields them in order in one.

    A thread waits in ``put`` while parts with more than ``most`` bytes of text are queued. Of the
    segment that is being written, ``awaited`` bytes are always let in, and one part of any size:
    other segments cannot keep it from being finished, as the writer waits for it.
    """

    def __init__(self, most: int, *, awaited: int) -> None:
        self._queues: dict[int, SimpleQueue[SegmentPart | None]] = {}  # of segments begun
        self._most = most
        self._awaited = awaited
        self._queued: Counter[int] = Counter()  # bytes by segment
        self._queued_in_all = 0
        self._current = -1
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._stopped = False

    def put(self, number: int, part: SegmentPart) -> None:
        """Add a part of a segment as soon as there is room; raises StoppedError."""
        size = len(part.text)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(number, size))
            if self._stopped:
                raise StoppedError
            self._count(number, size)
        self._queue(number).put(part)

    def end(self, number: int) -> None:
        """Mark a segment as complete."""
        self._queue(number).put(None)

    def parts(self, number: int) -> Iterator[SegmentPart]:
        """Yield the parts of the segment to be written now; raises the error given to ``fail``."""
        with self._changed:
            self._current = number
            self._changed.notify_all()
        queue = self._queue(number)
        while (part := self._next(queue)) is not None:
            yield part
            with self._changed:
                self._count(number, -len(part.text))
                self._changed.notify_all()
        del self._queues[number], self._queued[number]

    def fail(self, error: BaseException) -> None:
        """Stop with an error for the writer; the first one counts."""
        with self._changed:
            if self._failure is None and not self._stopped:
                self._failure = error
            self._stopped = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop for a reason that the writer knows: later errors of readers follow from it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error given to ``fail``, if there is one."""
        if self._failure is not None:
            raise self._failure

    def _queue(self, number: int) -> SimpleQueue[SegmentPart | None]:
        with self._changed:
            return self._queues.setdefault(number, SimpleQueue())

    def _has_room(self, number: int, size: int) -> bool:
        if self._queued_in_all + size <= self._most:
            return True
        own = self._queued[number]
        return number == self._current and (not own or own + size <= self._awaited)

    def _count(self, number: int, size: int) -> None:
        self._queued[number] += size
        self._queued_in_all += size

    def _next(self, queue: SimpleQueue[SegmentPart | None]) -> SegmentPart | None:
        while True:
            self.check()
            try:
                return queue.get(timeout=_POLL_SECONDS)  # a signal's handler runs in between
            except Empty:
                continue
