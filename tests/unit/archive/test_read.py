"""The data reads back as written, however it is cut, compressed and laid out."""

from __future__ import annotations

import io
import itertools
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from pgvow.archive import (
    ArchiveContents,
    ArchiveError,
    CopyDigest,
    copy_text,
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
    from pgvow.progress import Step

ROWS = b"".join(b"%d\tname of %d\t\\N\n" % (number, number) for number in range(3000))
WIDE = b"".join(b"%d\t" % number + b"wide " * 80 + b"\n" for number in range(700))
PARTS = (
    Table("narrow", ROWS),
    Schema("v", "VIEW"),
    Table("empty"),
    Table("wide", WIDE, schema="archive"),
    LargeObjects(((16384, b"one"), (3_000_000_000, bytes(100_000)), (4, b""))),
    Table("no columns", b"\n\n"),
)
COUNTS = [("narrow", 3000), ("empty", 0), ("archive.wide", 700), ('"no columns"', 2)]


def read(raw: bytes, threads: int = 2) -> ArchiveContents:
    """Read an archive from bytes."""
    return read_archive(io.BytesIO(raw), threads=threads)


def fingerprint(text: bytes) -> str:
    """Return XXH3-128 as the reader should."""
    return xxhash.xxh3_128_hexdigest(text)


def refused(raw: bytes) -> ArchiveError:
    """Return the error of reading an archive that is damaged."""
    with pytest.raises(ArchiveError) as caught:
        read(raw)
    return caught.value


@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_tables_are_read_as_they_were_written(
    version: int, compression: str, *, offsets: bool
) -> None:
    """Rows, bytes and fingerprint are those of the COPY text, in every version, seen or sought."""
    raw = build(Spec(PARTS, version=version, compression=compression, offsets=offsets))
    contents = read(raw)
    assert COUNTS == [(table.entry.key, table.rows) for table in contents.tables]
    assert [len(ROWS), 0, len(WIDE), 2] == [table.size for table in contents.tables]
    expected = [fingerprint(text) for text in (ROWS, b"", WIDE, b"\n\n")]
    assert expected == [table.fingerprint for table in contents.tables]
    assert len(raw) == contents.size


@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_large_objects_are_read(version: int, compression: str) -> None:
    """Count, bytes and fingerprint cover every large object, with an oid above 2 ** 31 too."""
    found = read(build(Spec(PARTS, version=version, compression=compression))).large_objects
    assert (3, 100_003) == (found.count, found.size)
    objects = ((16384, b"one"), (3_000_000_000, bytes(100_000)), (4, b""))
    digests = [xxhash.xxh3_128_intdigest(oid.to_bytes(8, "big") + data) for oid, data in objects]
    assert f"{sum(digests) % 2**128:032x}" == found.fingerprint


def test_large_objects_in_several_entries_have_the_same_fingerprint() -> None:
    """17 writes several entries, grouped by owner: the fingerprint is the same."""
    one = Spec((LargeObjects(((1, b"a"), (2, b"b"), (3, b"c"))),), version=16)
    two = Spec((LargeObjects(((3, b"c"), (1, b"a"))), LargeObjects(((2, b"b"),))), version=16)
    assert read(build(one)).large_objects == read(build(two)).large_objects
    swapped = Spec((LargeObjects(((1, b"b"), (2, b"a"), (3, b"c"))),), version=16)
    assert read(build(one)).large_objects != read(build(swapped)).large_objects


def test_an_archive_without_large_objects_has_none() -> None:
    """No entry of large objects means no large object."""
    found = read(build(Spec((Table("t", b"1\n"),)))).large_objects
    assert (0, 0, "0" * 32) == (found.count, found.size, found.fingerprint)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("chunk", [1, 7, 4096, 65_536, 1_000_000])
def test_contents_do_not_depend_on_chunk_boundaries(compression: str, chunk: int) -> None:
    """The contents do not depend on how the stored bytes are cut into chunks."""
    contents = read(build(Spec(PARTS, compression=compression, chunk=chunk)))
    expected = [fingerprint(text) for text in (ROWS, b"", WIDE, b"\n\n")]
    assert expected == [table.fingerprint for table in contents.tables]


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(compression: str, threads: int) -> None:
    """One thread, two, or more than there are blocks: the contents are equal."""
    raw = build(Spec(PARTS, version=16, compression=compression))
    assert read(raw, threads=1) == read(raw, threads=threads)


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_table_larger_than_all_the_others_is_read_ahead(compression: str) -> None:
    """A table with most of the file is decompressed in a thread of its own, to the same end."""
    rows = ROWS * 60
    raw = build(Spec((Table("big", rows), Table("small")), version=16, compression=compression))
    table = read(raw).tables[0]
    assert (180_000, len(rows), fingerprint(rows)) == (table.rows, table.size, table.fingerprint)


def test_blocks_are_read_in_any_order() -> None:
    """The parallel engine may write a block before that of an earlier entry."""
    for offsets in (True, False):
        spec = Spec(PARTS, order=(4, 0, 5, 3, 2), offsets=offsets)
        assert COUNTS == [(table.entry.key, table.rows) for table in read(build(spec)).tables]


def test_the_blocks_digest_covers_every_byte_of_it() -> None:
    """Offset, size and digest of a block are those of the bytes in the file."""
    raw = build(Spec(PARTS))
    contents = read(raw)
    blocks = [found.stored for found in (*contents.tables, *contents.large_object_entries)]
    for block in blocks:
        stored = raw[block.offset : block.offset + block.size]
        assert fingerprint(stored) == block.digest
    assert len(raw) - contents.toc.end == sum(block.size for block in blocks)


def test_rows_dumped_as_inserts_are_not_counted() -> None:
    """INSERT commands have no terminator; their text is taken as it is, and rows are unknown."""
    text = b"INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\n\n\n"
    table = Table("t", text, copy_stmt="", terminator=b"")
    found = read(build(Spec((table,)))).tables[0]
    assert (None, len(text), fingerprint(text)) == (found.rows, found.size, found.fingerprint)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_table_of_several_frames_is_read(compression: str) -> None:
    """Frames follow one another as long as each ends with a chunk."""
    frames = [COMPRESS[compression](piece) for piece in (b"1\n", b"", b"2\n3\n", b"\\.\n\n\n")]
    contents = read(Framed(Spec(version=16, compression=compression), *frames).archive())
    assert 3 == contents.tables[0].rows


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_frame_that_ends_within_a_chunk_is_refused(compression: str) -> None:
    """pg_restore ignores bytes after a zstd frame in its chunk, so none may follow."""
    frames = b"".join(COMPRESS[compression](piece) for piece in (b"1\n", b"2\n", b"\\.\n\n\n"))
    error = refused(Framed(Spec(version=16, compression=compression), frames).archive())
    assert error.complaint == "a compressed frame ends in the midst of a chunk"


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_a_large_object_without_chunks_is_empty(compression: str) -> None:
    """A large object of no bytes may have no chunk at all."""
    spec = Spec((LargeObjects(()),), version=16, compression=compression)
    writer = Writer(spec)
    block = b"\x03" + writer.integer(7) + writer.integer(9) + writer.framed() + writer.integer(0)
    raw = writer.header() + Writer(replace(spec, offsets=False)).toc({}) + block
    found = read(raw).large_objects
    assert (1, 0) == (found.count, found.size)


class Framed(Writer):
    """Writes one table whose stored chunks are the test's own."""

    def __init__(self, spec: Spec, *stored: bytes) -> None:
        super().__init__(replace(spec, parts=(Table("t"),)))
        self._stored = stored

    def block(self, index: int) -> bytes:
        """Return a block with these chunks."""
        return b"\x01" + self.integer(self.dump_id(index)) + self.framed(*self._stored)


@pytest.mark.parametrize(
    ("compression", "stored", "expected"),
    [
        ("gzip", COMPRESS["gzip"](b"1\n\\.\n\n\n")[:-1], "the compressed data ends too early"),
        ("gzip", b"", "the compressed data ends too early"),
        (
            "gzip",
            COMPRESS["gzip"](b"1\n\\.\n\n\n") + b"x",
            "the compressed data goes on behind its end",
        ),
        ("zstd", COMPRESS["zstd"](b"1\n\\.\n\n\n")[:-1], "the compressed data ends too early"),
        ("lz4", COMPRESS["lz4"](b"1\n\\.\n\n\n")[:-1], "the compressed data ends too early"),
        ("none", b"1\n2\n", "the table's rows end too early"),
        ("none", b"1\n\\.\n\n", "the table's rows end too early"),
        ("none", b"1\\.\n\n\n", "the table's rows end too early"),
        ("none", b"", "the table's rows end too early"),
        ("gzip", COMPRESS["gzip"](b"1\n2\n"), "the table's rows end too early"),
    ],
)
def test_incomplete_or_trailing_data_is_refused_with_table_and_offset(
    compression: str, stored: bytes, expected: str
) -> None:
    """Data that stops early, or goes on, is no data; the error names table and offset."""
    pieces = [stored] if stored else []
    raw = Framed(Spec(version=16, compression=compression), *pieces).archive()
    error = refused(raw)
    assert (expected, "public.t") == (error.complaint, error.table)
    assert 0 < error.offset <= len(raw)
    assert {"Offset": str(error.offset), "Table": "public.t"} == error.facts
    assert f"{expected} (in public.t, at byte {error.offset})" == error.cause


def test_chunks_after_the_end_of_a_zlib_stream_are_refused() -> None:
    """A zlib stream that ends, and more chunks behind it: pg_restore would hang."""
    ended = COMPRESS["gzip"](b"\\.\n\n\n")
    chunks = [ended, b"x" * 70_000]
    error = refused(Framed(Spec(), *chunks).archive())
    assert error.complaint == "the compressed data goes on behind its end"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4"])
def test_data_that_does_not_decompress_is_refused(compression: str) -> None:
    """The error quotes the library."""
    error = refused(Framed(Spec(version=16, compression=compression), b"\xff" * 99).archive())
    assert error.complaint.startswith("the compressed data is damaged: ")


def test_every_damage_is_listed_and_the_rest_is_read() -> None:
    """One damaged table hides no other: all that can be read is, and all damage is listed."""
    spec = Spec(PARTS, compression="gzip")
    raw = bytearray(build(spec))
    contents = read(bytes(raw))
    for table in contents.tables[0], contents.tables[2]:
        raw[table.stored.offset + 40] ^= 1
    found = examine_archive(io.BytesIO(bytes(raw)))
    assert ["public.narrow", "archive.wide"] == [error.table for error in found.damage]
    assert ["empty", '"no columns"'] == [table.entry.key for table in found.contents.tables]
    assert contents.large_objects == found.contents.large_objects
    assert "public.narrow" == refused(bytes(raw)).table


@pytest.mark.parametrize("offsets", [True, False])
def test_a_missing_block_is_an_error(*, offsets: bool) -> None:
    """The file of a dump that was killed between two tables is not whole."""
    spec = Spec((Table("a", b"1\n"), Table("b", b"2\n")), offsets=offsets)
    raw = build(spec)
    error = refused(raw[: -len(Writer(spec).block(1))])
    assert ("public.b", "the file ends before") == (error.table, error.complaint[:20])


@pytest.mark.parametrize("offsets", [True, False])
def test_bytes_after_the_last_block_are_an_error(*, offsets: bool) -> None:
    """Nothing follows the data."""
    error = refused(build(Spec(PARTS, offsets=offsets)) + b"\x01")
    assert error.complaint in {"something follows the data", "something follows the last data"}


def test_wrong_offsets_are_errors() -> None:
    """Offsets that leave gaps, overlap, or name another table's block are not believed."""
    spec = Spec((Table("a", b"1\n"), Table("b", b"2\n")), compression="none")
    writer = Writer(spec)
    head, blocks = writer.header(), writer.block(0) + writer.block(1)
    start, second = len(head) + len(writer.toc({})), len(writer.block(0))
    told = []
    for places in ((start + 1, start + second), (start + second, start), (start, start)):
        raw = head + writer.toc(dict(enumerate(places))) + blocks
        told.append(refused(raw).complaint)
    assert [
        "the first data is not where the archive says",
        "there is no data of this entry here",
        "the data runs into the next block",
    ] == told


def test_an_offset_that_scanning_contradicts_is_an_error() -> None:
    """With one offset missing the file is scanned, and the others must be right."""
    spec = Spec((Table("a", b"1\n"), Table("b", b"2\n")))
    writer = Writer(spec)
    start = len(writer.header()) + len(writer.toc({}))
    raw = writer.header() + writer.toc({0: start + 4}) + writer.block(0) + writer.block(1)
    assert refused(raw).complaint == "there is something that is no data of any entry"


@pytest.mark.parametrize("offsets", [True, False])
def test_a_block_of_another_kind_or_entry_is_an_error(*, offsets: bool) -> None:
    """A block has its kind and the number of its entry; both must be right."""
    raw = build(Spec((Table("a", b"1\n"),), offsets=offsets))
    start = read_toc(io.BytesIO(raw)).end
    for place, value in ((start, 3), (start + 2, 8)):
        changed = raw[:place] + bytes([value]) + raw[place + 1 :]
        expected = "there is no data of this entry here"
        if not offsets:
            expected = "there is something that is no data of any entry"
        assert expected == refused(changed).complaint


def test_impossible_lengths_and_oids_are_errors() -> None:
    """A chunk is no longer than two gigabytes, and an oid has 32 bits."""
    writer = Writer(Spec(int_size=8, offsets=False))
    start = writer.header() + Writer(Spec((Table("t"),), int_size=8, offsets=False)).toc({})
    block = b"\x01" + writer.integer(7)
    for length in (-1, 1 << 31, 1 << 63):
        error = refused(start + block + writer.integer(length))
        assert f"a chunk has the impossible length {length}" == error.complaint
    start = writer.header() + Writer(Spec((LargeObjects(()),), int_size=8, offsets=False)).toc({})
    block = b"\x03" + writer.integer(7)
    for oid in (-(1 << 31) - 1, 1 << 32):
        error = refused(start + block + writer.integer(oid))
        assert f"a large object has the impossible oid {oid}" == error.complaint


def second_toc(spec: Spec) -> tuple[bytes, bytes]:
    """Return an archive without offsets, and its table of contents with them."""
    with_offsets = build(spec)
    head = len(Writer(spec).header())
    return build(replace(spec, offsets=False)), with_offsets[head : read_end(with_offsets)]


def read_end(raw: bytes) -> int:
    """Return where the table of contents ends."""
    return read_toc(io.BytesIO(raw)).end


def test_a_second_table_of_contents_at_the_end_is_accepted() -> None:
    """``pg_dump -Fc > file`` of 16 to 18 leaves one behind the data."""
    raw, again = second_toc(Spec(PARTS))
    assert COUNTS == [(table.entry.key, table.rows) for table in read(raw + again).tables]


def test_a_second_table_of_contents_must_equal_the_first() -> None:
    """Anything else behind the data is an error, however much it looks like one."""
    raw, again = second_toc(Spec(PARTS))
    other = second_toc(Spec((*PARTS, Table("more"))))[1]
    for rest in (other, again[:-1], again + b"\0", again.replace(b"narrow", b"nirrow"), b"\0"):
        assert "something follows the last data" == refused(raw + rest).complaint
    assert "something follows the last data" == refused(raw + second_toc_moved(again)).complaint


def second_toc_moved(again: bytes) -> bytes:
    """Return the table of contents with one offset changed by one."""
    place = again.rindex(b"\x02", 0, len(again) - 8)
    return again[: place + 1] + bytes([again[place + 1] ^ 1]) + again[place + 2 :]


@pytest.mark.parametrize("offsets", [True, False])
def test_the_text_of_one_table_is_read(*, offsets: bool) -> None:
    """Its pieces joined are the COPY text without terminator; an entry without data has none."""
    file = io.BytesIO(build(Spec(PARTS, offsets=offsets)))
    toc = read_toc(file)
    texts = [b"".join(copy_text(file, toc, entry)) for entry in toc.table_data]
    assert [ROWS, b"", WIDE, b"\n\n"] == texts
    assert b"" == b"".join(copy_text(file, toc, toc.entries[0]))


def test_the_text_of_a_damaged_table_ends_with_an_error() -> None:
    """The pieces are not the whole table, and the caller gets an error."""
    raw = build(Spec(PARTS, compression="none"))
    file = io.BytesIO(raw[:-20])
    toc = read_toc(file)
    with pytest.raises(ArchiveError, match="no columns"):
        list(copy_text(file, toc, toc.table_data[-1]))


class Listener:
    """Records progress, and the threads that report it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.threads: set[int] = set()

    def update(self, step: Step) -> None:
        """Keep the step."""
        self.steps.append(step)
        self.threads.add(threading.get_ident())

    def warn(self, message: str) -> None:
        """Expect no warning."""
        raise AssertionError(message)


@pytest.mark.parametrize("offsets", [True, False])
def test_progress_is_reported_in_file_bytes_by_the_callers_thread(*, offsets: bool) -> None:
    """It ends at the file's size, and a bar needs no lock."""
    raw = build(Spec(PARTS, offsets=offsets))
    listener = Listener()
    read_archive(io.BytesIO(raw), progress=listener)
    assert (len(raw), len(raw)) == (listener.steps[-1].done, listener.steps[-1].total)
    assert {threading.get_ident()} == listener.threads


class Failing(io.BytesIO):
    """A file on a disk that fails behind some offset."""

    def read(self, size: int | None = -1) -> bytes:
        """Read, or fail as the system would."""
        if self.tell() > 20_000:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("offsets", [True, False])
def test_an_os_error_is_raised_and_ends_every_thread(*, offsets: bool) -> None:
    """A failing disk is not a damaged archive; no thread is left behind."""
    rows = bytes(itertools.islice(itertools.cycle(range(1, 10)), 50_000)) + b"\n"
    parts = tuple(Table(f"t{number}", rows) for number in range(9))
    before = threading.active_count()
    with pytest.raises(OSError, match="Input/output error"):
        read_archive(Failing(build(Spec(parts, compression="none", offsets=offsets))), threads=3)
    assert before == threading.active_count()


class Slow(io.BytesIO):
    """A file on a slow disk, that counts how often it is read; it waits for the key midway."""

    reads = 0

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.pressed = threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        """Read after a while."""
        self.reads += 1
        if self.reads > 20:
            self.pressed.wait()
        time.sleep(0.02)
        return super().read(size)


@pytest.mark.parametrize("offsets", [True, False])
def test_an_interrupt_ends_every_thread(*, offsets: bool) -> None:
    """Ctrl-C in the caller's thread stops the work of all others, midway."""

    class Pressed(Listener):
        def update(self, step: Step) -> None:
            super().update(step)
            file.pressed.set()
            raise KeyboardInterrupt

    rows = b"1\n" * 5_000_000
    parts = (Table("a", rows), Table("b", rows))
    file = Slow(build(Spec(parts, compression="none", chunk=100_000, offsets=offsets)))
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        read_archive(file, progress=Pressed(), threads=2)
    assert before == threading.active_count()
    assert file.reads < 100  # of some 400


@given(st.lists(st.binary(max_size=400)), st.data())
def test_fingerprints_do_not_depend_on_how_text_is_cut(
    pieces: list[bytes], data: st.DataObject
) -> None:
    """Rows, bytes and fingerprint are of the text, however it arrives."""
    text = b"".join(pieces) + b"\n"
    cut = data.draw(st.integers(0, len(text)))
    digest = CopyDigest()
    for piece in (*pieces, b"\n"):
        digest.update(piece)
    other = CopyDigest()
    other.update(text[:cut])
    other.update(text[cut:])
    assert digest.facts() == other.facts()
    facts = digest.facts()
    expected = (text.count(b"\n"), len(text), fingerprint(text))
    assert expected == (facts.rows, facts.size, facts.fingerprint)
