"""The whole archive: every block decoded, several at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive.blocks import find_blocks
from pgvow.archive.contents import Contents, LargeObjectContents, TableContents
from pgvow.archive.decode import read_large_objects, read_rows, read_table
from pgvow.archive.errors import ArchiveError
from pgvow.archive.source import Source
from pgvow.archive.toc import read_toc
from pgvow.archive.windows import Windows
from pgvow.progress import Phase, Silent, Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from pgvow.archive.blocks import Block
    from pgvow.archive.codecs import BeforeFrame
    from pgvow.archive.toc import Entry, TableOfContents
    from pgvow.progress import Progress

# Each thread holds a megabyte or two.
MOST_THREADS = 9
TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Examination:
    """What could be read of an archive, and everything that could not, in the file's order."""

    contents: Contents
    damage: tuple[ArchiveError, ...]


def read_archive(
    file: BinaryIO, *, threads: int | None = None, progress: Progress | None = None
) -> Contents:
    """Decode every byte of the archive and return what is in it; ``threads`` tables at a time.

    ``file`` is seekable, and nobody else's meanwhile. Raises the first ArchiveError by offset;
    errors of the file itself go through.
    """
    examination = examine_archive(file, threads=threads, progress=progress)
    if examination.damage:
        raise examination.damage[0]
    return examination.contents


def examine_archive(
    file: BinaryIO, *, threads: int | None = None, progress: Progress | None = None
) -> Examination:
    """Decode what can be decoded, and return it with every ArchiveError that was met.

    Raises ArchiveError only where there is no table of contents to go by.
    """
    source = Source(file)
    toc = read_toc(_at_start(file))
    reading = _Reading(source, toc, threads or _default_threads())
    reading.run(progress or Silent())
    return reading.result()


def copy_text(file: BinaryIO, toc: TableOfContents, entry: Entry) -> Iterator[bytes]:
    """Yield the COPY text of one table, without terminator, in pieces of bounded size.

    The pieces are cut anywhere; an entry without data has none. Raises ArchiveError, at the latest
    behind the last piece.
    """
    source = Source(file)
    for block in find_blocks(source, toc):
        if block.entry is entry:
            yield from read_rows(source, toc, block)
            return


def _default_threads() -> int:
    """One more than there are processors: a table that is left over at the end shares them."""
    return min((os.cpu_count() or 1) + 1, MOST_THREADS)


def _at_start(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


class _Stopped(Exception):
    """The work is to end."""


class _Reading:
    """One reading of an archive: what is left to do, what has been found, how far it has come."""

    def __init__(self, source: Source, toc: TableOfContents, threads: int) -> None:
        self._threads = threads
        self._source = source
        self._toc = toc
        self._blocks = find_blocks(source, toc, self._watch_scan)
        # Finding the next block can mean to scan the one before it: never while holding the other.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._windows = Windows()
        self._stopped = False
        self._read = toc.end
        self._tables: dict[int, TableContents] = {}
        self._large_objects: dict[int, LargeObjectContents] = {}
        self._damage: list[ArchiveError] = []

    def run(self, progress: Progress) -> None:
        """Read every block; returns when all is done, and ends all threads if anything fails."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="pgvow-read") as pool:
            try:
                workers = {pool.submit(self._work) for _ in range(self._threads)}
                self._follow(workers, progress)
            finally:
                self._stopped = True

    def result(self) -> Examination:
        """Return what was found, in the order of the table of contents."""
        order = [entry.dump_id for entry in self._toc.with_data]
        contents = Contents(
            toc=self._toc,
            size=self._source.size,
            tables=tuple(self._tables[number] for number in order if number in self._tables),
            large_object_entries=tuple(
                self._large_objects[number] for number in order if number in self._large_objects
            ),
        )
        damage = sorted(self._damage, key=lambda error: (error.offset, error.complaint))
        return Examination(contents=contents, damage=tuple(damage))

    def _follow(self, workers: set[Future[None]], progress: Progress) -> None:
        while workers:
            done, workers = wait(workers, timeout=TICK_SECONDS, return_when=FIRST_EXCEPTION)
            for worker in done:
                worker.result()
            progress.update(Step(Phase.READ, done=self._read, total=self._source.size))

    def _work(self) -> None:
        with contextlib.suppress(_Stopped):
            while self._step():
                pass

    def _step(self) -> bool:
        """Read one more block; False when there is none left."""
        try:
            block = self._next()
            if block is None:
                return False
            with self._windows.turn() as turn:
                self._read_block(block, turn.wait_for)
        except ArchiveError as error:
            self._damage.append(error)
        return True

    def _next(self) -> Block | None:
        with self._turn:
            return next(self._blocks, None)

    def _read_block(self, block: Block, before_frame: BeforeFrame) -> None:
        if block.entry.is_large_objects:
            self._large_objects[block.entry.dump_id] = read_large_objects(
                self._source, self._toc, block, self._watch, before_frame
            )
        else:
            ahead = self._is_last(block)
            self._tables[block.entry.dump_id] = read_table(
                self._source, self._toc, block, self._watch, before_frame, ahead=ahead
            )

    def _is_last(self, block: Block) -> bool:
        """Whether the others will be done and wait for this block: it is more than a share."""
        shares = max(2, self._threads - 1)
        return self._threads > 1 and block.size * shares > self._source.size

    def _watch(self, size: int) -> None:
        with self._lock:
            self._read += size
        self._watch_scan(size)

    def _watch_scan(self, _: int) -> None:
        if self._stopped:
            raise _Stopped
