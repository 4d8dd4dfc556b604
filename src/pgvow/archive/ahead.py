"""An iterator that works ahead in a thread of its own."""

from __future__ import annotations

import queue
import threading
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

T = TypeVar("T")

DEPTH = 3
# Handing over pieces of 96 KB one by one cost more than was gained.
BATCH = 8


class Ahead(Generic[T]):
    """Runs an iterable in a thread, some items ahead of whoever iterates over this.

    At most ``DEPTH`` times ``BATCH`` items wait, and as many as ``BATCH`` are handed over at once.

    What the iterable raises is raised to the consumer. Leaving the ``with`` ends the thread,
    whether everything was consumed or not.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._queue: queue.Queue[list[T] | _End] = queue.Queue(DEPTH)
        self._unwanted = False
        self._thread = threading.Thread(target=self._produce, name="pgvow-ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unwanted = True
        # A producer that waits for room finds some, and then that nobody wants more.
        while not self._queue.empty():
            self._queue.get_nowait()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while isinstance(got := self._queue.get(), list):
            yield from got
        if got.error is not None:
            raise got.error

    def _produce(self) -> None:
        end = _End(None)
        items = iter(self._items)
        try:
            while not self._unwanted and (batch := list(islice(items, BATCH))):
                self._queue.put(batch)
        except BaseException as error:  # noqa: BLE001 - it is the consumer's, who raises it
            end = _End(error)
        self._queue.put(end)


class _End:
    """The end of production, and why."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
