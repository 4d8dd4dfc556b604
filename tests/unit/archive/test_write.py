"""The archive writer: the reader, and so pg_restore, reads back all that it writes."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pgvow.archive import (
    ArchiveContents,
    ArchivedTable,
    ArchiveError,
    ArchiveWriter,
    Compression,
    Encoder,
    Head,
    IncompleteArchive,
    OffsetState,
    copy_text,
    encoder_for,
    read_archive,
    read_toc,
)
from pgvow.archive.write import CHUNK
from tests.support.archives import LargeObjects, Schema, Spec, Table, Writer, build

if TYPE_CHECKING:
    from collections.abc import Iterator

COMBINATIONS = [
    *((version, Compression(name)) for version in (14, 15, 16) for name in ("gzip", "none")),
    *((version, Compression.ZSTD) for version in (15, 16)),
]
ROWS = b"".join(b"%d\torder %d\n" % (number, number**3) for number in range(4000))
OBJECTS = LargeObjects(((16384, b"one"), (3_000_000_000, bytes(300_000)), (4, b"")))
PARTS = (
    Schema("orders", "TABLE", defn="CREATE TABLE public.orders (a text);\n"),
    Table("orders", ROWS),
    Table("empty"),
    OBJECTS,
    Schema("v", "VIEW"),
    Table("no columns", b"\n\n"),
)


@dataclass(frozen=True)
class Original:
    """An archive as pg_dump would write it to a pipe, and its parts with data by dump id."""

    raw: bytes
    parts: dict[int, Table | LargeObjects]
    compression: Compression

    @classmethod
    def of(cls, spec: Spec) -> Original:
        """Build it."""
        writer = Writer(replace(spec, offsets=False))
        parts = {
            writer.dump_id(index): part
            for index, part in enumerate(spec.parts)
            if not isinstance(part, Schema)
        }
        return cls(writer.archive(), parts, Compression(spec.compression))

    @property
    def head(self) -> Head:
        """Header and table of contents."""
        return Head.read(io.BytesIO(self.raw))

    @property
    def encoder(self) -> Encoder:
        """One of the compression that the head has."""
        return encoder_for(self.compression, None)

    def writer(self, file: io.BytesIO | None = None) -> ArchiveWriter:
        """Begin to write it."""
        return ArchiveWriter(file or io.BytesIO(), self.head, self.encoder)


def original(version: int = 16, compression: str = "gzip", parts: tuple = PARTS) -> Original:  # type: ignore[type-arg]
    """Build one from a few facts."""
    return Original.of(Spec(parts, version=version, compression=compression))


def cut(text: bytes, size: int) -> Iterator[bytes]:
    """Cut a text into pieces."""
    for start in range(0, len(text), size):
        yield text[start : start + size]


def add_table(writer: ArchiveWriter, dump_id: int, rows: bytes, encoder: Encoder) -> ArchivedTable:
    """Write a table in pieces, one without text among them."""
    writer.begin_table(dump_id)
    for text in (*cut(rows, 10_000), b""):
        writer.add(text, encoder.encode(text))
    return writer.end_table()


def add(writer: ArchiveWriter, whole: Original, dump_id: int) -> None:
    """Write one part, whatever it is."""
    part = whole.parts[dump_id]
    if isinstance(part, Table):
        add_table(writer, dump_id, part.rows, whole.encoder)
    else:
        source = io.BytesIO(whole.raw)
        (entry,) = (e for e in read_toc(source).entries if e.dump_id == dump_id)
        writer.add_large_objects(dump_id, source, entry)


def written(whole: Original, order: list[int] | None = None) -> tuple[bytes, ArchiveContents]:
    """Write all of it; returns the file, and the writer's facts."""
    file = io.BytesIO()
    writer = whole.writer(file)
    for dump_id in order or list(whole.parts):
        add(writer, whole, dump_id)
    contents = writer.finish()
    raw = file.getvalue()
    assert xxhash.xxh3_128_hexdigest(raw[len(whole.head.raw) :]) == writer.body_digest
    return raw, contents


@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_the_writers_facts_equal_the_readers(version: int, compression: Compression) -> None:
    """The writer's facts of its file equal the reader's, in every version and compression."""
    whole = original(version, compression)
    raw, contents = written(whole)
    assert read_archive(io.BytesIO(raw)) == contents
    assert [4000, 0, 2] == [table.rows for table in contents.tables]
    assert (3, 300_003) == (contents.large_objects.count, contents.large_objects.size)


