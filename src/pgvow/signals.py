"""Ctrl-C and its like: an exception that is not lost, and comes between no two halves."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.2


class Stopped(KeyboardInterrupt):
    """We were asked to stop.

    Not an Exception: libraries that try something and go on when it fails, and our own code that
    makes a warning of an error, would go on after a Ctrl-C as well.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class StopSignals:
    """Turns the signals that ask us to stop into ``Stopped``, once; a nohup stays in force.

    A handler's exception can be lost: Python ignores what is raised in a destructor or a weak
    reference's callback, and some libraries swallow everything. So a timer looks whether it is on
    its way, and raises it again if not, until ``heeded()``. Clearing up is not interrupted.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def obey(self) -> None:
        """Install the handlers."""
        for each in STOPPING:
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, self._stop)

    def heeded(self) -> None:
        """Say that whoever has to end the run knows of it."""
        if self.received is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop(self, signum: int, _frame: FrameType | None) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        self.received = signum
        sys.unraisablehook = _quiet_about_stops
        signal.signal(signal.SIGALRM, self._again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS, _AGAIN_SECONDS)
        raise Stopped(signum)

    def _again(self, _signum: int, _frame: FrameType | None) -> None:
        if self.received is not None and stop_behind(sys.exc_info()[1]) is None:
            raise Stopped(self.received)


def stop_behind(error: BaseException | None) -> Stopped | None:
    """Find the ``Stopped`` that an exception is or stems from."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__cause__ or error.__context__
    return error


def _quiet_about_stops(unraisable: sys.UnraisableHookArgs) -> None:
    """Print no traceback of a stop that was lost: it comes again."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)


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
            for each in (*STOPPING, signal.SIGALRM):
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
