"""Compress text to stored bytes, piece by piece, and decompress them, in bounded memory."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import lz4.frame
from isal import igzip_lib, isal_zlib
from zlib_ng import zlib_ng

from pgvow.archive.rows import AT_A_TIME
from pgvow.model import Compression

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# In the standard library from 3.14 on; before, the same as a package.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


Text = bytes | bytearray | memoryview

# Measured in decision 0013: text that packs well loses least by ISA-L's level 2. For the rest its 3
# is denser, but not enough; zlib-ng's 5 is dense and slow, so it gets the last fifth.
_FAST = 2
_DENSE = 3
_DENSEST = 5
_DENSEST_SHARE = 5
_WINDOW = 32 << 10
_SAMPLE_BYTES = 64 << 10
_PACKS_BADLY = 3  # to more than one third of itself
ISAL_LEVELS = range(1, 4)
ZLIB_LEVELS = range(4, 10)
ZSTD_DEFAULT = 1
ZSTD_LEVELS = range(1, 23)
ADLER_OF_NOTHING = 1

_ADLER_MODULUS = 65521
_RAW_DEFLATE = -15
# A window of 32 KB and the default level, as pg_dump -Z 6 has it, and an empty last block.
_ZLIB_HEADER = b"\x78\x9c"
_LAST_BLOCK = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of one table's COPY text, compressed by itself.

    ``stored`` are the bytes for the file: for gzip raw deflate that ends with a flush, so that it
    depends on no byte before it and any may follow; for zstd one whole frame with a checksum; for
    none the text. ``size`` is the text's, in bytes; ``adler32`` is 1 if the compression does not
    need it.
    """

    stored: bytes
    size: int
    adler32: int


class Encoder(Protocol):
    """Compresses pieces, each by itself, for any number of threads at the same time.

    It releases the interpreter's lock meanwhile.
    """

    @property
    def compression(self) -> Compression:
        """The compression that the archive's header must name."""

    def encode(self, text: Text) -> Piece:
        """Compress some text to a piece."""


def encoder_for(compression: Compression, level: int | None) -> Encoder:
    """Return an encoder; ``level`` None is a fast one.

    gzip: 1 to 3 are ISA-L's levels, 4 to 9 zlib's. zstd: 1 to 22. none: has no level. Raises
    ValueError for any other, and for lz4.
    """
    if compression is Compression.GZIP:
        return _gzip(level)
    if compression is Compression.ZSTD:
        return ZstdEncoder(ZSTD_DEFAULT if level is None else level)
    if compression is Compression.NONE and level is None:
        return PlainEncoder()
    raise ValueError(f"{compression} at level {level} cannot be written")


def _gzip(level: int | None) -> Encoder:
    if level is None:
        return SamplingEncoder()
    if level in ISAL_LEVELS:
        return IsalEncoder(level)
    return ZlibEncoder(level)


class PlainEncoder:
    """No compression."""

    compression = Compression.NONE

    def encode(self, text: Text) -> Piece:
        """Return the text itself."""
        return Piece(bytes(text), len(text), ADLER_OF_NOTHING)


class IsalEncoder:
    """Deflate by ISA-L: many times as fast as zlib, and a little larger."""

    compression = Compression.GZIP

    def __init__(self, level: int) -> None:
        self._level = level

    def encode(self, text: Text) -> Piece:
        """Compress to raw deflate, ended by a flush."""
        stream = isal_zlib.compressobj(self._level, isal_zlib.DEFLATED, _RAW_DEFLATE)
        stored = stream.compress(text) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
        return Piece(stored, len(text), isal_zlib.adler32(text))


class SamplingEncoder:
    """ISA-L's level 2, and denser for a text whose beginning packs badly: it gains most."""

    compression = Compression.GZIP

    def __init__(self) -> None:
        self._fast = IsalEncoder(_FAST)

    def encode(self, text: Text) -> Piece:
        """Compress to raw deflate, ended by a flush."""
        view = memoryview(text)
        sample = view[:_SAMPLE_BYTES]
        if len(sample) < len(view) and len(self._fast.encode(sample).stored) * _PACKS_BADLY > len(
            sample
        ):
            return Piece(_dense(view), len(view), isal_zlib.adler32(view))
        return self._fast.encode(view)