@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_only_offsets_and_data_differ_from_pg_dump(version: int, compression: Compression) -> None:
    """The head is the one pg_dump writes into a file, when the blocks have the same places."""
    whole = original(version, compression)
    raw, contents = written(whole)
    spec = Spec(PARTS, version=version, compression=compression)
    places = {
        table.entry.dump_id - spec.first_id: table.stored.offset
        for table in (*contents.tables, *contents.large_object_entries)
    }
    peer = Writer(spec)
    assert peer.header() + peer.toc(places) == raw[: len(whole.head.raw)]


texts = st.lists(st.text("ab\\\t1", max_size=30).map(lambda row: row.encode() + b"\n")).map(
    b"".join
)
objects = st.dictionaries(st.integers(1, 2**32 - 1), st.binary(max_size=200), max_size=4)


@given(
    tables=st.lists(texts, max_size=4),
    groups=st.lists(objects, max_size=2),
    size=st.integers(1, 50),
    combination=st.sampled_from(COMBINATIONS),
    chance=st.randoms(use_true_random=False),
    sizes=st.tuples(st.sampled_from([4, 8]), st.sampled_from([4, 8])),
)
@settings(max_examples=60)
def test_any_tables_in_any_order_and_pieces_read_back(
    tables: list[bytes],
    groups: list[dict[int, bytes]],
    size: int,
    combination: tuple[int, Compression],
    chance: random.Random,
    sizes: tuple[int, int],
) -> None:
    """Whatever the tables and large objects, and however cut: they are read as they were."""
    parts = (
        *(Table(f"t{number}", rows) for number, rows in enumerate(tables)),
        *(LargeObjects(tuple(group.items())) for group in groups),
    )
    version, compression = combination
    whole = Original.of(
        Spec(parts, version, compression, chunk=size, int_size=sizes[0], offset_size=sizes[1])
    )
    order = list(whole.parts)
    chance.shuffle(order)
    raw, contents = written(whole, order)
    file = io.BytesIO(raw)
    assert read_archive(file, threads=1) == contents
    assert read_archive(io.BytesIO(whole.raw), threads=1).large_objects == contents.large_objects
    assert tables == [
        b"".join(copy_text(file, contents.toc, entry)) for entry in contents.toc.table_data
    ]


def test_blocks_lie_in_the_order_of_the_calls() -> None:
    """And each starts at the end of the one before it."""
    whole = original()
    order = list(reversed(whole.parts))
    _, contents = written(whole, order)
    found = (*contents.tables, *contents.large_object_entries)
    places = sorted((one.stored.offset, one.entry.dump_id) for one in found)
    assert order == [dump_id for _, dump_id in places]
    assert len(whole.head.raw) == places[0][0]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_chunks_are_at_most_256_kb(compression: str) -> None:
    """However large a piece is, no chunk is beyond 256 KB, and no frame ends within one."""
    text = random.Random(3).randbytes(3_000_000).replace(b"\n", b" ") + b"\n"
    whole = original(compression=compression, parts=(Table("wide", text),))
    file = io.BytesIO()
    writer = whole.writer(file)
    (dump_id,) = whole.parts
    writer.begin_table(dump_id)
    writer.add(text, whole.encoder.encode(text))
    block = writer.end_table().stored
    writer.finish()
    file.seek(block.offset + 6)
    lengths = []
    while length := int.from_bytes(file.read(5)[1:], "little"):
        lengths.append(length)
        file.seek(length, io.SEEK_CUR)
    assert CHUNK == max(lengths)
    assert block.offset + block.size == file.tell()
    toc = read_archive(file).toc
    assert text == b"".join(copy_text(file, toc, toc.table_data[0]))


def test_a_row_count_of_the_caller_is_used() -> None:
    """The caller's count of the rows is taken over; nothing else changes."""
    whole = original(parts=(Table("orders", ROWS),))
    results = []
    for known in (None, 17):
        writer = whole.writer()
        writer.begin_table(next(iter(whole.parts)))
        writer.add(memoryview(ROWS), whole.encoder.encode(ROWS), rows=known)
        results.append(writer.end_table())
    counted, told = results
    assert (4000, 17) == (counted.rows, told.rows)
    assert counted == replace(told, rows=4000)


