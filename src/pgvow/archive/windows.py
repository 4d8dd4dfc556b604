"""How much memory a block's decompression needs, and who may have it."""

from __future__ import annotations

import struct
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from pgvow.archive.blocks import open_block, unwatched
from pgvow.archive.errors import ArchiveError
from pgvow.model import Compression

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from pgvow.archive.blocks import Block
    from pgvow.archive.source import Source
    from pgvow.archive.toc import TableOfContents

# What each thread may have for itself: zstd's levels up to 19 stay within it.
LARGE = 8 << 20
_MAGIC = struct.pack("<I", 0xFD2FB528)
# Magic, descriptor, window, dictionary, content size: the longest head of a frame.
_LONGEST_HEAD = 18


class Windows:
    """Lets one block at a time have a large window: ``-Z zstd:long`` asks for 128 MiB a table.

    It goes by the first frame of a block: pg_dump writes a single one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def room_for(
        self, source: Source, toc: TableOfContents, block: Block
    ) -> AbstractContextManager[None]:
        """Wait, where the block needs a large window, until no other has one."""
        if toc.header.compression is not Compression.ZSTD:
            return nullcontext()
        return self._alone() if _window(source, toc, block) > LARGE else nullcontext()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            yield


def _window(source: Source, toc: TableOfContents, block: Block) -> int:
    """Bytes of the block's first frame's window; 0 where that cannot be told."""
    try:
        reader = open_block(source, toc, block, unwatched)
        if block.entry.is_large_objects:
            reader.integer()
        length = reader.integer()
        return window_size(reader.take(max(0, min(length, _LONGEST_HEAD))))
    except ArchiveError:  # whoever reads it in earnest tells what is wrong
        return 0


def window_size(frame: bytes) -> int:
    """Bytes of the window that a zstd frame asks for, by its first bytes; 0 if there is none."""
    head = frame[5:]
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
