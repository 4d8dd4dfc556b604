"""Hold off Ctrl-C and its like where their exception would come between two halves of a thing."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType


class SignalsKeptBack:
    """Keep signals that ask us to stop from being handled for a moment.

    While a child is forked: Python calls hooks of its own after it (``logging``'s, for one) and
    ignores whatever they raise: a handler that raises there is called for nothing, and the signal
    is lost. Seen as runs that went on after Ctrl-C. And between making a file and noting that it
    is to be removed, where a handler that raises would leave it for good.

    Afterwards ``deliver()`` has the signals handled; leaving the block by an exception delivers
    them at once. Handlers are the main thread's, so others do nothing.
    """

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if callable(signal.getsignal(each)):
                    self._handlers[each] = signal.signal(each, self._keep)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        if error is not None:
            self.deliver()

    def deliver(self) -> None:
        """Have the signals handled that came meanwhile; raises what their handlers raise."""
        while self._kept:
            signal.raise_signal(self._kept.pop(0))

    def _keep(self, signum: int, _frame: FrameType | None) -> None:
        self._kept.append(signum)
