"""Stored bytes in, text out, in bounded pieces: gzip, zstd, lz4 and none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import lz4.frame
from isal import igzip_lib

from pgvow.archive.rows import AT_A_TIME
from pgvow.model import Compression

# In the standard library from 3.14 on; before, the same as a package.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What one step of decompression may return: a few KB can stand for gigabytes. As much as rows are
# counted in at a time, so that nothing is cut, and copied, once more.
OUTPUT = AT_A_TIME
# Beyond it libzstd itself refuses by default, and so does pg_restore. 2 ** 27 is 128 MiB.
ZSTD_WINDOW_LOG = 27


BeforeFrame = Callable[[bytes], None]

# The stubs have an instance where the class is.
_ISAL_ERROR: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]


class CodecError(Exception):
    """The stored bytes are not what the compression in question produces."""


class Decoder(Protocol):
    """Decompresses the chunks of one table or large object."""

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield what the chunks stand for, in pieces of bounded size; raises CodecError."""

    def finish(self) -> None:
        """Raise CodecError unless the data ends where the chunks do."""


def unheeded(_: bytes) -> None:
    """Let every frame have the memory it asks for."""


def decoder_for(compression: Compression, before_frame: BeforeFrame = unheeded) -> Decoder:
    """Return a decoder for one table or large object.

    ``before_frame`` is told of every zstd frame, by its first chunk, before that is decoded.
    """
    return _DECODERS[compression](before_frame)


class _Decompressor(Protocol):
    """The interface of bz2's decompressor, which all these libraries have."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class StoredDecoder:
    """No compression: the chunks are the text."""

    def __init__(self, _: BeforeFrame) -> None:
        pass

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the chunks, joined: without compression every row is a chunk of its own."""
        yield b"".join(chunks)

    def finish(self) -> None:
        """Do nothing: there is no end to miss."""


class GzipDecoder:
    """One zlib stream, cut into chunks anywhere; its Adler-32 is checked by the library."""

    def __init__(self, _: BeforeFrame) -> None:
        self._stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB)

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield what the chunks stand for."""
        if self._stream.eof:
            raise CodecError("the compressed data goes on behind its end")
        yield from _drain(self._stream, b"".join(chunks), _ISAL_ERROR)

    def finish(self) -> None:
        """Raise CodecError unless the stream has ended, and nothing follows."""
        if not self._stream.eof:
            raise CodecError("the compressed data ends too early")
        if self._stream.unused_data:
            raise CodecError("the compressed data goes on behind its end")


class FramesDecoder:
    """Any number of frames, one after the other, of zstd or lz4.

    A frame must end where a chunk does: pg_restore passes over the rest of a chunk in which a zstd
    frame has ended. pg_dump writes a single frame.
    """

    def __init__(
        self,
        new: Callable[[], _Decompressor],
        error: type[Exception],
        before_frame: BeforeFrame = unheeded,
    ) -> None:
        self._new = new
        self._before_frame = before_frame
        self._error = error
        self._frame: _Decompressor | None = None

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield what the chunks stand for."""
        for chunk in chunks:
            if self._frame is None:
                self._before_frame(chunk)
            frame = self._frame or self._new()
            yield from _drain(frame, chunk, self._error)
            if frame.unused_data:
                raise CodecError("a compressed frame ends in the midst of a chunk")
            self._frame = None if frame.eof else frame

    def finish(self) -> None:
        """Raise CodecError unless the last frame has ended."""
        if self._frame is not None:
            raise CodecError("the compressed data ends too early")


def _drain(stream: _Decompressor, stored: bytes, error: type[Exception]) -> Iterator[bytes]:
    """Feed the stream and yield all that it has to say so far."""
    while True:
        try:
            text = stream.decompress(stored, OUTPUT)
        except error as problem:
            raise CodecError(f"the compressed data is damaged: {problem}") from problem
        if text:
            yield text
        if stream.eof or stream.needs_input or not text:
            return
        stored = b""


def _zstd_frame() -> _Decompressor:
    window = zstd.DecompressionParameter.window_log_max
    return zstd.ZstdDecompressor(options={window: ZSTD_WINDOW_LOG})


def _zstd_decoder(before_frame: BeforeFrame) -> Decoder:
    return FramesDecoder(_zstd_frame, zstd.ZstdError, before_frame)


def _lz4_decoder(_: BeforeFrame) -> Decoder:
    return FramesDecoder(lz4.frame.LZ4FrameDecompressor, RuntimeError)


_DECODERS: dict[Compression, Callable[[BeforeFrame], Decoder]] = {
    Compression.NONE: StoredDecoder,
    Compression.GZIP: GzipDecoder,
    Compression.ZSTD: _zstd_decoder,
    Compression.LZ4: _lz4_decoder,
}
