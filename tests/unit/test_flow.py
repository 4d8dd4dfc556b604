"""Between readers and the writer: in order, not too much at a time, and nobody waits in vain."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from pgvow.archive import Piece
from pgvow.engine.flow import Flow, Part, StoppedError
from tests.support.waiting import wait_until


def part(text: bytes) -> Part:
    """A part that is compressed already."""
    return Part(memoryview(text), Piece(text, len(text), 1), text.count(b"\n"))


def texts(flow: Flow, number: int) -> list[bytes]:
    """Take all of a segment."""
    return [bytes(one.text) for one in flow.parts(number)]


def test_segments_come_in_order_whoever_was_first() -> None:
    """What was brought for the second segment waits until the first has been taken."""
    flow = Flow(most=100, awaited=10)
    flow.put(2, part(b"second"))
    flow.end(2)
    flow.put(1, part(b"fir"))
    flow.put(1, part(b"st"))
    flow.end(1)
    assert [b"fir", b"st"] == texts(flow, 1)
    assert [b"second"] == texts(flow, 2)


def test_who_is_ahead_waits_and_who_is_awaited_does_not() -> None:
    """Beyond the limit the second segment's reader waits; the first one has room of its own."""
    flow = Flow(most=10, awaited=50)
    flow.put(2, part(b"x" * 10))
    ahead = threading.Thread(target=flow.put, args=(2, part(b"y")), daemon=True)
    ahead.start()
    taken = flow.parts(1)
    brought = threading.Thread(
        target=lambda: (flow.put(1, part(b"z" * 50)), flow.end(1)), daemon=True
    )
    brought.start()
    assert b"z" * 50 == bytes(next(taken).text)
    assert ahead.is_alive()
    assert list(taken) == []
    flow.end(2)  # the reader's own end comes after its last part; here it need not
    first = flow.parts(2)
    assert b"x" * 10 == bytes(next(first).text)
    wait_until(lambda: not ahead.is_alive())


def test_who_is_awaited_waits_too_once_its_own_room_is_full() -> None:
    """What is read faster than it is compressed does not pile up, and goes on when it is taken."""
    flow = Flow(most=10, awaited=20)
    brought: list[int] = []

    def bring() -> None:
        for number in range(5):
            flow.put(1, part(b"x" * 10))
            brought.append(number)
        flow.end(1)

    taken = flow.parts(1)
    reader = threading.Thread(target=bring, daemon=True)
    reader.start()
    assert b"x" * 10 == bytes(next(taken).text)
    wait_until(lambda: 2 == len(brought))
    reader.join(0.1)
    assert 2 == len(brought)
    assert [b"x" * 10] * 4 == [bytes(one.text) for one in taken]


def test_what_was_brought_ahead_counts_when_its_turn_comes() -> None:
    """A segment that fills the room before it is awaited gets no more of it then."""
    flow = Flow(most=20, awaited=20)
    flow.put(2, part(b"x" * 20))
    reader = threading.Thread(target=flow.put, args=(2, part(b"y" * 10)), daemon=True)
    reader.start()
    flow.end(1)
    assert [] == texts(flow, 1)
    taken = flow.parts(2)
    next(taken)
    reader.join(0.1)
    assert reader.is_alive()
    assert b"y" * 10 == bytes(next(taken).text)


def test_a_part_larger_than_the_limit_goes_through_in_its_turn() -> None:
    """The limit is for those who are ahead; nothing is too large to be written."""
    flow = Flow(most=1, awaited=1)
    threading.Thread(target=lambda: (flow.put(1, part(b"large")), flow.end(1))).start()
    assert [b"large"] == texts(flow, 1)


def test_the_first_failure_is_the_one_that_counts() -> None:
    """Whoever waits to bring something is told to stop; the writer gets the first reason."""
    flow = Flow(most=1, awaited=1)
    flow.put(2, part(b"a"))
    stopped: list[str] = []

    def bring() -> None:
        try:
            flow.put(2, part(b"b"))
        except StoppedError:
            stopped.append("stopped")

    waiting = threading.Thread(target=bring)
    waiting.start()
    flow.fail(ValueError("first"))
    flow.fail(ValueError("second"))
    waiting.join()
    assert ["stopped"] == stopped
    with pytest.raises(ValueError, match="first"):
        next(flow.parts(1))


def test_after_the_writer_has_stopped_no_reason_of_a_reader_counts() -> None:
    """Readers that fail because they were ended are not what went wrong."""
    flow = Flow(most=1, awaited=1)
    flow.stop()
    flow.fail(ValueError("a consequence"))
    flow.check()
    with pytest.raises(StoppedError):
        flow.put(1, part(b"a"))


def test_a_piece_that_is_still_being_compressed_is_waited_for() -> None:
    """The writer waits for the piece, and gets what the compressing failed with."""
    future: Future[Piece] = Future()
    waiting = Part(memoryview(b"a"), future, 0)
    future.set_exception(MemoryError("compressing"))
    with pytest.raises(MemoryError, match="compressing"):
        waiting.wait()
