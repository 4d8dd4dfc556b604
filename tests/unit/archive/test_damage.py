"""Damage and malice: whatever the bytes, the answer is ours, soon, and in little memory."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import time
import tracemalloc
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgvow.archive import (
    ArchiveContents,
    ArchiveError,
    IncompleteArchive,
    examine_archive,
    read_archive,
    read_toc,
)
from tests.support.archives import (
    COMBINATIONS,
    COMPRESS,
    LargeObjects,
    Schema,
    Spec,
    Table,
    Writer,
    build,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = (
    Schema("orders", defn="CREATE TABLE public.orders (a text);\n"),
    Table("orders", b"".join(b"%d\torder %d\n" % (number, number**3) for number in range(20))),
    Table("empty"),
    LargeObjects(((16384, b"one"), (3_000_000_000, bytes(range(60))))),
)
FLIPS = 100


def read(raw: bytes) -> ArchiveContents:
    """Read an archive from bytes."""
    return read_archive(io.BytesIO(raw), threads=1)


def outcome(raw: bytes) -> ArchiveContents | None:
    """Read an archive that may be damaged; None if the damage was detected."""
    try:
        return read(raw)
    except ArchiveError:
        return None


def spec_of(version: int, compression: str, *, offsets: bool = True) -> Spec:
    """Return a small archive with everything in it."""
    return Spec(PARTS, version=version, compression=compression, offsets=offsets, chunk=30)


@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize("compression", COMPRESS)
def test_a_truncation_anywhere_is_detected(compression: str, *, offsets: bool) -> None:
    """Whatever byte it ends at, a file that is cut short is an ArchiveError."""
    raw = build(spec_of(16, compression, offsets=offsets))
    end = read_toc(io.BytesIO(raw)).end
    assert [] == [cut for cut in range(end, len(raw)) if outcome(raw[:cut]) is not None]
    with pytest.raises(IncompleteArchive):
        read(raw[:-1])


@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_a_flipped_bit_is_detected(version: int, compression: str, *, offsets: bool) -> None:
    """An error, or contents that differ by a digest: no flip leaves the contents equal."""
    spec = spec_of(version, compression, offsets=offsets)
    raw = build(spec)
    whole = read(raw)
    chance = random.Random(f"{spec}")
    for _ in range(FLIPS):
        place, bit = chance.randrange(len(raw)), chance.randrange(8)
        flipped = bytearray(raw)
        flipped[place] ^= 1 << bit
        assert whole != outcome(bytes(flipped)), (place, bit)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(COMBINATIONS),
    st.booleans(),
    st.integers(0, 2000),
    st.integers(0, 30),
    st.binary(max_size=60),
)
def test_inserted_removed_or_replaced_bytes_are_detected(
    combination: tuple[int, str],
    offsets: bool,  # noqa: FBT001 - hypothesis gives it
    place: int,
    gone: int,
    garbage: bytes,
) -> None:
    """Bytes left out, put in or replaced lead to an ArchiveError, or to contents that say so."""
    version, compression = combination
    raw = build(spec_of(version, compression, offsets=offsets))
    start = place % len(raw)
    changed = raw[:start] + garbage + raw[start + gone :]
    if changed != raw:
        assert read(raw) != outcome(changed)


@given(st.binary(max_size=400), st.sampled_from(COMBINATIONS))
@settings(deadline=None)
def test_garbage_instead_of_data_raises_archive_error(
    garbage: bytes, combination: tuple[int, str]
) -> None:
    """A sound table of contents and then anything at all: an ArchiveError, never another."""
    version, compression = combination
    raw = build(spec_of(version, compression, offsets=False))
    found = examine_archive(io.BytesIO(raw[: read_toc(io.BytesIO(raw)).end] + garbage))
    assert found.damage


def one_table(compression: str, *stored: bytes) -> bytes:
    """Return an archive with a table of these chunks."""
    spec = Spec((Table("t"),), version=16, compression=compression, offsets=False)
    writer = Writer(spec)
    block = b"\x01" + writer.integer(7) + writer.framed(*stored)
    return writer.header() + writer.toc({}) + block


@contextlib.contextmanager
def bounded(*, megabytes: float) -> Iterator[None]:
    """Fail if the body takes more memory; of its time, the limit of every test is enough."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1_000_000


BOMB = bytes(100_000_000)
BOMBS = {
    "gzip": zlib.compress(BOMB, 9),
    "zstd": COMPRESS["zstd"](BOMB),
    "lz4": COMPRESS["lz4"](BOMB),
}


@pytest.mark.parametrize("compression", BOMBS)
@pytest.mark.parametrize("chunk", [1000, 1_000_000])
def test_a_decompression_bomb_takes_little_memory(compression: str, chunk: int) -> None:
    """A hundred megabytes out of some kilobytes are never held at once."""
    stored = BOMBS[compression]
    pieces = [stored[place : place + chunk] for place in range(0, len(stored), chunk)]
    raw = one_table(compression, *pieces)
    with bounded(megabytes=8), pytest.raises(ArchiveError, match="end too early"):
        read(raw)


def test_a_window_of_two_gigabytes_is_refused() -> None:
    """A zstd frame may ask its reader for any memory; beyond 128 MiB it is refused."""
    frame = struct.pack("<I", 0xFD2FB528) + bytes([0x00, (31 - 10) << 3]) + b"\x01\x00\x00"
    with bounded(megabytes=8), pytest.raises(ArchiveError, match="is damaged"):
        read(one_table("zstd", frame))


@pytest.mark.parametrize("length", [70_000, 1 << 30, (1 << 31) - 1])
def test_a_chunk_that_claims_more_than_there_is_takes_no_memory(length: int) -> None:
    """A chunk of two gigabytes in a file of some bytes is IncompleteArchive."""
    for offsets in (True, False):
        writer = Writer(replace(Spec((Table("t"),), compression="none"), offsets=offsets))
        head = writer.header()
        start = len(head) + len(writer.toc({}))
        toc = writer.toc({0: start} if offsets else {})
        raw = head + toc + b"\x01" + writer.integer(7) + writer.integer(length) + b"1\n"
        with bounded(megabytes=1), pytest.raises(IncompleteArchive):
            read(raw)


def test_one_byte_pieces_take_linear_time() -> None:
    """Chunks and pieces of one byte each: the time grows with their number, not its square."""
    for compression, row, count in (
        ("none", b"\n", 10_000),
        ("lz4", COMPRESS["lz4"](b"\n"), 3_000),
    ):
        few = processor_seconds(one_table(compression, *[row] * count))
        many = processor_seconds(one_table(compression, *[row] * 4 * count))
        assert many < 10 * few  # the square would be 16 times as much


def processor_seconds(raw: bytes) -> float:
    """The processor's time to read rows without an end, in little memory; best of two."""
    seconds = []
    for _ in range(2):
        started = time.process_time()
        with bounded(megabytes=8), pytest.raises(ArchiveError, match="end too early"):
            read(raw)
        seconds.append(time.process_time() - started)
    return min(seconds)


def test_endless_large_objects_end_with_the_file() -> None:
    """Objects of no bytes, one after the other, and no end: counted, then noticed."""
    spec = Spec((LargeObjects(()),), version=16, compression="none", offsets=False)
    writer = Writer(spec)
    start = writer.header() + writer.toc({}) + b"\x03" + writer.integer(7)
    raw = start + (writer.integer(5) + writer.integer(0)) * 20_000
    with bounded(megabytes=8), pytest.raises(IncompleteArchive):
        read(raw)
