"""Header and table of contents: every version, and nothing that is not one."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.archive import (
    ArchiveError,
    Compression,
    IncompleteArchive,
    OffsetState,
    Section,
    TableOfContents,
    read_toc,
)
from pgvow.archive.primitives import MAX_TEXT
from tests.support import children
from tests.support.archives import (
    COMBINATIONS,
    VERSIONS,
    LargeObjects,
    Schema,
    Spec,
    Table,
    Writer,
    build,
)

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (
    Schema("orders", defn="CREATE TABLE public.orders (a text);\n", depends_on=(1, 3, 2147483647)),
    Table("orders", b"1\n2\n"),
    LargeObjects(((5, b"x"),)),
)


def toc_of(raw: bytes) -> TableOfContents:
    """Read the table of contents from bytes."""
    return read_toc(io.BytesIO(raw))


def complaint(raw: bytes) -> str:
    """Return the error of bytes that are no archive."""
    with pytest.raises(ArchiveError) as caught:
        toc_of(raw)
    return caught.value.complaint


class Dribble(io.RawIOBase):
    """A stream that gives few bytes at a time and cannot be sought in, as a pipe does."""

    def __init__(self, raw: bytes) -> None:
        self._rest = raw

    def read(self, size: int = -1) -> bytes:
        """Return up to three bytes."""
        size = min(size, 3) if size >= 0 else 3
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


@pytest.mark.parametrize(("version", "compression"), COMBINATIONS)
def test_the_header_is_read_in_every_version(version: int, compression: str) -> None:
    """Version, compression, database and programs come out as they were written."""
    header = toc_of(build(Spec(PARTS, version=version, compression=compression))).header
    assert (1, version) == header.version
    assert f"1.{version}-0" == header.version_text
    assert Compression(compression) == header.compression
    assert (None if version >= 15 else {"gzip": 6, "none": 0}[compression]) == header.level
    assert ("shop", "15.18") == (header.database, header.server_version)
    assert header.pg_dump_version == "15.18 (Debian)"


def test_the_creation_time_is_decoded_from_struct_tm() -> None:
    """Months count from 0 and years from 1900 in the file, and not with us."""
    created = toc_of(build(Spec())).header.created
    assert str(created) == "2026-11-22 19:21:15"
    assert created.daylight_saving is False


@pytest.mark.parametrize("version", VERSIONS)
def test_entries_are_read_in_every_version(version: int) -> None:
    """Every field of an entry is read at the place that this version gives it."""
    encoding, schema, data, objects = toc_of(build(Spec(PARTS, version=version))).entries
    assert encoding.desc == "ENCODING"
    assert (7, "TABLE", "orders", "public") == (
        schema.dump_id,
        schema.desc,
        schema.tag,
        schema.namespace,
    )
    assert schema.defn == "CREATE TABLE public.orders (a text);\n"
    assert (1, 3, 2147483647) == schema.dependencies
    assert (1259, 16384, "owner", "") == (
        schema.table_oid,
        schema.oid,
        schema.owner,
        schema.tablespace,
    )
    assert ("heap" if version >= 14 else "") == schema.table_am
    assert ("r" if version >= 16 else "") == schema.relkind
    assert (Section.PRE_DATA, Section.DATA) == (schema.section, data.section)
    assert data.copy_stmt == "COPY public.orders (a) FROM stdin;\n"
    assert (False, True, False) == (schema.is_table_data, data.is_table_data, objects.is_table_data)
    assert (False, True) == (data.is_large_objects, objects.is_large_objects)
    assert ("public.orders", "orders", "BLOBS") == (data.name, data.key, objects.name)


@pytest.mark.parametrize("int_size", [4, 8])
@pytest.mark.parametrize("offset_size", [4, 8])
def test_integers_and_offsets_of_both_sizes_are_read(int_size: int, offset_size: int) -> None:
    """Integers and offsets of four and of eight bytes are read."""
    toc = toc_of(build(Spec(PARTS, int_size=int_size, offset_size=offset_size)))
    assert (int_size, offset_size) == (toc.header.int_size, toc.header.offset_size)
    assert 4 == len(toc.entries)


def test_a_missing_offset_is_none_and_not_0() -> None:
    """With offsets each block's place is told; without, it is None and not 0."""
    raw = build(Spec(PARTS))
    schema, data, objects = toc_of(raw).entries[1:]
    assert (OffsetState.NO_DATA, None) == (schema.data_state, schema.data_offset)
    assert (OffsetState.SET, toc_of(raw).end) == (data.data_state, data.data_offset)
    assert b"\x03" == raw[objects.data_offset or 0 :][:1]
    unset = toc_of(build(Spec(PARTS, offsets=False))).entries[2]
    assert (OffsetState.NOT_SET, None) == (unset.data_state, unset.data_offset)


