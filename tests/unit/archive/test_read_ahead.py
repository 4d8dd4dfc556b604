"""Working ahead in a thread: the same items, the same errors, and an end."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pgvow.archive.decode import DEPTH, Ahead
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("count", [0, 1, DEPTH, DEPTH + 1, 1000])
def test_items_keep_their_order(count: int) -> None:
    """Nothing is lost, doubled or moved."""
    with Ahead(range(count)) as items:
        assert list(range(count)) == list(items)


def test_an_error_of_the_iterable_reaches_the_consumer() -> None:
    """An error of the iterable reaches the consumer, and the thread has ended."""

    def failing() -> Iterator[int]:
        yield from range(3)
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"), Ahead(failing()) as items:
        list(items)
    assert "pgvow-ahead" not in {thread.name for thread in threading.enumerate()}


def test_a_slow_consumer_bounds_the_queue() -> None:
    """A consumer that is slow keeps the producer waiting, so that memory is bounded."""
    made = 0

    def counting() -> Iterator[int]:
        nonlocal made
        for number in itertools.count(1):
            made = number
            yield number

    with Ahead(counting()) as items:
        iterator = iter(items)
        next(iterator)
        wait_until(lambda: made > DEPTH)
        time.sleep(0.05)  # in which a producer that knew no bound would go on
        assert DEPTH + 1 == made


@pytest.mark.parametrize("taken", [0, 1, 100])
def test_leaving_early_ends_the_thread(taken: int) -> None:
    """A consumer that stops early leaves no thread behind, even if the iterable is endless."""
    with Ahead(itertools.count()) as items:
        assert list(range(taken)) == list(itertools.islice(items, taken))
    assert "pgvow-ahead" not in {thread.name for thread in threading.enumerate()}
