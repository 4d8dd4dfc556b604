"""What is saved of damaged archives: every row outside of the damage, and none that never was."""

from __future__ import annotations

import io
import random
import re
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_archive, read_toc
from pgvow.archive.read import copy_text
from pgvow.archive.salvage import salvage_archive
from pgvow.progress import Silent
from tests.support import archives

if TYPE_CHECKING:
    from pgvow.archive.salvage import SalvagedArchive

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 4096
SECTOR = 512
COMPRESSIONS = ("gzip", "zstd", "none")
HEAD = 5
MAGIC = b"\x28\xb5\x2f\xfd"


def big_rows(count: int) -> bytes:
    """Return rows with a number each, and text that compresses to a third of itself."""
    generator = random.Random(7)
    words = [b"%010x" % generator.getrandbits(40) for _ in range(400)]
    return b"".join(
        b"%d\t%s\t\\N\n" % (number, b" ".join(generator.choices(words, k=1 + number % 12)))
        for number in range(count)
    )


BIG = big_rows(5_000)
SMALL = {name: f"{name}\tx\\\\y\t1\n".encode() * 3 for name in ("before", "after")}


def framed(text: bytes, compression: str, segment: int, chunk: int) -> list[bytes]:
    """Compress as our parallel engine does: pieces that each begin anew, or as pg_dump: one."""
    if not segment:
        stored = [archives.COMPRESS[compression](text)]
    else:
        cuts = range(0, len(text), segment)
        pieces = [text[cut : cut + segment] for cut in cuts]
        if compression == "zstd":
            options = {zstd.CompressionParameter.checksum_flag: 1}
            stored = [zstd.compress(piece, options=options) for piece in pieces]
        elif compression == "gzip":
            stored = [b"\x78\x9c", *map(flushed, pieces), b"\x03\0" + adler(text)]
        else:
            stored = pieces
    return [each[cut : cut + chunk] for each in stored for cut in range(0, len(each), chunk)]


def flushed(text: bytes) -> bytes:
    """Compress a piece that begins anew, and ends with a flush."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)


def adler(text: bytes) -> bytes:
    """Return the end of a zlib stream."""
    return zlib.adler32(text).to_bytes(4, "big")


@dataclass(frozen=True)
class Made:
    """An archive, its table's chunks as (start, end) of their payload, and how it was made."""

    data: bytes
    compression: str
    segment: int
    chunks: tuple[tuple[int, int], ...]


def make(compression: str, segment: int = 0, chunk: int = 4096, *, offsets: bool = True) -> Made:
    """Make an archive with a big table between two small ones."""
    copy = "COPY public.{} (a, b, c) FROM stdin;\n"
    names = ("before", "big", "after")
    texts = {**SMALL, "big": BIG}
    parts = tuple(archives.Table(name, texts[name], copy_stmt=copy.format(name)) for name in names)
    spec = archives.Spec(parts, version=16, compression=compression, offsets=offsets)
    writer = archives.Writer(spec)
    blocks = []
    for index, part in enumerate(parts):
        pieces = framed(part.text, compression, segment, chunk)
        blocks.append(b"\x01" + writer.integer(writer.dump_id(index)) + writer.framed(*pieces))
    start = len(writer.header() + writer.toc({}))
    places = {index: start + sum(map(len, blocks[:index])) for index in range(len(blocks))}
    head = writer.header() + writer.toc(places if offsets else {})
    chunks, position = [], places[1] + 1 + HEAD
    for piece in framed(texts["big"] + archives.TERMINATOR, compression, segment, chunk):
        chunks.append((position + HEAD, position + HEAD + len(piece)))
        position += HEAD + len(piece)
    return Made(head + b"".join(blocks), compression, segment, tuple(chunks))


def salvage(data: bytes) -> tuple[SalvagedArchive, dict[str, bytes]]:
    """Salvage an archive; returns the report, and the rows of each table by our own reader."""
    new = io.BytesIO()
    saved = salvage_archive(io.BytesIO(data), new, {}, Silent())
    read_archive(new, threads=1)
    new.seek(0)
    toc = read_toc(new)
    return saved, {e.tag: b"".join(copy_text(new, toc, e)) for e in toc.table_data}


