"""Pieces: each depends on its text alone, and pg_restore reads them laid end to end."""

from __future__ import annotations

import contextlib
import random
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.archive import Compression, Encoder, Piece, encoder_for
from pgvow.archive.compression import ADLER_OF_NOTHING, closing, combined_adler32, opening

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP_LEVELS = (None, *range(1, 10))
ZSTD_LEVELS = (None, 1, 2, 3, 9)
CHOICES = [
    *((Compression.GZIP, level) for level in GZIP_LEVELS),
    *((Compression.ZSTD, level) for level in ZSTD_LEVELS),
    (Compression.NONE, None),
]
NOISE = random.Random(4).randbytes(300_000)
TEXTS = (
    b"",
    b"1\tone\n",
    b"".join(b"%d\torder %d\t\\N\n" % (number, number**3) for number in range(8_000)),
    NOISE,
    bytes(400_000),
    b"\n",
)


def laid(encoder: Encoder, pieces: list[Piece]) -> bytes:
    """Lay the pieces end to end as a table's data."""
    adler = ADLER_OF_NOTHING
    for piece in pieces:
        adler = combined_adler32(adler, piece.adler32, piece.size)
    compression = encoder.compression
    stored = b"".join(piece.stored for piece in pieces)
    return opening(compression) + stored + closing(compression, adler)


def text_of(compression: Compression, stored: bytes) -> bytes:
    """Decompress with the libraries that PostgreSQL uses."""
    if compression is Compression.GZIP:
        stream = zlib.decompressobj()
        text = stream.decompress(stored)
        assert (True, b"") == (stream.eof, stream.unused_data)
        return text
    return zstd.decompress(stored) if compression is Compression.ZSTD else stored


@pytest.mark.parametrize(("compression", "level"), CHOICES)
def test_concatenated_pieces_decompress_to_the_text(
    compression: Compression, level: int | None
) -> None:
    """At every level, whatever the text: none, a little, noise, zeros."""
    encoder = encoder_for(compression, level)
    pieces = [encoder.encode(text) for text in TEXTS]
    assert compression is encoder.compression
    assert b"".join(TEXTS) == text_of(compression, laid(encoder, pieces))
    assert [len(text) for text in TEXTS] == [piece.size for piece in pieces]


@given(
    st.lists(st.binary(max_size=2000), min_size=1), st.sampled_from(CHOICES[:4] + CHOICES[10:12])
)
def test_text_cut_anywhere_decompresses_to_the_text(
    texts: list[bytes], choice: tuple[Compression, int | None]
) -> None:
    """Texts cut anywhere, into pieces of nothing as well."""
    encoder = encoder_for(*choice)
    assert b"".join(texts) == text_of(
        encoder.compression, laid(encoder, [encoder.encode(text) for text in texts])
    )


@given(st.binary(max_size=300), st.integers(0, 200_000), st.binary(max_size=300))
def test_adler32_sums_combine(first: bytes, middle: int, last: bytes) -> None:
    """The sum of texts end to end follows from the sums of each, of many bytes as well."""
    texts = (first, b"\xff" * middle, last)
    sums = [(zlib.adler32(text), len(text)) for text in texts]
    *_, (combined, _) = accumulate(
        sums, lambda a, b: (combined_adler32(a[0], b[0], b[1]), a[1] + b[1])
    )
    assert zlib.adler32(b"".join(texts)) == combined


@pytest.mark.parametrize(("compression", "level"), CHOICES)
def test_a_piece_depends_on_its_text_alone(compression: Compression, level: int | None) -> None:
    """In any kind of buffer, in another order, in several threads at once: the same bytes."""
    encoder = encoder_for(compression, level)
    text = TEXTS[2][:200_000]
    expected = [encoder.encode(text), encoder.encode(NOISE)]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(encoder.encode, [bytearray(text), memoryview(NOISE)] * 4))
    assert expected * 4 == again
    assert expected[::-1] == [encoder.encode(NOISE), encoder.encode(text)]


def test_a_higher_level_takes_fewer_bytes() -> None:
    """A higher level takes fewer bytes, if the two ends of the range are compared."""
    words = [str(number) * 2 for number in range(900)]
    text = " ".join(random.Random(4).choices(words, k=50_000)).encode()
    for compression, low, high in ((Compression.GZIP, 1, 9), (Compression.ZSTD, 1, 22)):
        sizes = [len(encoder_for(compression, n).encode(text).stored) for n in (low, high)]
        assert sorted(sizes, reverse=True) == sizes


def test_badly_compressible_text_gets_a_denser_level() -> None:
    """Without a level asked for: below ISA-L's best; text that packs well stays with its 2."""
    choices = random.Random(4)
    hexadecimal = b"".join(b"%x\n" % choices.getrandbits(52) for _ in range(100_000))
    sizes = [
        len(encoder_for(Compression.GZIP, level).encode(hexadecimal).stored) for level in (3, None)
    ]
    assert sorted(sizes, reverse=True) == sizes
    assert len(hexadecimal) < 3 * sizes[1]
    packs_well = b"the same\n" * 20_000
    assert encoder_for(Compression.GZIP, 2).encode(packs_well) == encoder_for(
        Compression.GZIP, None
    ).encode(packs_well)


@pytest.mark.parametrize(
    ("compression", "level"),
    [
        *((Compression.GZIP, level) for level in (-1, 0, 10)),
        *((Compression.ZSTD, level) for level in (-7, 0, 23)),
        (Compression.NONE, 1),
        (Compression.LZ4, None),
        (Compression.LZ4, 1),
    ],
)
def test_an_unknown_level_raises_value_error(compression: Compression, level: int | None) -> None:
    """ValueError, and it names the level."""
    with pytest.raises(ValueError, match=str(level)):
        encoder_for(compression, level)


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_a_flipped_bit_is_refused_or_harmless(compression: Compression) -> None:
    """With any one bit turned over the data is refused, or still is the text."""
    encoder = encoder_for(compression, None)
    text = b"".join(b"%d\torder %d\n" % (number, number**3) for number in range(30))
    stored = laid(encoder, [encoder.encode(text)])
    for bit in range(len(stored) * 8):
        changed = bytearray(stored)
        changed[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(zlib.error, zstd.ZstdError, AssertionError):
            assert text == text_of(compression, bytes(changed)), f"bit {bit}"