def _dense(text: memoryview) -> bytes:
    """Compress most of a text denser, and its end densest, with the window before it."""
    cut = len(text) - len(text) // _DENSEST_SHARE
    begin = isal_zlib.compressobj(_DENSE, isal_zlib.DEFLATED, _RAW_DEFLATE)
    window = bytes(text[max(0, cut - _WINDOW) : cut])
    end = zlib_ng.compressobj(_DENSEST, zlib_ng.DEFLATED, _RAW_DEFLATE, zdict=window)
    return b"".join(
        part
        for stream, half in ((begin, text[:cut]), (end, text[cut:]))
        for part in (stream.compress(half), stream.flush(zlib.Z_SYNC_FLUSH))
    )


class ZlibEncoder:
    """Deflate by zlib, for archives as small as pg_dump's."""

    compression = Compression.GZIP

    def __init__(self, level: int) -> None:
        if level not in ZLIB_LEVELS:
            raise ValueError(f"gzip has the levels 1 to 9, not {level}")
        self._level = level

    def encode(self, text: Text) -> Piece:
        """Compress to raw deflate, ended by a flush."""
        stream = zlib.compressobj(self._level, zlib.DEFLATED, _RAW_DEFLATE)
        stored = stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)
        return Piece(stored, len(text), isal_zlib.adler32(text))


class ZstdEncoder:
    """zstd, with the checksum that pg_dump omits: reading then detects damage."""

    compression = Compression.ZSTD

    def __init__(self, level: int) -> None:
        if level not in ZSTD_LEVELS:
            raise ValueError(f"zstd has the levels 1 to 22, not {level}")
        self._options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.checksum_flag: 1,
        }

    def encode(self, text: Text) -> Piece:
        """Compress to one frame."""
        stored = zstd.compress(text, options=self._options)
        return Piece(stored, len(text), ADLER_OF_NOTHING)


def opening(compression: Compression) -> bytes:
    """Return the bytes before the first piece of a table."""
    return _ZLIB_HEADER if compression is Compression.GZIP else b""


def closing(compression: Compression, adler32: int) -> bytes:
    """Return the bytes behind the last piece of a table; ``adler32`` is that of all its text."""
    if compression is not Compression.GZIP:
        return b""
    return _LAST_BLOCK + adler32.to_bytes(4, "big")


def combined_adler32(first: int, second: int, second_size: int) -> int:
    """Return the Adler-32 of two texts laid end to end, from those of each."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_size * ((first & 0xFFFF) - 1)
    return (high % _ADLER_MODULUS) << 16 | low % _ADLER_MODULUS


# The most that one step of decompression may return: a few KB can expand to gigabytes. Rows are
# counted in pieces of the same size, so that none is cut, and copied, once more.
OUTPUT = AT_A_TIME
# Larger windows are refused by libzstd's default, and so by pg_restore. 2 ** 27 is 128 MiB.
ZSTD_WINDOW_LOG = 27


BeforeFrame = Callable[[bytes], None]

# The stubs declare an instance instead of the class.
_ISAL_ERROR: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]


class CodecError(Exception):
    """Raised if stored bytes are not valid for their compression."""


class Decoder(Protocol):
    """Decompresses the chunks of one table or large object."""

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the text of the chunks, in pieces of bounded size; raises CodecError."""

    def finish(self) -> None:
        """Raise CodecError unless the data ends with the last chunk."""


def unlimited(_: bytes) -> None:
    """Let every frame have the memory that it needs."""


def decoder_for(compression: Compression, before_frame: BeforeFrame = unlimited) -> Decoder:
    """Return a decoder for one table or large object.

    ``before_frame`` is called with the first chunk of every zstd frame before it is decoded.
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
        """Do nothing: the text has no end of its own."""


class GzipDecoder:
    """One zlib stream, cut into chunks anywhere; the library checks its Adler-32."""

    def __init__(self, _: BeforeFrame) -> None:
        self._stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB)

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the text of the chunks."""
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

    A frame must end with a chunk: pg_restore skips the rest of a chunk in which a zstd frame has
    ended. pg_dump writes a single frame.
    """

    def __init__(
        self,
        new: Callable[[], _Decompressor],
        error: type[Exception],
        before_frame: BeforeFrame = unlimited,
    ) -> None:
        self._new = new
        self._before_frame = before_frame
        self._error = error
        self._frame: _Decompressor | None = None

    def decode(self, chunks: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the text of the chunks."""
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
    """Yield all text that the stream has of these bytes."""
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