def expected(made: Made, start: int, end: int) -> list[bytes]:
    """Return the rows of the big table that are outside of the damaged piece of the file.

    none: rows whose bytes are outside, with the end of the row before and the heads of chunks
    between. gzip, zstd: rows of the text that decodes up to ``start``, and those of the pieces
    that begin behind ``end``, but for each first one.
    """
    data = made.data
    before = b"".join(data[a : min(b, start)] for a, b in made.chunks if a <= start)
    behind = [(a, b) for a, b in made.chunks if a - HEAD >= end]
    after = tail(made, end) + b"".join(data[a:b] for a, b in behind)
    if made.compression == "none":
        texts = [before, b"\0" + after]
    elif made.compression == "gzip":
        mark = re.search(rb"\0\0\xff\xff", after)
        texts = [zlib.decompressobj().decompress(before)]
        texts += [b"\0" + zlib.decompressobj(-15).decompress(after[mark.end() :])] if mark else []
    else:
        texts = [decoded_frames(before), b"\0" + decoded_frames(whole_frames(after))]
    rows: list[bytes] = []
    for text in texts:
        lines = text.split(b"\n")[:-1]
        rows += lines[1:] if text.startswith(b"\0") else lines
    return rows[: rows.index(b"\\.")] if b"\\." in rows else rows


def tail(made: Made, end: int) -> bytes:
    """Return the rest behind ``end`` of the chunk that it lies in."""
    return b"".join(made.data[end:b] for a, b in made.chunks if a - HEAD < end <= b)


def whole_frames(data: bytes) -> bytes:
    """Return the data from the first frame on."""
    return data[data.find(MAGIC) :] if MAGIC in data else b""


def decoded_frames(data: bytes) -> bytes:
    """Decode frames, the last of which may be cut."""
    texts = []
    while data:
        frame = zstd.ZstdDecompressor()
        texts.append(frame.decompress(data))
        data = frame.unused_data
    return b"".join(texts)


def zeroed(data: bytes, start: int) -> tuple[bytes, int, int]:
    """Zero an aligned block; returns the damaged bytes, and the run of zeros that they have."""
    damaged = data[:start] + bytes(len(data[start : start + BLOCK])) + data[start + BLOCK :]
    first = start - (len(damaged[:start]) - len(damaged[:start].rstrip(b"\0")))
    rest = damaged[start:]
    return damaged, first, start + len(rest) - len(rest.lstrip(b"\0"))


MADE = {
    (compression, segment): make(compression, segment, chunk)
    for compression in COMPRESSIONS
    for segment, chunk in ((0, 4096), (30_000, 16 << 10))
} | {("none", 1): make("none", 0, 61)}


def times(kind: tuple[str, int]) -> int:
    """Return how many times to damage it: a hundred for each compression, and some rows a chunk."""
    return 20 if kind == ("none", 1) else 50


@pytest.mark.parametrize("kind", MADE)
def test_every_row_outside_of_a_zeroed_block_is_saved_and_none_is_invented(
    kind: tuple[str, int],
) -> None:
    """For each compression a hundred blocks of 4 KiB, zeroed one at a time."""
    made = MADE[kind]
    sectors = range(made.chunks[0][0] // SECTOR + 1, made.chunks[-1][1] // SECTOR)
    for sector in random.Random(1).choices(sectors, k=times(kind)):
        damaged, start, end = zeroed(made.data, sector * SECTOR)
        _, rows = salvage(damaged)
        wanted = expected(made, start, end)
        assert wanted == rows["big"].split(b"\n")[:-1], (kind, sector)
        assert SMALL["before"] == rows["before"]


@pytest.mark.parametrize("kind", MADE)
def test_every_row_before_a_truncation_is_saved_and_none_is_invented(
    kind: tuple[str, int],
) -> None:
    """For each compression a hundred files, cut short anywhere behind the table of contents."""
    made = MADE[kind]
    generator = random.Random(2)
    for _ in range(times(kind)):
        size = generator.randrange(made.chunks[0][0], len(made.data))
        _, rows = salvage(made.data[:size])
        assert expected(made, size, len(made.data)) == rows["big"].split(b"\n")[:-1], (kind, size)
        assert SMALL["before"] == rows["before"]
