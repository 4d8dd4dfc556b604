"""The whole archive: every block decoded, several at a time."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.blocks import ArchiveContents, ArchivedLargeObjects, ArchivedTable, find_blocks
from pgvow.archive.decode import read_large_objects, read_rows, read_table
from pgvow.archive.errors import ArchiveError
from pgvow.archive.primitives import ArchiveFile
from pgvow.archive.toc import read_toc
from pgvow.progress import Phase, Silent, Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Self

    from pgvow.archive.blocks import DataBlock
    from pgvow.archive.compression import BeforeFrame
    from pgvow.archive.toc import TableOfContents, TocEntry
    from pgvow.progress import Progress

# Each thread holds a megabyte or two.
MOST_THREADS = 9
TICK_SECONDS = 0.1
# The largest window for each thread by itself: zstd's levels up to 19 stay within it.
LARGE = 8 << 20
_MAGIC = struct.pack("<I", 0xFD2FB528)
# Magic, descriptor, window, dictionary, content size: the longest head of a frame.
_LONGEST_HEAD = 18


class WindowTurn:
    """A block's turn to have large windows: ``-Z zstd:long`` needs 128 MiB for every table.

    It begins with the first frame that needs one; ``lock`` is shared by all blocks.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self.taken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def wait_for(self, chunk: bytes) -> None:
        """Wait until no other block has the turn, if the frame that begins here needs it.

        A chunk that is shorter than the head of a frame may begin one of any window.
        """
        if not self.taken and (window_size(chunk) > LARGE or len(chunk) < _LONGEST_HEAD):
            self._lock.acquire()
            self.taken = True

    def end(self) -> None:
        """Let the next block have the turn."""
        if self.taken:
            self.taken = False
            self._lock.release()


def window_size(frame: bytes) -> int:
    """Return the bytes of the window that a zstd frame needs, by its first bytes; 0 if none."""
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


@dataclass(frozen=True, slots=True)
class ExaminedArchive:
    """The contents that could be read of an archive, and its damage in the order of the file."""

    contents: ArchiveContents
    damage: tuple[ArchiveError, ...]


def read_archive(
    file: BinaryIO, *, threads: int | None = None, progress: Progress | None = None
) -> ArchiveContents:
    """Decode every byte of the archive, ``threads`` tables at a time, and return its contents.

    ``file`` is seekable; the caller must not use it meanwhile. Raises the first ArchiveError by
    offset, and errors of the file itself.
    """
    examination = examine_archive(file, threads=threads, progress=progress)
    if examination.damage:
        raise examination.damage[0]
    return examination.contents


def examine_archive(
    file: BinaryIO, *, threads: int | None = None, progress: Progress | None = None
) -> ExaminedArchive:
    """Decode all that can be decoded, and return it with every ArchiveError that was met.

    Raises ArchiveError only if the table of contents cannot be read.
    """
    source = ArchiveFile(file)
    toc = read_toc(_at_start(file))
    reader = _ArchiveReader(source, toc, threads or _default_threads())
    reader.run(progress or Silent())
    return reader.result()


def copy_text(file: BinaryIO, toc: TableOfContents, entry: TocEntry) -> Iterator[bytes]:
    """Yield the COPY text of one table, without terminator, in pieces of bounded size.

    The pieces are cut anywhere; an entry without data has none. Raises ArchiveError, at the latest
    behind the last piece.
    """
    source = ArchiveFile(file)
    for block in find_blocks(source, toc):
        if block.entry is entry:
            yield from read_rows(source, toc, block)
            return


