"""From one block to what is in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.ahead import Ahead
from pgvow.archive.blocks import open_block, unwatched
from pgvow.archive.codecs import CodecError, decoder_for, unheeded
from pgvow.archive.contents import LargeObjectContents, LargeObjects, Stored, TableContents
from pgvow.archive.errors import ArchiveError
from pgvow.archive.rows import CopyDigest, TextError, without_terminator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgvow.archive.blocks import Block, BlockReader, Watch
    from pgvow.archive.codecs import BeforeFrame
    from pgvow.archive.source import Source
    from pgvow.archive.toc import Entry, TableOfContents
    from pgvow.model import Compression


def read_table(
    source: Source,
    toc: TableOfContents,
    block: Block,
    watch: Watch,
    before_frame: BeforeFrame,
    *,
    ahead: bool,
) -> TableContents:
    """Read the data of a table to its end, decompressing ``ahead`` in a thread of its own or not.

    Two threads on one table take a fifth more of processor time than one, so that is for a table
    that would have the other processors wait.
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
    return TableContents(
        entry=entry,
        rows=facts.rows if entry.copy_stmt else None,
        size=facts.size,
        fingerprint=facts.fingerprint,
        stored=stored,
    )


def read_rows(source: Source, toc: TableOfContents, block: Block) -> Iterator[bytes]:
    """Yield the COPY text of a table, without terminator, in pieces of bounded size."""
    with _opened(source, toc, block, unwatched) as reader:
        yield from _rows(block.entry, _text(reader, toc.header.compression))
        _stored(reader, block)


def read_large_objects(
    source: Source, toc: TableOfContents, block: Block, watch: Watch, before_frame: BeforeFrame
) -> LargeObjectContents:
    """Read the large objects of an entry."""
    with _opened(source, toc, block, watch) as reader:
        found = large_objects_of(reader, toc.header.compression, before_frame)
        stored = _stored(reader, block)
    return LargeObjectContents(entry=block.entry, objects=found, stored=stored)


def large_objects_of(
    reader: BlockReader, compression: Compression, before_frame: BeforeFrame = unheeded
) -> LargeObjects:
    """Read large objects up to the zero that ends them; the reader is behind the block's head."""
    found = LargeObjects()
    for oid in reader.large_objects():
        found += _large_object(oid, _text(reader, compression, before_frame))
    return found


def _large_object(oid: int, text: Iterable[bytes]) -> LargeObjects:
    digest, size = xxhash.xxh3_128(oid.to_bytes(8, "big")), 0
    for piece in text:
        digest.update(piece)
        size += len(piece)
    return LargeObjects(count=1, size=size, total=digest.intdigest())


def _text(
    reader: BlockReader, compression: Compression, before_frame: BeforeFrame = unheeded
) -> Iterator[bytes]:
    decoder = decoder_for(compression, before_frame)
    for chunks in reader.chunks():
        yield from decoder.decode(chunks)
    decoder.finish()


def _rows(entry: Entry, text: Iterable[bytes]) -> Iterable[bytes]:
    return without_terminator(text) if entry.copy_stmt else text


def _running(text: Iterator[bytes], *, ahead: bool) -> AbstractContextManager[Iterable[bytes]]:
    return Ahead(text) if ahead else nullcontext(text)


def _stored(reader: BlockReader, block: Block) -> Stored:
    if reader.position != block.end:
        raise ArchiveError("something follows the data", offset=reader.position)
    return Stored(offset=block.start, size=block.size, digest=reader.digest())


@contextmanager
def _opened(
    source: Source, toc: TableOfContents, block: Block, watch: Watch
) -> Iterator[BlockReader]:
    with named(block.entry):
        reader = open_block(source, toc, block, watch)
        with located(reader):
            yield reader


@contextmanager
def named(entry: Entry) -> Iterator[None]:
    """Let every error name the entry."""
    try:
        yield
    except ArchiveError as error:
        raise error.within(entry.name) from error.__cause__


@contextmanager
def located(reader: BlockReader) -> Iterator[None]:
    """Let every error name the byte that had been reached."""
    try:
        yield
    except (CodecError, TextError) as error:
        raise ArchiveError(str(error), offset=reader.position) from error
