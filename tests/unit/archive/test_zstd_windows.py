"""Large windows: the size is known before decompression, and one block has one at a time."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from pgvow.archive import read_archive
from pgvow.archive.read import LARGE, WindowTurn, window_size
from tests.support.archives import COMPRESS, Spec, Table, Writer

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
    """Writes tables as ``-Z zstd:long`` does, in a window of 128 MiB, perhaps behind a frame."""

    def __init__(self, spec: Spec, before: bytes) -> None:
        super().__init__(spec)
        self._before = before

    def chunks(self, text: bytes) -> bytes:
        """Return the text as frames of one chunk each."""
        frames = (self._before, frame(27, text))
        return self.framed(*filter(None, frames))


@pytest.mark.parametrize("log", [10, 17, 21, 23, 27])
def test_the_window_size_is_read_from_the_frame(log: int) -> None:
    """It is two to the power that the compressor was given."""
    assert 1 << log == window_size(frame(log))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 2_000_000])
def test_a_single_segment_frame_needs_its_content_size(size: int) -> None:
    """A frame in a single segment says its content's size instead."""
    stored = COMPRESS["zstd"](bytes(size))
    # Sizes of 256 to 65,791 are written less 256.
    assert window_size(stored) in {size, size - 256, 1 << 21}


@pytest.mark.parametrize("stored", [b"", b"x" * 20, frame(27)[:4], frame(27)[:5]])
def test_data_that_is_no_frame_needs_no_window(stored: bytes) -> None:
    """The decoder reports damage."""
    assert 0 == window_size(stored)


@pytest.mark.parametrize("before", [b"", frame(17, b"1\n")], ids=["first", "second"])
def test_only_one_block_holds_a_large_window(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    """Whichever frame of a block asks for it, the others wait until the block has been read."""
    lock, now, most, ended = threading.Lock(), 0, 0, WindowTurn.end
    waited_for = WindowTurn.wait_for

    def wait_for(turn: WindowTurn, chunk: bytes) -> None:
        nonlocal now, most
        had = turn.taken
        waited_for(turn, chunk)
        if turn.taken and not had:
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.05)  # in which the others would come, if they were let

    def end(turn: WindowTurn) -> None:
        nonlocal now
        with lock:
            now -= turn.taken
        ended(turn)

    monkeypatch.setattr(WindowTurn, "wait_for", wait_for)
    monkeypatch.setattr(WindowTurn, "end", end)
    rows = b"1\n" * 50_000
    spec = Spec(
        tuple(Table(f"t{number}", rows) for number in range(6)), version=16, compression="zstd"
    )
    contents = read_archive(io.BytesIO(Long(spec, before).archive()), threads=4)
    assert [50_000 + bool(before)] * 6 == [table.rows for table in contents.tables]
    assert (0, 1) == (now, most)


def test_a_small_window_does_not_wait() -> None:
    """A block whose frame needs little may be read while another holds the large window."""
    lock = threading.Lock()
    assert LARGE < window_size(frame(27))
    with WindowTurn(lock) as one, WindowTurn(lock) as other:
        one.wait_for(frame(27))
        other.wait_for(frame(21))
        assert (True, False) == (one.taken, other.taken)


def test_a_truncated_frame_head_waits_as_a_large_window() -> None:
    """The first chunk may end before the window is told: then it waits to be safe."""
    with WindowTurn(threading.Lock()) as turn:
        turn.wait_for(frame(27)[:5])
        assert turn.taken
