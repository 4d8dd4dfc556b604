"""One run of a command: seconds, processor time, bytes, peak memory."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

TARGET = "@target"
"""What stands in a command for where it is to write."""

# It takes about 3 ms to find all children.
_LOOK_EVERY = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: commands that run at the same time, and ``suffix`` of what they write."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str] = field(repr=False)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds by the clock, those of our processors (the server's are not in it), and bytes."""

    seconds: float
    processor_seconds: float
    size: int
    peak_memory: int


def timed(subject: Subject, target: Path) -> Run:
    """Run the commands, which must succeed, and measure them."""
    before = _processor_seconds()
    started = time.perf_counter()
    processes = [_started(subject, command, target) for command in subject.commands]
    with _Watch([process.pid for process in processes]) as watch:
        codes = [process.wait() for process in processes]
    seconds = time.perf_counter() - started
    if any(codes):
        sys.exit(f"{subject.name} failed with {codes}")
    return Run(seconds, _processor_seconds() - before, _size(target, subject), watch.peak)


def _started(subject: Subject, command: tuple[str, ...], target: Path) -> subprocess.Popen[bytes]:
    argv = [word.replace(TARGET, str(target)) for word in command]
    return subprocess.Popen(
        argv, env=subject.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _size(target: Path, subject: Subject) -> int:
    """Return the bytes of the archive, be it a file, a directory, or in one with other things."""
    if target.is_file():
        return target.stat().st_size
    return sum(path.stat().st_size for path in target.rglob(f"*{subject.suffix}") if path.is_file())


class _Watch:
    """Looks at how much memory processes and their children have, until the block ends."""

    def __init__(self, pids: list[int]) -> None:
        self.peak = 0
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            now = sum(_resident(pid) for root in self._pids for pid in _family(root))
            self.peak = max(self.peak, now)
            if self._over.wait(_LOOK_EVERY):
                return


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all its children; what ends meanwhile is none."""
    yield pid
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            yield child.pid


def _resident(pid: int) -> int:
    """Return what a process has for itself: pages of files, shared with others, do not count."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE
