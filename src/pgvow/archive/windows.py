"""How much memory a zstd frame's decompression needs, and who may have it."""

from __future__ import annotations

import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What each thread may have for itself: zstd's levels up to 19 stay within it.
LARGE = 8 << 20
_MAGIC = struct.pack("<I", 0xFD2FB528)
# Magic, descriptor, window, dictionary, content size: the longest head of a frame.
_LONGEST_HEAD = 18


class Windows:
    """Lets one block at a time have large windows: ``-Z zstd:long`` asks for 128 MiB a table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Yield what the reading of a block asks before each frame; what it took ends with it."""
        turn = Turn(self._lock)
        try:
            yield turn
        finally:
            turn.end()


class Turn:
    """One block's turn to have large windows, from the first frame on that needs one."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self.taken = False

    def wait_for(self, chunk: bytes) -> None:
        """Wait, where the frame that begins with this chunk needs it, until no other has it.

        A chunk that does not hold the whole head of a frame may be the beginning of anything.
        """
        if not self.taken and (window_size(chunk) > LARGE or len(chunk) < _LONGEST_HEAD):
            self._lock.acquire()
            self.taken = True

    def end(self) -> None:
        """Let the next have it."""
        if self.taken:
            self.taken = False
            self._lock.release()


def window_size(frame: bytes) -> int:
    """Bytes of the window that a zstd frame asks for, by its first bytes; 0 if there is none."""
    head = frame[5:_LONGEST_HEAD]
    if not frame.startswith(_MAGIC) or not head:
        return 0
    descriptor = frame[4]
    if not descriptor & 0x20:
        base = 1 << (10 + (head[0] >> 3))
        return base + (base >> 3) * (head[0] & 7)
    # A single segment: the window is the content, whose size follows the dictionary's number.
    before = (0, 1, 2, 4)[descriptor & 3]
    length = (1, 2, 4, 8)[descriptor >> 6]
    return int.from_bytes(head[before : before + length], "little")