def test_the_digest_covers_every_byte_before_the_data() -> None:
    """Two archives that differ in their data alone share it; any other difference shows."""
    first, second = Spec((Table("a", b"1\n"),)), Spec((Table("a", b"2\n"),))
    other = Spec((Table("b", b"1\n"),))
    assert toc_of(build(first)).digest == toc_of(build(second)).digest
    assert toc_of(build(first)).digest != toc_of(build(other)).digest


def test_the_table_of_contents_is_read_from_a_pipe() -> None:
    """The table of contents is read from a stream that gives three bytes at a time."""
    raw = build(Spec(PARTS))
    assert toc_of(raw) == read_toc(Dribble(raw))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("encoding", "codec", "name"),
    [
        ("UTF8", "utf-8", "Bestellungen für müde 猫"),
        ("LATIN1", "latin-1", "größe"),
        ("WIN1251", "cp1251", "заказы"),
        ("EUC_JP", "euc_jp", "注文"),
        ("SJIS", "cp932", "注文"),
    ],
)
def test_names_are_read_in_the_archives_encoding(encoding: str, codec: str, name: str) -> None:
    """A name comes out as the server has it, whatever the encoding."""
    toc = toc_of(build(Spec((Table(name),), encoding=encoding, codec=codec)))
    assert (encoding, name) == (toc.encoding, toc.table_data[0].tag)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "MULE_INTERNAL", "UTF8"])
def test_names_in_no_known_encoding_lose_nothing(encoding: str) -> None:
    """Bytes that are no text are kept, and no error."""
    toc = toc_of(build(Spec((Table("gr\xf6\xdfe"),), encoding=encoding, codec="latin-1")))
    assert b"gr\xf6\xdfe" == toc.table_data[0].tag.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (0, b"PGDMQ", "this is no archive of pg_dump's: it does not begin so"),
        (5, b"\x02\x00", "the archive's version is 2.0, and 1.12 to 1.16 can be read"),
        (6, b"\x0b", "the archive's version is 1.11, and 1.12 to 1.16 can be read"),
        (6, b"\x11", "the archive's version is 1.17, and 1.12 to 1.16 can be read"),
        (8, b"\x05", "integers of 5 bytes are not supported"),
        (9, b"\x00", "offsets of 0 bytes are not supported"),
        (
            10,
            b"\x03",
            "the file is the toc.dat of a directory or a tar, not in pg_dump's custom format",
        ),
        (10, b"\x09", "the archive's format is number 9, not pg_dump's custom format"),
        (11, b"\x04", "compression number 4 is unknown"),
        (12, b"\x02", "the sign of a number is 2, neither 0 nor 1"),
    ],
)
def test_an_invalid_header_names_the_wrong_field(place: int, value: bytes, expected: str) -> None:
    """Each field of the header that cannot be right is named."""
    raw = bytearray(build(Spec(PARTS, version=16)))
    raw[place : place + len(value)] = value
    assert expected == complaint(bytes(raw))


W = Writer(Spec())
GOOD = W.entry(3, "t", "TABLE DATA", data=1)
# What an entry has of texts, in their order.
_TEXTS = (
    *("1259", "16384", "the tag", "the kind", "the definition", "the COPY", "the schema"),
    *("heap", "owner", "false"),
)
_IN_LITTLE_MEMORY = """
    import resource, sys
    from pathlib import Path
    from pgvow.archive import ArchiveError, read_toc
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
    with Path(sys.argv[1]).open("rb") as file:
        try:
            read_toc(file)
        except ArchiveError as error:
            print(error)
"""


def tampered(*entries: bytes, count: int | None = None) -> bytes:
    """Return an archive with a table of contents of the test's own making."""
    return W.header() + W.integer(len(entries) if count is None else count) + b"".join(entries)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((GOOD, GOOD), "an entry has the impossible number 3"),
        ((W.entry(0, "t", "TABLE", data=3),), "an entry has the impossible number 0"),
        ((W.entry(-4, "t", "TABLE", data=3),), "an entry has the impossible number -4"),
        ((GOOD[:5] + W.integer(2) + GOOD[10:],), "a flag is 2, neither 0 nor 1"),
        (
            (GOOD[:5] + W.integer(0) + GOOD[10:],),
            "an entry contradicts itself on whether it has data",
        ),
        ((GOOD.replace(b"1259", b"12a9"),), "a number written in digits is malformed"),
        ((GOOD.replace(b"16384", b"1_384"),), "a number written in digits is malformed"),
        (
            (GOOD.replace(W.string("16384"), W.string("4294967296")),),
            "a number written in digits is malformed",
        ),
        (
            (GOOD.replace(W.string("16384"), W.string("1" * 11)),),
            "a text has the impossible length 11",
        ),
        ((GOOD.replace(b"false", b"maybe"),), "an entry is malformed behind its owner"),
        (
            (GOOD.replace(W.string("false"), W.integer(6)),),
            "a text has the impossible length 6",
        ),
        ((GOOD[:-9] + b"\x04" + bytes(8),), "an offset has the unknown state 4"),
        (
            (GOOD.replace(W.string("t"), W.integer(-2)),),
            "a text has the impossible length -2",
        ),
        (
            (GOOD.replace(W.string("t"), W.integer((1 << 20) + 1)),),
            "a text has the impossible length 1048577",
        ),
        (
            (GOOD.replace(W.string("TABLE DATA") + W.integer(3), W.string("X") + W.integer(5)),),
            "an entry is of the unknown section 5",
        ),
    ],
)
def test_a_malformed_entry_is_refused(entries: tuple[bytes, ...], expected: str) -> None:
    """An entry that pg_dump cannot have written is an error that names the fault."""
    assert expected == complaint(tampered(*entries))


