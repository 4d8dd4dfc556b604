"""The text of damaged compressed data, up to each break and from the next, and its whole rows."""

from __future__ import annotations

import sys
import zlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

import lz4.frame

from pgvow.archive.compression import OUTPUT, ZSTD_WINDOW_LOG
from pgvow.archive.csv_text import CopyTextError, decode_field
from pgvow.archive.salvage.framing import Break
from pgvow.model import Compression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Left out before an invalid code. Wrong text can reach further: see decision 0037.
LATE = 1 << 20
# Of a frame with a checksum, all of it: ours are of a few MB of text.
LARGEST_FRAME = 16 << 20
_FLUSHED = b"\0\0\xff\xff"
_RAW_DEFLATE = -15
_WRONG_SUM = "incorrect data check"
_TOO_FAR = "invalid distance too far back"
_WINDOW = 32 << 10
_ADLER_BYTES = 4
_MAGIC = {Compression.ZSTD: b"\x28\xb5\x2f\xfd", Compression.LZ4: b"\x04\x22\x4d\x18"}
# In the byte behind the magic, of zstd and of lz4 alike.
_CHECKSUM_FLAG = 0x04

Text = bytes | Break


class _Spans(Protocol):
    def feed(self, data: bytes) -> Iterator[Text]: ...
    def broken(self, at: Break) -> Iterator[Text]: ...
    def finish(self) -> Iterator[Text]: ...


def decoded(events: Iterable[Text], compression: Compression) -> Iterator[Text]:
    """Yield the text that the payload of a damaged block has, and its breaks.

    Text is yielded when it is at least ``LATE`` bytes from an error, or proven by an exact break or
    the end of its stream or frame.
    """
    spans = _spans(compression)
    for event in events:
        yield from spans.broken(event) if isinstance(event, Break) else spans.feed(event)
    yield from spans.finish()


def _spans(compression: Compression) -> _Spans:
    if compression is Compression.NONE:
        return _PlainSpans()
    return _GzipSpans() if compression is Compression.GZIP else _FrameSpans(compression)


class _Held:
    """The latest text, up to a limit of bytes."""

    def __init__(self) -> None:
        self.limit = LATE
        self._pieces: deque[bytes] = deque()
        self.size = 0

    def add(self, text: bytes) -> Iterator[bytes]:
        self._pieces.append(text)
        self.size += len(text)
        while self.size - len(self._pieces[0]) >= self.limit:
            yield self._take()

    def end(self, *, right: bool) -> Iterator[bytes]:
        """Yield all if it is right, and hold none of it."""
        while self._pieces:
            text = self._take()
            if right:
                yield text

    def _take(self) -> bytes:
        text = self._pieces.popleft()
        self.size -= len(text)
        return text


class _PlainSpans:
    def feed(self, data: bytes) -> Iterator[Text]:
        yield data

    def broken(self, at: Break) -> Iterator[Text]:
        yield at

    def finish(self) -> Iterator[Text]:
        yield from ()


class _GzipSpans:
    """One zlib stream; behind a break it goes on at the next flush, if the writer made one."""

    def __init__(self) -> None:
        self._held = _Held()
        self._stream: zlib._Decompress | None = zlib.decompressobj()
        self._tail = b""
        self._behind = 0
        self._resumed = False

    def feed(self, data: bytes) -> Iterator[Text]:
        while data:
            if self._stream is None:
                data = self._begin(self._tail + data)
                continue
            try:
                yield from self._drain(self._stream, data)
            except zlib.error as error:
                yield from self._failed(str(error))
            else:
                return

    def broken(self, at: Break) -> Iterator[Text]:
        yield from self._held.end(right=at.exact)
        yield at
        self._stream, self._tail = None, b""

    def _failed(self, message: str) -> Iterator[Text]:
        """Judge the text that is held, by the error behind it."""
        if _TOO_FAR in message and self._resumed and self._held.size < _WINDOW:
            # The flush was in the midst of a piece of ours, the rest of which needs its beginning.
            yield from self._held.end(right=False)
            yield from self.broken(Break(exact=True))
            return
        # A wrong sum at the end has no more to say of the last text than of the first.
        yield from self._held.end(right=_WRONG_SUM in message)
        yield from self.broken(Break(exact=False))

    def finish(self) -> Iterator[Text]:
        yield from self._held.end(right=self._stream is not None and self._stream.eof)

    def _begin(self, window: bytes) -> bytes:
        """Begin behind the next flush, and return the bytes there; none if there is none."""
        before, flush, data = window.partition(_FLUSHED)
        self._tail = b"" if flush else before[1 - len(_FLUSHED) :]
        if flush:
            self._behind, self._resumed = 0, True
            self._stream = zlib.decompressobj(_RAW_DEFLATE)
        return data

    def _drain(self, stream: zlib._Decompress, data: bytes) -> Iterator[Text]:
        while data and not stream.eof:
            text = stream.decompress(data, OUTPUT)
            if text:
                yield from self._held.add(text)
            data = stream.unconsumed_tail
        self._behind += len(data or stream.unused_data)
        if self._behind > _ADLER_BYTES:
            raise zlib.error("data behind the end")


