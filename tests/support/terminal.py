"""A terminal to run commands in: the output with its escape sequences."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNK = 65536
_COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[34]\d|9[0-7]|10[0-7])(?:;\d+)*m")
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Screen:
    """Output of a command to a terminal, and its exit code."""

    code: int
    raw: str

    @property
    def text(self) -> str:
        """All that was written, without escape sequences."""
        return _SEQUENCE.sub("", self.raw).replace("\r\n", "\n")

    @property
    def is_coloured(self) -> bool:
        """Whether there was any colour; bold and faint are none."""
        return _COLOUR.search(self.raw) is not None


def on_terminal(
    argv: list[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    columns: int = 100,
    answers: Sequence[tuple[str, str]] = (),
) -> Screen:
    """Run a command with a terminal for standard input, output and error.

    ``answers`` are typed one after the other, each when its question has appeared.
    """
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={"TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as screen:
        written, seen, left = bytearray(), 0, list(answers)
        while chunk := _read(screen.fileno()):
            written += chunk
            if left and (place := written.find(left[0][0].encode(), seen)) >= 0:
                seen = place + len(left[0][0])
                os.write(screen.fileno(), left.pop(0)[1].encode() + b"\n")
    return Screen(process.wait(), written.decode())


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:  # on Linux the end of a terminal is an error
        return b""
