"""The contents of one block: its rows or its large objects, decoded."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

import xxhash

from pgvow.archive.blocks import (
    ArchivedLargeObjects,
    ArchivedTable,
    LargeObjects,
    StoredBlock,
    open_block,
    unwatched,
)
from pgvow.archive.compression import CodecError, decoder_for, unlimited
from pgvow.archive.errors import ArchiveError
from pgvow.archive.rows import CopyDigest, TextError, without_terminator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from pgvow.archive.blocks import BlockReader, DataBlock, Watch
    from pgvow.archive.compression import BeforeFrame
    from pgvow.archive.primitives import ArchiveFile
    from pgvow.archive.toc import TableOfContents, TocEntry
    from pgvow.model import Compression

T = TypeVar("T")  # never None, which ends the queue

DEPTH = 4


class Ahead(Generic[T]):
    """Runs an iterable in a thread, at most ``DEPTH`` items ahead of the consumer.

    An error of the iterable is raised to the consumer. Leaving the ``with`` ends the thread, even
    if not all was consumed.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        # A second queue bounds the first: one with a bound of its own is written in Python, and
        # both threads would hold the interpreter for it.
        self._room: SimpleQueue[None] = SimpleQueue()
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._produce, name="pgvow-ahead")
        self._closed = False
        for _ in range(DEPTH):
            self._room.put(None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._room.put(None)
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            yield item
            self._room.put(None)
        if self._error is not None:
            raise self._error

    def _produce(self) -> None:
        try:
            for item in self._items:
                self._room.get()
                if self._closed:
                    break
                self._queue.put(item)
        except BaseException as error:  # noqa: BLE001 - the consumer raises it
            self._error = error
        self._queue.put(None)


def read_table(
    source: ArchiveFile,
    toc: TableOfContents,
    block: DataBlock,
    watch: Watch,
    before_frame: BeforeFrame,
    *,
    ahead: bool,
) -> ArchivedTable:
    """Read the data of a table to its end; ``ahead`` decompresses in a thread of its own.

    Two threads on one table take a fifth more of processor time than one, so that is for a table
    that the other processors would wait for.
    """
    entry, digest = block.entry, CopyDigest()
    with (
        _opened(source, toc, block, watch) as reader,
        _running(_text(reader, toc.header.compression, before_frame), ahead=ahead) as text,
    ):
        for piece in _rows(entry, text):
            digest.update(piece)
        stored = _stored(reader, block)
    facts = digest.facts()
    return ArchivedTable(
        entry=entry,
        rows=facts.rows if entry.copy_stmt else None,
        size=facts.size,
        fingerprint=facts.fingerprint,
        stored=stored,
    )


def read_rows(source: ArchiveFile, toc: TableOfContents, block: DataBlock) -> Iterator[bytes]:
    """Yield the COPY text of a table, without terminator, in pieces of bounded size."""
    with _opened(source, toc, block, unwatched) as reader:
        yield from _rows(block.entry, _text(reader, toc.header.compression))
        _stored(reader, block)


def read_large_objects(
    source: ArchiveFile,
    toc: TableOfContents,
    block: DataBlock,
    watch: Watch,
    before_frame: BeforeFrame,
) -> ArchivedLargeObjects:
    """Read the large objects of an entry."""
    with _opened(source, toc, block, watch) as reader:
        objects = large_objects_of(reader, toc.header.compression, before_frame)
        stored = _stored(reader, block)
    return ArchivedLargeObjects(entry=block.entry, objects=objects, stored=stored)


def large_objects_of(
    reader: BlockReader, compression: Compression, before_frame: BeforeFrame = unlimited
) -> LargeObjects:
    """Read large objects up to the zero that ends them, from behind the block's head."""
    objects = LargeObjects()
    for oid in reader.large_objects():
        objects += _large_object(oid, _text(reader, compression, before_frame))
    return objects


def large_object_of(reader: BlockReader, compression: Compression, oid: int) -> LargeObjects:
    """Read one large object, from behind its oid; raises ArchiveError or CodecError."""
    return _large_object(oid, _text(reader, compression))


def _large_object(oid: int, text: Iterable[bytes]) -> LargeObjects:
    digest, size = xxhash.xxh3_128(oid.to_bytes(8, "big")), 0
    for piece in text:
        digest.update(piece)
        size += len(piece)
    return LargeObjects(count=1, size=size, total=digest.intdigest())


def _text(
    reader: BlockReader, compression: Compression, before_frame: BeforeFrame = unlimited
) -> Iterator[bytes]:
    decoder = decoder_for(compression, before_frame)
    for chunks in reader.chunks():
        yield from decoder.decode(chunks)
    decoder.finish()


def _rows(entry: TocEntry, text: Iterable[bytes]) -> Iterable[bytes]:
    return without_terminator(text) if entry.copy_stmt else text


def _running(text: Iterator[bytes], *, ahead: bool) -> AbstractContextManager[Iterable[bytes]]:
    return Ahead(text) if ahead else nullcontext(text)


def _stored(reader: BlockReader, block: DataBlock) -> StoredBlock:
    if reader.position != block.end:
        raise ArchiveError("something follows the data", offset=reader.position)
    return StoredBlock(offset=block.start, size=block.size, digest=reader.digest())


@contextmanager
def _opened(
    source: ArchiveFile, toc: TableOfContents, block: DataBlock, watch: Watch
) -> Iterator[BlockReader]:
    with named(block.entry):
        reader = open_block(source, toc, block, watch)
        with located(reader):
            yield reader


@contextmanager
def named(entry: TocEntry) -> Iterator[None]:
    """Add the entry's name to every ArchiveError."""
    try:
        yield
    except ArchiveError as error:
        raise error.within(entry.name) from error.__cause__


@contextmanager
def located(reader: BlockReader) -> Iterator[None]:
    """Turn errors of a text into ArchiveErrors at the byte that was reached."""
    try:
        yield
    except (CodecError, TextError) as error:
        raise ArchiveError(str(error), offset=reader.position) from error