def test_the_head_is_parsed_apart_from_what_follows() -> None:
    """Each beginning of it is incomplete; bytes after it make no difference."""
    whole = original()
    raw = whole.head.raw
    for length in range(len(raw)):
        with pytest.raises(IncompleteArchive):
            Head.read(io.BytesIO(raw[:length]))
    assert whole.raw.startswith(raw)
    assert whole.head == Head.read(io.BytesIO(raw))
    assert read_toc(io.BytesIO(whole.raw)) == whole.head.toc
    assert {OffsetState.NOT_SET, OffsetState.NO_DATA} == {
        entry.data_state for entry in whole.writer().toc.entries
    }


@pytest.mark.parametrize("prefix", [b"hello, this is no archive", b"PGDMP\x01\x63\x00\x04\x08\x01"])
def test_a_file_that_is_no_archive_has_no_head(prefix: bytes) -> None:
    """An ArchiveError at once, instead of asking for more for ever."""
    with pytest.raises(ArchiveError):
        Head.read(io.BytesIO(prefix))


@given(st.binary(max_size=400), st.integers(0, 600))
def test_a_hostile_head_is_refused(noise: bytes, place: int) -> None:
    """Whatever the bytes: a head that is their beginning, or an ArchiveError."""
    raw = original().raw
    prefix = raw[:place] + noise
    try:
        head = Head.read(io.BytesIO(prefix))
    except ArchiveError:
        return
    assert prefix.startswith(head.raw)


def test_a_mismatched_compression_is_refused() -> None:
    """The head says how its data is to be read: it must not lie."""
    with pytest.raises(ArchiveError, match="the head says gzip, and the data is zstd"):
        ArchiveWriter(io.BytesIO(), original().head, encoder_for(Compression.ZSTD, None))


def test_an_archive_that_lacks_a_block_is_not_finished() -> None:
    """An archive that lacks a table is never finished."""
    whole = original()
    writer = whole.writer()
    for dump_id in list(whole.parts)[:-1]:
        add(writer, whole, dump_id)
    with pytest.raises(ArchiveError, match=r"no block.*public.no columns"):
        writer.finish()


@pytest.mark.parametrize("dump_id", [1, 7, 999])
def test_a_block_without_an_entry_is_refused(dump_id: int) -> None:
    """An entry without data, and one there is not."""
    with pytest.raises(ArchiveError, match=f"entry {dump_id} "):
        original().writer().begin_table(dump_id)


def test_a_block_of_another_kind_than_its_entry_is_refused() -> None:
    """Large objects are no table, and the other way round; rows as INSERTs have no pieces."""
    whole = original(parts=(Table("t", ROWS), OBJECTS, Table("inserts", copy_stmt="")))
    table, large, inserts = whole.parts
    with pytest.raises(ArchiveError):
        whole.writer().begin_table(large)
    with pytest.raises(ArchiveError):
        whole.writer().begin_table(inserts)
    source = io.BytesIO(whole.raw)
    with pytest.raises(ArchiveError):
        whole.writer().add_large_objects(table, source, read_toc(source).with_data[1])


def test_a_second_block_of_an_entry_is_refused() -> None:
    """Each has one."""
    whole = original(parts=(Table("t", ROWS),))
    (dump_id,) = whole.parts
    writer = whole.writer()
    add(writer, whole, dump_id)
    with pytest.raises(ArchiveError):
        writer.begin_table(dump_id)


def test_an_unterminated_row_is_refused() -> None:
    """COPY ends every row with a newline: text that does not is not whole."""
    whole = original()
    writer = whole.writer()
    with pytest.raises(ArchiveError, match=r"public\.orders") as caught:
        add_table(writer, 8, ROWS[:-1], whole.encoder)
    assert "public.orders" == caught.value.table


def test_a_piece_of_another_size_than_its_text_is_refused() -> None:
    """A piece of another size is a mistake of the caller's."""
    whole = original()
    writer = whole.writer()
    writer.begin_table(8)
    with pytest.raises(ValueError, match="4 bytes of text comes with 3"):
        writer.add(b"ab\n", whole.encoder.encode(b"abc\n"))


def test_calls_out_of_order_are_refused() -> None:
    """No pieces before a table is begun, and nothing else until it is ended."""
    whole = original()
    piece = whole.encoder.encode(ROWS)
    with pytest.raises(RuntimeError):
        whole.writer().add(ROWS, piece)
    with pytest.raises(RuntimeError):
        whole.writer().end_table()
    writer = whole.writer()
    writer.begin_table(8)
    with pytest.raises(RuntimeError):
        writer.begin_table(9)
    with pytest.raises(RuntimeError):
        writer.finish()


