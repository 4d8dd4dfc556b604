"""Large windows: what a frame asks for is known before it gets it, and one has it at a time."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from pgvow.archive import read as reading
from pgvow.archive import read_archive, read_toc
from pgvow.archive.blocks import find_blocks
from pgvow.archive.source import Source
from pgvow.archive.windows import LARGE, Windows, window_size
from tests.support.archives import COMPRESS, Spec, Table, Writer, build

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"1\n" * 50_000 + b"\\.\n\n\n"


def frame(window_log: int, text: bytes = TEXT) -> bytes:
    """Return a frame as pg_dump writes it: of a size that is not known beforehand."""
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
    return stream.compress(text) + stream.flush()


class Long(Writer):
    """Writes tables as ``-Z zstd:long`` does: in a window of 128 MiB."""

    def chunks(self, text: bytes) -> bytes:
        """Return the text as one frame in one chunk."""
        return self.framed(frame(27, text))


@pytest.mark.parametrize("log", [10, 17, 21, 23, 27])
def test_the_window_is_read_from_the_frame(log: int) -> None:
    """It is two to the power that the compressor was given."""
    assert 1 << log == window_size(frame(log))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 2_000_000])
def test_a_frame_of_known_size_needs_no_more_than_that(size: int) -> None:
    """A frame in a single segment says its content's size instead."""
    stored = COMPRESS["zstd"](bytes(size))
    # Sizes of 256 to 65,791 are written less 256.
    assert window_size(stored) in {size, size - 256, 1 << 21}


@pytest.mark.parametrize("stored", [b"", b"x" * 20, frame(27)[:4], frame(27)[:5]])
def test_what_is_no_frame_asks_for_nothing(stored: bytes) -> None:
    """Damage is told by whoever decodes it."""
    assert 0 == window_size(stored)


def test_one_large_window_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables in large windows are read, whole, one after the other; all threads end."""
    lock, now, most = threading.Lock(), 0, 0
    read_table = reading.read_table

    def counted(*arguments: object, **named: object) -> object:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)  # in which the others would come, if they were let
        try:
            return read_table(*arguments, **named)  # type: ignore[arg-type]
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(reading, "read_table", counted)
    parts = tuple(Table(f"t{number}", b"1\n" * 50_000) for number in range(6))
    spec = Spec(parts, version=16, compression="zstd")
    contents = read_archive(io.BytesIO(Long(spec).archive()), threads=4)
    assert [50_000] * 6 == [table.rows for table in contents.tables]
    assert 1 == most


def test_small_windows_wait_for_nobody() -> None:
    """A block whose frame needs little may be read while another holds the large window."""
    small = io.BytesIO(build(Spec((Table("t", b"1\n"),), version=16, compression="zstd")))
    toc, source, windows = read_toc(small), Source(small), Windows()
    (block,) = find_blocks(source, toc)
    assert LARGE < window_size(frame(27))
    with windows._alone(), windows.room_for(source, toc, block):
        assert windows._lock.locked()
