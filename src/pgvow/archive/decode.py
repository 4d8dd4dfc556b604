"""From one block to what is in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive.ahead import Ahead
from pgvow.archive.blocks import open_block
from pgvow.archive.codecs import CodecError, decoder_for
from pgvow.archive.contents import LargeObjectContents, LargeObjects, Stored, TableContents
from pgvow.archive.errors import ArchiveError
from pgvow.archive.rows import CopyDigest, TextError, without_terminator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pgvow.archive.blocks import Block, BlockReader
    from pgvow.archive.header import Compression
    from pgvow.archive.source import Source
    from pgvow.archive.toc import Entry, TableOfContents

    # Told how many bytes have been read since the last time; it may raise to end the reading.
    Watch = Callable[[int], None]

# Below that many stored bytes a thread of their own gains less than it costs.
LONG = 2 * 1024 * 1024


def read_table(source: Source, toc: TableOfContents, block: Block, watch: Watch) -> TableContents:
    """Read the data of a table to its end. Large ones are decompressed in a thread of their own."""
    reader = open_block(source, toc, block)
    entry, digest = block.entry, CopyDigest()
    with (
        _blaming(entry, reader),
        _maybe_ahead(_text(reader, toc.header.compression, watch), block) as text,
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
    reader = open_block(source, toc, block)
    with _blaming(block.entry, reader):
        yield from _rows(block.entry, _text(reader, toc.header.compression, _nobody))
        _stored(reader, block)


def read_large_objects(
    source: Source, toc: TableOfContents, block: Block, watch: Watch
) -> LargeObjectContents:
    """Read the large objects of an entry."""
    reader = open_block(source, toc, block)
    found = LargeObjects()
    with _blaming(block.entry, reader):
        for oid in reader.large_objects():
            found += _large_object(oid, _text(reader, toc.header.compression, watch))
        stored = _stored(reader, block)
    return LargeObjectContents(entry=block.entry, objects=found, stored=stored)


def _large_object(oid: int, text: Iterable[bytes]) -> LargeObjects:
    digest, size = xxhash.xxh3_128(oid.to_bytes(8, "big")), 0
    for piece in text:
        digest.update(piece)
        size += len(piece)
    return LargeObjects(count=1, size=size, total=digest.intdigest())


def _text(reader: BlockReader, compression: Compression, watch: Watch) -> Iterator[bytes]:
    decoder = decoder_for(compression)
    before = reader.position
    for chunks in reader.chunks():
        yield from decoder.decode(chunks)
        watch(reader.position - before)
        before = reader.position
    decoder.finish()


def _rows(entry: Entry, text: Iterable[bytes]) -> Iterable[bytes]:
    return without_terminator(text) if entry.copy_stmt else text


def _maybe_ahead(text: Iterator[bytes], block: Block) -> AbstractContextManager[Iterable[bytes]]:
    return Ahead(text) if block.size >= LONG else nullcontext(text)


def _stored(reader: BlockReader, block: Block) -> Stored:
    if reader.position != block.end:
        raise ArchiveError("something follows the data", offset=reader.position)
    return Stored(offset=block.start, size=block.size, digest=reader.digest())


@contextmanager
def _blaming(entry: Entry, reader: BlockReader) -> Iterator[None]:
    """Let every error name the entry, and the byte of the file that had been reached."""
    try:
        yield
    except (CodecError, TextError) as error:
        raise ArchiveError(str(error), offset=reader.position, table=entry.name) from error
    except ArchiveError as error:
        raise error.within(entry.name) from error


def _nobody(_: int) -> None:
    """Watch nothing."""