def test_a_negative_count_is_refused() -> None:
    """The table of contents cannot have less than no entry."""
    assert complaint(tampered(count=-1)) == "the table of contents has -1 entries"


def test_an_impossible_relkind_is_refused() -> None:
    """A relkind is one ASCII character."""
    writer = Writer(Spec(version=16))
    entry = writer.entry(3, "t", "TABLE", data=3)
    broken = entry.replace(writer.integer(ord("r")), writer.integer(ord("r") + 256))
    raw = writer.header() + writer.integer(1) + broken
    assert complaint(raw) == "an entry has the impossible relkind 370"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_ends_early_is_incomplete(version: int) -> None:
    """Cut anywhere before the data it is IncompleteArchive: its writer may go on."""
    raw = build(Spec(PARTS, version=version))
    end = toc_of(raw).end
    for cut in range(end):
        with pytest.raises(IncompleteArchive) as caught:
            toc_of(raw[:cut])
        assert cut == caught.value.offset
    assert end == toc_of(raw[:end]).end


def test_a_hostile_length_takes_no_memory() -> None:
    """A text that claims to be as long as one may be costs what the file really has."""
    entry = W.entry(3, "v", "VIEW", defn="the definition", data=3)
    raw = tampered(entry.replace(W.string("the definition"), W.integer(MAX_TEXT) + b"t"))
    tracemalloc.start()
    with pytest.raises(IncompleteArchive):
        toc_of(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("text", _TEXTS)
def test_a_long_file_of_holes_takes_no_memory(text: str, tmp_path: Path) -> None:
    """Whichever text claims a gigabyte that the file seems to have, it is refused in 200 MB."""
    _, _, tag, desc, defn, copy_stmt, schema, *_ = _TEXTS
    entry = W.entry(3, tag, desc, data=3, defn=defn, copy_stmt=copy_stmt, schema=schema)
    raw = tampered(entry)
    path = tmp_path / "hollow.dump"
    with path.open("wb") as file:
        file.write(raw[: raw.index(W.string(text))] + W.integer(1 << 30))
        file.truncate(3 << 30)
    done = children.run(children.command(_IN_LITTLE_MEMORY, path))
    assert "a text has the impossible length 1073741824" in done.stdout, done.stderr


def test_texts_too_long_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many texts, each within its limit, are refused if they are too long together."""
    texts = [W.entry(number, "t", "VIEW", defn="x" * 1000, data=3) for number in range(1, 30)]
    raw = tampered(*texts)
    assert 29 == len(toc_of(raw).entries)
    monkeypatch.setattr("pgvow.archive.primitives.MAX_CONTENTS", 20 << 10)
    assert complaint(raw) == "the table of contents is longer than 0 MiB"


def test_a_definition_of_many_megabytes_is_read() -> None:
    """A view definition that PostgreSQL accepts is accepted here."""
    defn = "CREATE VIEW v AS SELECT " + "1, " * (10 << 20) + "1;"
    assert defn == toc_of(tampered(W.entry(3, "v", "VIEW", defn=defn, data=3))).entries[0].defn


def test_a_hostile_entry_count_takes_no_time() -> None:
    """Two thousand million entries end with the file."""
    with pytest.raises(IncompleteArchive):
        toc_of(tampered(GOOD, count=(1 << 31) - 1))


@given(st.binary(max_size=300), st.sampled_from([b"", b"PGDMP\x01\x0e\x00\x04\x08\x01"]))
def test_garbage_raises_archive_error_only(garbage: bytes, start: bytes) -> None:
    """No bytes at all lead to anything but a table of contents or an ArchiveError."""
    with contextlib.suppress(ArchiveError):
        assert toc_of(start + garbage).entries == ()
