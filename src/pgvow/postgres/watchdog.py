"""End a run whose server or tool has fallen silent, or that takes longer than it may.

One thread looks at everything that is being waited for: sessions of ours with a statement under
way, and the programs we have started. A program lives as long as its threads get processor time,
for whatever reason; a session lives as long as its wait is a new one. If neither is so for half of
the time allowed, another session asks the server: a statement that it reports as active, and not as
waiting for its client, is work (the count of a terabyte, an index, a lock within its own time-out).
Silence therefore means neither data nor a server that answers.

A silent peer is ended by force: programs are killed, and the socket of a session is shut down, so
that libpq returns and the thread that waited gets an error. Whatever that error is turned into on
its way, ``watching`` raises ``Stalled`` in its place.

The watchdog is the process's, as signals are: nothing that is started anywhere can be forgotten.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pgvow.errors import RunTimedOut, Stalled
from pgvow.formats import elapsed, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from types import TracebackType

    Ask = Callable[["Peer", frozenset[int]], bool]

_LONGEST_PAUSE = 1.0
_GOODBYE = 0.5
"""Seconds between SIGTERM, at which pg_dump cancels what its session does, and SIGKILL."""
_AFTERWARDS = 10.0
"""Seconds that each wait may take, at most, while a run that was ended clears up."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds without a sign of progress, and for the whole run; None: as long as it takes."""

    stall: float
    run: float | None = None


class Peer:
    """Something that is waited for while its ``with`` block runs; entering it is cheap.

    ``end`` ends it by force, after ``leave`` has asked it to end. ``pulse`` returns a value that
    changes as long as it works, or None if it has ended; without one only the end of the block is a
    sign. ``backend`` is the process of the server that works for it, if that is known. ``ask`` asks
    its own server about it.
    """

    def __init__(
        self,
        name: str,
        end: Callable[[], None],
        *,
        leave: Callable[[], None] | None = None,
        pulse: Callable[[], object] | None = None,
        ask: Ask | None = None,
        facts: Mapping[str, str] | None = None,
        backend: int = 0,
    ) -> None:
        self.name = name
        self.end = end
        self.leave = leave
        self.pulse = pulse
        self.ask = ask
        self.facts = dict(facts or {})
        self.backend = backend
        self.doing = ""
        self.started = time.monotonic()
        self.since: float | None = None
        """When the wait began, by the monotonic clock; None while it is not waited for."""
        self.vouched = 0.0
        self._last: object = None

    def __enter__(self) -> Self:
        self.since = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.since = None

    def silent_since(self, now: float) -> float | None:
        """Return the moment of the last sign of life; None if it is not waited for."""
        if (since := self.since) is None:
            return None
        if self.pulse is not None:
            pulse = self.pulse()
            if pulse is None:
                return None
            if pulse != self._last:
                self._last = pulse
                self.vouched = now
        return max(since, self.vouched)

    def __str__(self) -> str:
        return f"{self.name}{', ' if self.doing else ''}{self.doing}"


def processor_time(pid: int) -> object:
    """Return the processor time that a process and its children have had; comparable alone.

    Empty on a system without /proc: then its output is its only sign.
    """
    task = Path(f"/proc/{pid}/task/{pid}")
    times: list[object] = []
    with suppress(OSError, ValueError):
        times.append((task / "stat").read_text().rsplit(")", 1)[1].split()[11:13])
        with suppress(OSError):  # nanoseconds, if the kernel counts them
            times.append((task / "schedstat").read_text())
        times += map(processor_time, map(int, (task / "children").read_text().split()))
    return times