class _FrameSpans:
    """Frames of zstd or lz4; behind a break they go on at the next frame's magic bytes."""

    def __init__(self, compression: Compression) -> None:
        self._is_zstd = compression is Compression.ZSTD
        self._magic = _MAGIC[compression]
        self._held = _Held()
        self._frame: zstd.ZstdDecompressor | lz4.frame.LZ4FrameDecompressor | None = None
        self._tail = b""
        self._searching = False
        self._unused = b""

    def feed(self, data: bytes) -> Iterator[Text]:
        while data:
            begun_here = self._frame is None
            if self._frame is None:
                data, skipped = self._begin(self._tail + data)
                if skipped and not self._searching:
                    yield Break(exact=False)
                    self._searching = True
                if self._frame is None:
                    return
            try:
                yield from self._drain(data)
            except (zstd.ZstdError, RuntimeError):
                yield from self.broken(Break(exact=False))
                data = data[len(self._magic) :] if begun_here else data
                continue
            data = self._unused

    def broken(self, at: Break) -> Iterator[Text]:
        yield from self._held.end(right=at.exact)
        yield at
        self._frame, self._tail, self._searching = None, b"", True

    def finish(self) -> Iterator[Text]:
        yield from self._held.end(right=False)

    def _begin(self, window: bytes) -> tuple[bytes, bool]:
        """Begin the next frame; returns its bytes, and whether others were skipped."""
        at = window.find(self._magic)
        if at < 0:
            self._tail = window[1 - len(self._magic) :]
            return b"", len(window) >= len(self._magic)
        data = window[at:]
        if len(data) == len(self._magic):
            self._tail = data
            return b"", at > 0
        self._tail = b""
        self._held.limit = LARGEST_FRAME if data[len(self._magic)] & _CHECKSUM_FLAG else LATE
        self._frame = _zstd_frame() if self._is_zstd else lz4.frame.LZ4FrameDecompressor()
        return data, at > 0

    def _drain(self, data: bytes) -> Iterator[Text]:
        frame, self._unused = self._frame, b""
        while frame is not None:
            text = frame.decompress(data, OUTPUT)
            data = b""
            if text:
                yield from self._held.add(text)
            if frame.eof:
                yield from self._held.end(right=True)
                self._unused, self._frame, self._searching = frame.unused_data or b"", None, False
                return
            if frame.needs_input or not text:
                return


def _zstd_frame() -> zstd.ZstdDecompressor:
    window = zstd.DecompressionParameter.window_log_max
    return zstd.ZstdDecompressor(options={window: ZSTD_WINDOW_LOG})


# A longer row of a damaged table is left out: rows are judged as a whole, in memory.
LONGEST_ROW = 32 << 20
_END = b"\\."
# Encodings of pg_dump --encoding in which the second byte of a character can be a backslash.
_WITH_BACKSLASHES = frozenset({"BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"})


class WholeRows:
    """Keeps the rows that begin behind the end of another, or of nothing, and end.

    A row that touches a break on either side is dropped, and one that is not as COPY writes a row
    of so many columns. ``rows`` are those kept, ``misshapen`` and ``too_long`` those dropped
    though no break touches them; ``is_complete``: no break, and the end of the data was met.
    """

    def __init__(self, columns: int, encoding: str) -> None:
        self.rows = 0
        self.misshapen = 0
        self.too_long = 0
        self.is_doubtful = False
        self._is_whole = True
        self._ended = False
        self._columns = columns
        self._is_utf8 = encoding.upper() == "UTF8"
        self._has_escapes = encoding.upper() not in _WITH_BACKSLASHES
        self._begun: list[bytes] = []
        self._begun_size = 0
        self._skipping = False
        self._empty = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing at all was missing."""
        dropped = self.misshapen or self.too_long
        return self._is_whole and self._ended and not dropped

    def of(self, texts: Iterable[bytes | Break]) -> Iterator[bytes]:
        """Yield the rows, each with its newline, some at a time."""
        for text in texts:
            if isinstance(text, Break):
                self._break(text)
            elif not self._ended and (rows := b"".join(self._kept(self._lines(text)))):
                yield rows

    def _break(self, at: Break) -> None:
        if self._ended:
            return
        self.is_doubtful |= not at.exact
        self._is_whole, self._skipping = False, True
        self._begun, self._begun_size, self._empty = [], 0, 0

    def _lines(self, text: bytes) -> list[bytes]:
        """Return the lines that end in this text, without those that are to be skipped."""
        first, *others = text.split(b"\n")
        if not others:
            self._extend(first)
            return []
        self._extend(first)
        whole = [b"".join(self._begun)] if not self._skipping and self._fits() else []
        self._begun, self._begun_size, self._skipping = [], 0, False
        self._extend(others.pop())
        return whole + others

    def _extend(self, text: bytes) -> None:
        if not self._skipping:
            self._begun_size += len(text)
            if self._begun_size <= LONGEST_ROW:
                self._begun.append(text)

    def _fits(self) -> bool:
        fits = self._begun_size <= LONGEST_ROW
        self.too_long += not fits
        return fits

    def _kept(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            if line == _END:
                self._ended = True
            elif not line and self._columns <= 1 and not self._is_whole:
                # Behind a break it may be one of the newlines behind the end of the data.
                self._empty += 1
                continue
            yield b"\n" * self._empty
            self.rows += self._empty
            self._empty = 0
            if self._ended:
                return
            if self._is_row(line):
                self.rows += 1
                yield line + b"\n"
            else:
                self.misshapen += 1

    def _is_row(self, line: bytes) -> bool:
        if b"\0" in line or line.count(b"\t") != max(self._columns - 1, 0):
            return False
        if not self._columns:
            return not line
        try:
            if self._is_utf8:
                line.decode()
            if self._has_escapes and b"\\" in line:
                for field in line.split(b"\t"):
                    decode_field(field)
        except (UnicodeDecodeError, CopyTextError):
            return False
        return True
