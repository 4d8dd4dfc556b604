"""Run PostgreSQL's programs: no shell, no orphans, and their messages."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from pgvow.errors import ToolUnsuitable, lack_of_resources
from pgvow.postgres.tool_stderr import StderrExcerpt
from pgvow.postgres.watchdog import Peer, check, processor_time, watch
from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

_PR_SET_PDEATHSIG = 1
_LINUX = sys.platform.startswith("linux")
# Loaded once, here: between fork and exec nothing may allocate more than it must.
_LIBC = ctypes.CDLL(None, use_errno=True) if _LINUX else None
_PATIENCE = 2.0
"""Seconds a program has to obey SIGTERM before it is killed."""
_LONGEST_LINE = 8 << 10
"""Bytes of a line of complaints that are kept: a server may send one of a gigabyte."""


def die_with_parent() -> None:
    """Ask the kernel, between fork and exec, to end this child when its parent dies.

    SIGTERM, because pg_dump answers it by cancelling the statement that its session runs or waits
    for: otherwise a pg_dump that waits for a lock outlives its parent's ``kill -9``, and the
    session outlives the pg_dump. Linux only; elsewhere the child goes on and its file is never
    published. The kernel means the *thread* that forked: start tools from a thread that lives long
    enough.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _pidfd(pid: int) -> int | None:
    """Open a descriptor that becomes readable when a child ends; None if the system has none."""
    try:
        return os.pidfd_open(pid) if _LINUX else None
    except OSError:
        return None  # a kernel before 5.3


@dataclass(frozen=True, slots=True)
class ToolExit:
    """How a program ended: its exit status (negative: a signal) and its error messages."""

    returncode: int
    stderr: str


class RunningTool:
    """A running program of PostgreSQL's; leaving the ``with`` block ends it, obeyed or not."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: int | IO[bytes],
        stdin: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
        name: str | None = None,
        awaited: bool = True,
        complaints: StderrExcerpt | None = None,
    ) -> None:
        check()  # nothing is begun any more by a run that was ended
        self._argv = argv
        self._name = name or Path(argv[0]).name
        self._pass_fds = pass_fds
        self._complaints = complaints or StderrExcerpt()
        self._written = 0
        with SignalsKeptBack() as signals:
            self._process = self._start(env, stdout, stdin)
            self._reader = threading.Thread(target=self._read_stderr, name="stderr", daemon=True)
            self._reader.start()
            self._pidfd = _pidfd(self._process.pid)
        self.peer = self._peer()
        """Waited for to its end; without ``awaited`` while its block runs."""
        if awaited:
            self.peer.__enter__()
        self._forget = watch(self.peer)
        try:
            signals.deliver()
        except BaseException:
            self.stop()
            raise

    def _start(
        self, env: Mapping[str, str], stdout: int | IO[bytes], stdin: int
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._argv,
                env=dict(env),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                pass_fds=self._pass_fds,
                # A Ctrl-C at the terminal goes to us alone; we end our children in order.
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - see die_with_parent
            )
        except OSError as error:
            if lack := lack_of_resources(error):
                raise lack from error
            raise ToolUnsuitable(
                f"{self._argv[0]} could not be started: {error.strerror}",
                facts={"Program": self._argv[0]},
            ) from error

    def _peer(self) -> Peer:
        pid = self._process.pid
        return Peer(
            self._name,
            self._end_group,
            leave=self._process.terminate,
            pulse=self._pulse,
            facts={"Program": self._argv[0], "Process": str(pid)},
        )

    def _pulse(self) -> object:
        if self._process.poll() is not None:
            return None
        return (self._written, processor_time(self._process.pid))

    def _end_group(self) -> None:
        """End the program and all that it has forked, such as pg_restore's workers."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe of a program started with ``stdout=PIPE``."""
        if self._process.stdout is None:
            raise ValueError("the program's standard output is not a pipe")
        return self._process.stdout

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe into a program started with ``stdin=PIPE``."""
        if self._process.stdin is None:
            raise ValueError("the program's standard input is not a pipe")
        return self._process.stdin

    def take_complaints(self) -> str:
        """Take the text that it has written to its stderr since the last call."""
        return self._complaints.take()

    def poll(self, seconds: float) -> ToolExit | None:
        """Wait for the end, at most so many seconds; None while it still runs.

        Raises Stalled if the run was ended, and the program with it.
        """
        ended = self.look(seconds)
        check()
        return ended

    def look(self, seconds: float) -> ToolExit | None:
        """Do the same for one who clears up, whatever has ended the run."""
        if self._process.poll() is None and not self._ends_within(seconds):
            return None
        return self._wait()

    def _ends_within(self, seconds: float) -> bool:
        if self._pidfd is None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True
        # Python's own wait() looks every few milliseconds, and notices an end that much later.
        end = select.poll()
        end.register(self._pidfd, select.POLLIN)
        return bool(end.poll(seconds * 1000))

    def wait(self) -> ToolExit:
        """Wait for the end; raises Stalled if the run was ended, and the program with it."""
        ended = self._wait()
        check()
        return ended

    def _wait(self) -> ToolExit:
        returncode = self._process.wait()
        self._reader.join(_PATIENCE)
        return ToolExit(returncode, self._complaints.text())

    def terminate(self) -> None:
        """Ask the program to end, without waiting for it."""
        self._process.terminate()

    def kill(self) -> None:
        """End the program at once, without waiting for it."""
        self._process.kill()

    def stop(self) -> None:
        """End the program: SIGTERM, and after a while SIGKILL. Repeating it is harmless."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._forget()
        self._reader.join(_PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _read_stderr(self) -> None:
        pipe = self._process.stderr
        if pipe is None:
            return
        # Closed here and nowhere else: close() waits for a read that is under way, and a
        # grandchild may hold the other end for as long as it likes.
        with pipe:
            for line in _bounded_lines(pipe):
                self._written += 1
                self._complaints.add(line.decode(errors="replace"))


def _bounded_lines(pipe: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a pipe, of one that is too long its beginning."""
    goes_on = False
    while line := pipe.readline(_LONGEST_LINE):
        ends = line.endswith(b"\n")
        if not goes_on:
            yield line if ends or len(line) < _LONGEST_LINE else line + b"\xe2\x80\xa6\n"
        goes_on = not ends


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """A finished program: how it ended and all it wrote to its standard output."""

    ended: ToolExit
    stdout: bytes


def run(argv: Sequence[str], *, env: Mapping[str, str]) -> ToolOutput:
    """Run a program whose output is small enough to be kept in memory."""
    with RunningTool(argv, env=env, stdout=subprocess.PIPE) as tool:
        data = tool.stdout.read()
        ended = tool.wait()
    return ToolOutput(ended, data)


def run_quietly(
    argv: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> ToolExit:
    """Run a program for its exit status and its complaints alone."""
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        with RunningTool(argv, env=env, stdout=sink, pass_fds=pass_fds) as tool:
            ended = tool.wait()
    finally:
        os.close(sink)
    return ended
