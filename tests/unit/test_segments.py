"""Between readers and the writer: in order, not too much at a time, from any source."""

from __future__ import annotations

import io
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import (
    ArchiveWriter,
    Encoder,
    Head,
    Piece,
    copy_text,
    encoder_for,
    read_archive,
    read_toc,
)
from pgvow.engine.plan import TableStorage, Task, Tasks
from pgvow.engine.segments import SegmentPart, SegmentQueue, StoppedError, write_segments
from tests.support.archives import Schema, Spec, Table, build
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


def part(text: bytes) -> SegmentPart:
    """A part that is compressed already."""
    return SegmentPart(memoryview(text), Piece(text, len(text), 1), text.count(b"\n"))


def texts(queue: SegmentQueue, number: int) -> list[bytes]:
    """Take all of a segment."""
    return [bytes(one.text) for one in queue.parts(number)]


def test_segments_are_written_in_order_whatever_arrives_first() -> None:
    """Pieces of the second segment wait until the first has been taken."""
    queue = SegmentQueue(most=100, awaited=10)
    queue.put(2, part(b"second"))
    queue.end(2)
    queue.put(1, part(b"fir"))
    queue.put(1, part(b"st"))
    queue.end(1)
    assert [b"fir", b"st"] == texts(queue, 1)
    assert [b"second"] == texts(queue, 2)


def test_only_readers_ahead_wait_at_the_limit() -> None:
    """Beyond the limit the second segment's reader waits; the first one has room of its own."""
    queue = SegmentQueue(most=10, awaited=50)
    queue.put(2, part(b"x" * 10))
    ahead = threading.Thread(target=queue.put, args=(2, part(b"y")), daemon=True)
    ahead.start()
    taken = queue.parts(1)
    brought = threading.Thread(
        target=lambda: (queue.put(1, part(b"z" * 50)), queue.end(1)), daemon=True
    )
    brought.start()
    assert b"z" * 50 == bytes(next(taken).text)
    assert ahead.is_alive()
    assert list(taken) == []
    queue.end(2)  # the reader's own end comes after its last part; here it need not
    first = queue.parts(2)
    assert b"x" * 10 == bytes(next(first).text)
    wait_until(lambda: not ahead.is_alive())


def test_the_awaited_reader_waits_once_its_own_room_is_full() -> None:
    """Rows read faster than they are compressed do not pile up, and reading goes on later."""
    queue = SegmentQueue(most=10, awaited=20)
    brought: list[int] = []

    def bring() -> None:
        for number in range(5):
            queue.put(1, part(b"x" * 10))
            brought.append(number)
        queue.end(1)

    taken = queue.parts(1)
    reader = threading.Thread(target=bring, daemon=True)
    reader.start()
    assert b"x" * 10 == bytes(next(taken).text)
    wait_until(lambda: 2 == len(brought))
    reader.join(0.1)
    assert 2 == len(brought)
    assert [b"x" * 10] * 4 == [bytes(one.text) for one in taken]


def test_pieces_queued_ahead_count_when_awaited() -> None:
    """A segment that fills the room before it is awaited gets no more of it then."""
    queue = SegmentQueue(most=20, awaited=20)
    queue.put(2, part(b"x" * 20))
    reader = threading.Thread(target=queue.put, args=(2, part(b"y" * 10)), daemon=True)
    reader.start()
    queue.end(1)
    assert [] == texts(queue, 1)
    taken = queue.parts(2)
    next(taken)
    reader.join(0.1)
    assert reader.is_alive()
    assert b"y" * 10 == bytes(next(taken).text)


def test_a_piece_larger_than_the_limit_is_written() -> None:
    """The limit is for those who are ahead; nothing is too large to be written."""
    queue = SegmentQueue(most=1, awaited=1)
    threading.Thread(target=lambda: (queue.put(1, part(b"large")), queue.end(1))).start()
    assert [b"large"] == texts(queue, 1)


def test_the_first_failure_is_raised() -> None:
    """Readers that wait are stopped; the writer raises the first error."""
    queue = SegmentQueue(most=1, awaited=1)
    queue.put(2, part(b"a"))
    stopped: list[str] = []

    def bring() -> None:
        try:
            queue.put(2, part(b"b"))
        except StoppedError:
            stopped.append("stopped")

    waiting = threading.Thread(target=bring)
    waiting.start()
    queue.fail(ValueError("first"))
    queue.fail(ValueError("second"))
    waiting.join()
    assert ["stopped"] == stopped
    with pytest.raises(ValueError, match="first"):
        next(queue.parts(1))


def test_failures_of_readers_after_the_writer_stopped_are_ignored() -> None:
    """Readers that fail because they were ended are not the cause."""
    queue = SegmentQueue(most=1, awaited=1)
    queue.stop()
    queue.fail(ValueError("a consequence"))
    queue.check()
    with pytest.raises(StoppedError):
        queue.put(1, part(b"a"))


def test_a_piece_that_is_still_being_compressed_is_waited_for() -> None:
    """The writer waits for the piece, and raises the error of the compression."""
    future: Future[Piece] = Future()
    waiting = SegmentPart(memoryview(b"a"), future, 0)
    future.set_exception(MemoryError("compressing"))
    with pytest.raises(MemoryError, match="compressing"):
        waiting.wait()


class OlderArchive:
    """A source of segments without any server: the tables of another archive, compressed anew."""

    def __init__(self, raw: bytes, encoder: Encoder) -> None:
        self._file = io.BytesIO(raw)
        self._toc = read_toc(self._file)
        self._encoder = encoder

    def parts(self, task: Task) -> Iterator[SegmentPart]:
        """Yield all rows of the table."""
        (entry,) = (entry for entry in self._toc.entries if entry.dump_id == task.oid)
        for text in copy_text(self._file, self._toc, entry):
            yield SegmentPart(memoryview(text), self._encoder.encode(text), None)


def test_an_archive_is_filled_from_another_archive() -> None:
    """The writer of segments asks nothing of a source but parts: rows come over unchanged."""
    rows = b"".join(b"%d\n" % number for number in range(50_000))
    parts = (Schema("orders"), Table("orders", rows), Table("empty"), Table("items", b"1\n"))
    older = build(Spec(parts, version=16, compression="zstd"))
    head = Head.read(io.BytesIO(build(Spec(parts, version=16, compression="gzip", offsets=False))))
    # Each table by an oid of its own: here the number of its entry.
    entries = tuple(replace(entry, oid=entry.dump_id) for entry in head.toc.entries)
    head = replace(head, toc=replace(head.toc, entries=entries))
    order = [entry.oid for entry in head.toc.table_data]
    tasks = Tasks(order, {oid: TableStorage(oid, 1, 8192, 1, by_blocks=True) for oid in order})
    encoder = encoder_for(head.toc.header.compression, None)
    file = io.BytesIO()
    writer = ArchiveWriter(file, head, encoder)
    written: list[int] = []
    write_segments(
        writer, tasks, OlderArchive(older, encoder), written=lambda task: written.append(task.oid)
    )
    writer.finish()
    assert order == written
    before, after = read_archive(io.BytesIO(older)), read_archive(file)
    assert [50_000, 0, 1] == [table.rows for table in after.tables]
    assert [table.fingerprint for table in before.tables] == [
        table.fingerprint for table in after.tables
    ]