class Watchdog:
    """Looks at the peers of one run, and ends the run once: see ``watching``."""

    def __init__(self, patience: Patience, code: int, clock: Callable[[], datetime]) -> None:
        self._patience = patience
        self._code = code
        self._clock = clock
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._peers: set[Peer] = set()
        self._asking: threading.Thread | None = None
        self._asked = 0.0
        self._fired = 0.0
        self._settled = False
        self._over = threading.Event()
        self._pause = min(_LONGEST_PAUSE, patience.stall / 10)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self.error: Stalled | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def add(self, peer: Peer) -> None:
        """Look at a peer from now on."""
        with self._lock:
            self._peers.add(peer)

    def remove(self, peer: Peer) -> None:
        """Look at it no more; repeating it is harmless."""
        with self._lock:
            self._peers.discard(peer)

    def check(self) -> None:
        """Raise Stalled if the run was ended."""
        if self.error is not None:
            raise self.error

    def settle(self) -> None:
        """Let the run end well from here on, or raise Stalled; nothing ends it any more."""
        with self._lock:
            self._settled = self.error is None
        self.check()

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            now = time.monotonic()
            with self._lock:
                peers = list(self._peers)
            if self._settled:
                return
            if self.error is None:
                self._look(peers, now)
            else:
                self._hasten(peers, now)

    def _look(self, peers: list[Peer], now: float) -> None:
        run = self._patience.run
        programs = [peer for peer in peers if peer.leave is not None]
        if run is not None and now - self._began >= run:
            self._fire(_too_long(run, self._code), programs)
            return
        silent = [(since, peer) for peer in peers if (since := peer.silent_since(now)) is not None]
        if not silent:
            return
        since, peer = min(silent, key=lambda one: one[0])
        if now - since >= self._patience.stall:
            error = _silent(peer, now - since, at=self._clock(), code=self._code)
            self._fire(error, [peer, *programs])
        elif now - since >= self._patience.stall / 2:
            self._ask(silent, peers, now)

    def _ask(self, silent: list[tuple[float, Peer]], peers: list[Peer], now: float) -> None:
        """Ask the server about all who have been silent for half of the time, beside this thread.

        A server that does not answer must not keep us from noticing.
        """
        if self._asking is not None and self._asking.is_alive():
            return
        if now - self._asked < self._patience.stall / 8:
            return
        self._asked = now
        late = [peer for since, peer in silent if now - since >= self._patience.stall / 2]
        askers = list(dict.fromkeys(peer.ask for peer in peers if peer.ask is not None))
        ours = frozenset(peer.backend for peer in peers if peer.backend)

        def ask() -> None:
            for peer in late:
                if any(each(peer, ours) for each in ([peer.ask] if peer.ask else askers)):
                    peer.vouched = time.monotonic()

        self._asking = threading.Thread(target=ask, name="asking", daemon=True)
        self._asking.start()

    def _fire(self, error: Stalled, peers: list[Peer]) -> None:
        with self._lock:
            if self._settled:
                return
            self.error = error
        self._fired = time.monotonic()
        for peer in peers:
            if peer.leave is not None:
                peer.leave()
        self._over.wait(_GOODBYE)
        for peer in peers:
            peer.end()

    def _hasten(self, peers: list[Peer], now: float) -> None:
        """End the peers that keep the run from clearing up."""
        most = min(_AFTERWARDS, self._patience.stall)
        for peer in peers:
            since = peer.since
            if since is not None and now - max(since, self._fired) >= most:
                peer.end()


_current: Watchdog | None = None


@contextmanager
def watching(patience: Patience, code: int, clock: Callable[[], datetime]) -> Iterator[None]:
    """End the block if nothing moves any more, or if it takes too long.

    Raises Stalled, with the exit code given, in the place of whatever the end looked like; with the
    time of the last sign, by ``clock``, which returns the time in UTC.
    """
    global _current  # noqa: PLW0603 - one a process, like its signals
    watchdog = Watchdog(patience, code, clock)
    outer, _current = _current, watchdog
    watchdog.start()
    try:
        yield
        watchdog.settle()
    except Exception as error:
        if watchdog.error is None or error is watchdog.error:
            raise
        raise watchdog.error from error
    finally:
        watchdog.stop()
        _current = outer


def watch(peer: Peer) -> Callable[[], None]:
    """Look at a peer, if anything is looked at; returns the function that ends that."""
    watchdog = _current
    if watchdog is None:
        return nothing
    watchdog.add(peer)
    return lambda: watchdog.remove(peer)


def nothing() -> None:
    """Do nothing."""


def check() -> None:
    """Raise Stalled if the run was ended."""
    if _current is not None:
        _current.check()


def settle() -> None:
    """Raise Stalled if the run was ended; otherwise nothing ends it any more."""
    if _current is not None:
        _current.settle()


def _silent(peer: Peer, seconds: float, *, at: datetime, code: int) -> Stalled:
    since = at - timedelta(seconds=seconds)
    began = moment(since)
    return Stalled(
        f"{peer} has been silent for {elapsed(seconds)}, since {began}",
        code=code,
        facts={
            "Silent": peer.name,
            "Doing": peer.doing or "unknown",
            "Since": began,
            **peer.facts,
        },
        steps=[
            "See whether the server answers: pg_isready, then psql -c 'SELECT 1'",
            "See whether a program is stopped (T) or waits for a disk (D): ps -eo pid,stat,args",
            "Look for a firewall or a proxy between that drops idle connections",
            "If it was only slow, allow it more time: --stall-timeout 1h",
            "All that this run had started has been ended; run it again",
        ],
    )


def _too_long(seconds: float, code: int) -> Stalled:
    return RunTimedOut(
        f"the run did not end within {seconds:g} s",
        code=code,
        steps=[
            "See how long each part took: pgvow history --json",
            "Allow it more time: --run-timeout, or run_timeout in pgvow.toml",
        ],
    )