class CopyTexts:
    """The COPY texts of an archive's tables, each as often as asked for; its blocks are found once.

    ``file`` is seekable; the caller must not use it meanwhile. Raises ArchiveError.
    """

    def __init__(self, file: BinaryIO, toc: TableOfContents) -> None:
        self._source = ArchiveFile(file)
        self._toc = toc
        self._blocks = {block.entry.dump_id: block for block in find_blocks(self._source, toc)}

    def size(self, entry: TocEntry) -> int:
        """Return the bytes of a table's block as it is stored; 0 if it has none."""
        block = self._blocks.get(entry.dump_id)
        return block.size if block else 0

    def of(self, entry: TocEntry) -> Iterator[bytes]:
        """Yield the text of one table as ``copy_text`` does."""
        block = self._blocks.get(entry.dump_id)
        return read_rows(self._source, self._toc, block) if block else iter(())


def _default_threads() -> int:
    """Return one more than there are processors, so that none idles at the last table."""
    return min((os.cpu_count() or 1) + 1, MOST_THREADS)


def _at_start(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


class _ReadingStopped(Exception):
    """Raised in a thread that is to end."""


class _ArchiveReader:
    """Reads an archive once with several threads, and collects contents, damage and progress."""

    def __init__(self, source: ArchiveFile, toc: TableOfContents, threads: int) -> None:
        self._threads = threads
        self._source = source
        self._toc = toc
        self._blocks = find_blocks(source, toc, self._watch_scan)
        # Finding the next block may scan the one before it: never while holding the other lock.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._large_windows = threading.Lock()
        self._stopped = False
        self._read = toc.end
        self._tables: dict[int, ArchivedTable] = {}
        self._large_objects: dict[int, ArchivedLargeObjects] = {}
        self._damage: list[ArchiveError] = []

    def run(self, progress: Progress) -> None:
        """Read every block to the end; an error ends all threads."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="pgvow-read") as pool:
            try:
                workers = {pool.submit(self._work) for _ in range(self._threads)}
                self._follow(workers, progress)
            finally:
                self._stopped = True

    def result(self) -> ExaminedArchive:
        """Return the contents in the order of the table of contents, and the damage by offset."""
        order = [entry.dump_id for entry in self._toc.with_data]
        contents = ArchiveContents(
            toc=self._toc,
            size=self._source.size,
            tables=tuple(self._tables[number] for number in order if number in self._tables),
            large_object_entries=tuple(
                self._large_objects[number] for number in order if number in self._large_objects
            ),
        )
        damage = sorted(self._damage, key=lambda error: (error.offset, error.complaint))
        return ExaminedArchive(contents=contents, damage=tuple(damage))

    def _follow(self, workers: set[Future[None]], progress: Progress) -> None:
        while workers:
            done, workers = wait(workers, timeout=TICK_SECONDS, return_when=FIRST_EXCEPTION)
            for worker in done:
                worker.result()
            progress.update(Step(Phase.READ, done=self._read, total=self._source.size))

    def _work(self) -> None:
        with contextlib.suppress(_ReadingStopped):
            while self._step():
                pass

    def _step(self) -> bool:
        """Read the next block; returns False if none is left."""
        try:
            block = self._next()
            if block is None:
                return False
            with WindowTurn(self._large_windows) as turn:
                self._read_block(block, turn.wait_for)
        except ArchiveError as error:
            self._damage.append(error)
        return True

    def _next(self) -> DataBlock | None:
        with self._turn:
            return next(self._blocks, None)

    def _read_block(self, block: DataBlock, before_frame: BeforeFrame) -> None:
        if block.entry.is_large_objects:
            self._large_objects[block.entry.dump_id] = read_large_objects(
                self._source, self._toc, block, self._watch, before_frame
            )
        else:
            ahead = self._is_last(block)
            self._tables[block.entry.dump_id] = read_table(
                self._source, self._toc, block, self._watch, before_frame, ahead=ahead
            )

    def _is_last(self, block: DataBlock) -> bool:
        """Return whether the block is larger than a thread's share, so that others will wait."""
        shares = max(2, self._threads - 1)
        return self._threads > 1 and block.size * shares > self._source.size

    def _watch(self, size: int) -> None:
        with self._lock:
            self._read += size
        self._watch_scan(size)

    def _watch_scan(self, _: int) -> None:
        if self._stopped:
            raise _ReadingStopped