def test_nothing_is_added_after_the_end() -> None:
    """Neither to a finished archive nor to one that failed."""
    whole = original(parts=(Table("t", ROWS),))
    writer = whole.writer()
    add(writer, whole, 7)
    writer.finish()
    failed = whole.writer()
    with pytest.raises(ArchiveError):
        failed.begin_table(999)
    for one in (writer, failed):
        with pytest.raises(RuntimeError):
            one.begin_table(7)
        with pytest.raises(RuntimeError):
            one.finish()


def test_a_write_error_is_raised_and_not_hidden() -> None:
    """Its error goes through, and a later one does not hide it."""

    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            if self.tell() > 1000:
                raise OSError(28, "No space left on device")
            return super().write(data)  # type: ignore[arg-type]

    whole = original()
    writer = whole.writer(Full())
    with pytest.raises(OSError, match="No space left"):
        add(writer, whole, 8)
    with pytest.raises(RuntimeError):
        writer.finish()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("offsets", [True, False])
def test_large_objects_are_copied_byte_for_byte(compression: str, *, offsets: bool) -> None:
    """From an archive with offsets and without, under another number, byte for byte."""
    whole = original(compression=compression, parts=(Table("t"), OBJECTS))
    source = build(
        Spec(
            (Table("t", ROWS), OBJECTS), compression=compression, version=16, first_id=70,
            offsets=offsets, chunk=100_000,
        )
    )  # fmt: skip
    there = read_archive(io.BytesIO(source)).large_object_entries[0]
    file = io.BytesIO()
    writer = whole.writer(file)
    add(writer, whole, 7)
    entry = read_toc(io.BytesIO(source)).with_data[1]
    here = writer.add_large_objects(8, io.BytesIO(source), entry)
    writer.finish()
    assert there.objects == here.objects
    blocks = [
        raw[found.stored.offset :][: found.stored.size]
        for raw, found in ((source, there), (file.getvalue(), here))
    ]
    assert blocks[0].replace(b"\x03\x00\x47", b"\x03\x00\x08", 1) == blocks[1]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_damaged_large_objects_are_not_copied(compression: str) -> None:
    """Cut short or with a bit turned over: refused, or copied unchanged."""
    objects = LargeObjects(((16384, b"one and two"), (3_000_000_000, bytes(range(60)))))
    whole = original(compression=compression, parts=(objects,))
    entry = read_toc(io.BytesIO(whole.raw)).with_data[0]
    sound = whole.writer().add_large_objects(7, io.BytesIO(whole.raw), entry)
    start = len(whole.head.raw)
    cuts = [whole.raw[:size] for size in range(start, len(whole.raw))]
    for source in cuts:
        with pytest.raises(IncompleteArchive):
            whole.writer().add_large_objects(7, io.BytesIO(source), entry)
    noticed = 0
    for place in range(start, len(whole.raw)):
        source = bytearray(whole.raw)
        source[place] ^= 4
        try:
            found = whole.writer().add_large_objects(7, io.BytesIO(source), entry)
        except ArchiveError:
            noticed += 1
        else:
            assert (place, sound.stored.size) == (place, found.stored.size)
    assert noticed > (len(whole.raw) - start) // 3


def test_large_objects_of_another_kind_of_archive_are_refused() -> None:
    """Stored bytes mean something else in another version, compression or size of numbers."""
    whole = original(version=16, compression="gzip", parts=(OBJECTS,))
    others = (
        Spec((OBJECTS,), version=15),
        Spec((OBJECTS,), version=16, compression="zstd"),
        Spec((OBJECTS,), version=16, int_size=8),
    )
    for spec in others:
        source = io.BytesIO(build(spec))
        (entry,) = read_toc(source).with_data
        with pytest.raises(ArchiveError, match="laid out otherwise"):
            whole.writer().add_large_objects(7, source, entry)


def test_an_entry_of_another_archive_is_not_found() -> None:
    """One that the archive does not have, with an offset and without."""
    whole = original(parts=(OBJECTS,))
    source = io.BytesIO(whole.raw)
    (entry,) = read_toc(source).with_data
    for strange in (replace(entry, dump_id=99), replace(entry, data_offset=3)):
        with pytest.raises(ArchiveError, match=r"no data of this entry|malformed|sign of a number"):
            whole.writer().add_large_objects(7, source, strange)
