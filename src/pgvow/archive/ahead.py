"""An iterator that works ahead in a thread of its own."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

T = TypeVar("T")

DEPTH = 4


class Ahead(Generic[T]):
    """Runs an iterable in a thread, at most ``DEPTH`` items ahead of whoever iterates over this.

    What the iterable raises is raised to the consumer. Leaving the ``with`` ends the thread,
    whether everything was consumed or not.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        # Bounded by what may be produced: a queue with a bound of its own is written in Python,
        # and both threads would hold the interpreter for it.
        self._room: SimpleQueue[None] = SimpleQueue()
        self._queue: SimpleQueue[_Item[T] | _End] = SimpleQueue()
        self._thread = threading.Thread(target=self._produce, name="pgvow-ahead")
        self._unwanted = False
        for _ in range(DEPTH):
            self._room.put(None)

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
        self._room.put(None)
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while isinstance(got := self._queue.get(), _Item):
            yield got.value
            self._room.put(None)
        if got.error is not None:
            raise got.error

    def _produce(self) -> None:
        end = _End(None)
        try:
            for item in self._items:
                self._room.get()
                if self._unwanted:
                    break
                self._queue.put(_Item(item))
        except BaseException as error:  # noqa: BLE001 - it is the consumer's, who raises it
            end = _End(error)
        self._queue.put(end)


class _Item(Generic[T]):
    """Something that was produced."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


class _End:
    """The end of production, and why."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
