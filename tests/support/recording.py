"""A command recorded on a terminal: what appeared, and when, as an asciicast of version 2."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_CHUNK = 65536
_LINES = 40


@dataclass(frozen=True)
class Recording:
    """What a command wrote, in pieces with the seconds since it began, and how it ended."""

    title: str
    columns: int
    lines: int
    pieces: tuple[tuple[float, str], ...]
    seconds: float
    code: int

    @property
    def text(self) -> str:
        """All that was written, with the escape sequences."""
        return "".join(text for _, text in self.pieces)

    def write(self, path: Path) -> None:
        """Write it as an asciicast, which begins with the command as it was typed."""
        header = {
            "version": 2,
            "width": self.columns,
            "height": self.lines,
            "title": self.title,
            "duration": round(self.seconds, 3),
        }
        pieces = [(0.0, f"$ {self.title}\r\n"), *self.pieces]
        events = [[round(seconds, 3), "o", text] for seconds, text in pieces]
        lines = [json.dumps(each, ensure_ascii=False) for each in (header, *events)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_recording(path: Path) -> Recording:
    """Read an asciicast of version 2; fails unless its times go on and its events are output."""
    first, *rest = path.read_text("utf-8").splitlines()
    header, events = json.loads(first), [json.loads(line) for line in rest]
    assert 2 == header["version"]
    assert {"o"} == {kind for _, kind, _ in events}
    times = [seconds for seconds, _, _ in events]
    assert times == sorted(times)
    assert times[-1] <= header["duration"]
    pieces = tuple((seconds, text) for seconds, _, text in events)
    return Recording(
        header["title"], header["width"], header["height"], pieces, header["duration"], 0
    )


def record(
    argv: Sequence[str | Path],
    *,
    title: str,
    cwd: Path,
    env: Mapping[str, str],
    columns: int = 100,
    given: str = "",
    has_progress: bool = True,
) -> Recording:
    """Run a command with a terminal for its output, and ``given`` as its standard input."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
        begun = time.monotonic()
        process = subprocess.Popen(
            [*map(str, argv)],
            cwd=cwd,
            env={"TERM": "xterm-256color", **env},
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs if has_progress else subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(given.encode())
    with os.fdopen(ours, "rb", buffering=0) as screen:
        pieces = tuple(_pieces(screen.fileno(), begun))
    code = process.wait()
    return Recording(title, columns, _LINES, pieces, time.monotonic() - begun, code)


def _pieces(fd: int, begun: float) -> Iterator[tuple[float, str]]:
    decoder = codecs.getincrementaldecoder("utf-8")()  # a piece may end within a letter
    while True:
        try:
            chunk = os.read(fd, _CHUNK)
        except OSError:  # on Linux the end of a terminal is an error
            return
        if not chunk:
            return
        if text := decoder.decode(chunk):
            yield time.monotonic() - begun, text
