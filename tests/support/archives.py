"""A small writer of pg_dump's custom format, independent of the reader under test.

Every version from 1.12 to 1.16 and every compression, with the chunks as small as a test wants
them: ``build(Spec(...))`` returns the bytes of a whole archive.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

TERMINATOR = b"\\.\n\n\n"
ALGORITHMS = {"none": 0, "gzip": 1, "lz4": 2, "zstd": 3}
VERSIONS = (12, 13, 14, 15, 16)
# What each version can say of its compression.
COMBINATIONS = tuple(
    (version, compression)
    for version in VERSIONS
    for compression in (ALGORITHMS if version >= 15 else ("none", "gzip"))
)

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}

NOT_SET, SET, NO_DATA = 1, 2, 3


@dataclass(frozen=True)
class Table:
    """The data of one table; ``rows`` is its COPY text without the terminator."""

    name: str
    rows: bytes = b""
    schema: str = "public"
    copy_stmt: str | None = None
    terminator: bytes = TERMINATOR

    @property
    def text(self) -> bytes:
        """Contents of the block, before compression."""
        return self.rows + self.terminator


@dataclass(frozen=True)
class LargeObjects:
    """One entry of large objects: their contents by oid."""

    contents: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Schema:
    """An entry without data."""

    tag: str
    desc: str = "TABLE"
    defn: str = ""
    depends_on: tuple[int, ...] = ()
    section: int = 2


Part = Table | LargeObjects | Schema


@dataclass(frozen=True)
class Spec:
    """Everything the writer needs to know."""

    parts: tuple[Part, ...] = ()
    version: int = 14
    compression: str = "gzip"
    chunk: int = 4096
    offsets: bool = True
    encoding: str = "UTF8"
    int_size: int = 4
    offset_size: int = 8
    codec: str = "utf-8"
    order: tuple[int, ...] | None = None
    first_id: int = field(default=7)


def build(spec: Spec) -> bytes:
    """Return the archive's bytes."""
    return Writer(spec).archive()


class Writer:
    """Writes one archive; each piece can be had by itself, for tests that tamper with it."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def archive(self) -> bytes:
        """Return header, table of contents and blocks, with offsets if they are wanted."""
        head = self.header()
        start = len(head) + len(self.toc({}))
        places: dict[int, int] = {}
        blocks = bytearray()
        for index in self.block_order():
            places[index] = start + len(blocks)
            blocks += self.block(index)
        return head + self.toc(places if self.spec.offsets else {}) + bytes(blocks)

    def block_order(self) -> list[int]:
        """Return which parts have blocks, in the order of the file."""
        parts = enumerate(self.spec.parts)
        with_data = [index for index, part in parts if not isinstance(part, Schema)]
        return list(self.spec.order) if self.spec.order is not None else with_data

    def integer(self, value: int) -> bytes:
        """Return an integer field."""
        size = self.spec.int_size
        return bytes([value < 0]) + abs(value).to_bytes(size, "little")

    def string(self, value: str | None) -> bytes:
        """Return a string field."""
        if value is None:
            return self.integer(-1)
        raw = value.encode(self.spec.codec)
        return self.integer(len(raw)) + raw

    def offset(self, state: int, value: int) -> bytes:
        """Return an offset field."""
        return bytes([state]) + value.to_bytes(self.spec.offset_size, "little")

    def header(self) -> bytes:
        """Return everything before the table of contents."""
        spec = self.spec
        parts = [b"PGDMP", bytes([1, spec.version, 0, spec.int_size, spec.offset_size, 1])]
        if spec.version >= 15:
            parts.append(bytes([ALGORITHMS[spec.compression]]))
        else:
            parts.append(self.integer(0 if spec.compression == "none" else 6))
        parts += [self.integer(n) for n in (15, 21, 19, 22, 10, 126, 0)]
        parts += [self.string(text) for text in ("shop", "15.18", "15.18 (Debian)")]
        return b"".join(parts)

    def toc(self, places: dict[int, int]) -> bytes:
        """Return the table of contents; ``places`` has the offset of each part's block."""
        defn = f"SET client_encoding = '{self.spec.encoding}';\n"
        entries = [self.entry(1, tag="ENCODING", desc="ENCODING", defn=defn, data=NO_DATA)]
        for index, part in enumerate(self.spec.parts):
            entries.append(self._part_entry(index, part, places.get(index)))
        return self.integer(len(entries)) + b"".join(entries)

    def _part_entry(self, index: int, part: Part, place: int | None) -> bytes:
        dump_id = self.dump_id(index)
        state, place = (NOT_SET, 0) if place is None else (SET, place)
        if isinstance(part, Schema):
            return self.entry(
                dump_id,
                part.tag,
                part.desc,
                defn=part.defn,
                data=NO_DATA,
                depends_on=part.depends_on,
                section=part.section,
            )
        if isinstance(part, LargeObjects):
            return self.entry(dump_id, "BLOBS", "BLOBS", data=state, place=place, schema="")
        copy = part.copy_stmt
        if copy is None:
            copy = f"COPY {part.schema}.{part.name} (a) FROM stdin;\n"
        return self.entry(
            dump_id,
            part.name,
            "TABLE DATA",
            schema=part.schema,
            copy_stmt=copy,
            data=state,
            place=place,
            depends_on=(1,),
        )

    def dump_id(self, index: int) -> int:
        """Return the number of the part at this index."""
        return self.spec.first_id + index

    def entry(
        self,
        dump_id: int,
        tag: str,
        desc: str,
        *,
        data: int,
        place: int = 0,
        defn: str = "",
        copy_stmt: str = "",
        schema: str = "public",
        depends_on: tuple[int, ...] = (),
        section: int = 2,
    ) -> bytes:
        """Return one entry of the table of contents."""
        section = section if data == NO_DATA else 3
        fields = [
            self.integer(dump_id),
            self.integer(data != NO_DATA),
            self.string("1259"),
            self.string("16384"),
            self.string(tag),
            self.string(desc),
            self.integer(section),
            self.string(defn),
            self.string(""),
            self.string(copy_stmt),
            self.string(schema),
            self.string(""),
        ]
        if self.spec.version >= 14:
            fields.append(self.string("heap"))
        if self.spec.version >= 16:
            fields.append(self.integer(ord("r") if desc == "TABLE" else 0))
        fields += [self.string("owner"), self.string("false")]
        fields += [self.string(str(number)) for number in depends_on]
        fields += [self.string(None), self.offset(data, place)]
        return b"".join(fields)

    def block(self, index: int) -> bytes:
        """Return the data block of the part at this index."""
        part = self.spec.parts[index]
        head = self.integer(self.dump_id(index))
        if isinstance(part, LargeObjects):
            objects = (self.integer(signed(oid)) + self.chunks(data) for oid, data in part.contents)
            return b"\x03" + head + b"".join(objects) + self.integer(0)
        assert isinstance(part, Table)
        return b"\x01" + head + self.chunks(part.text)

    def chunks(self, text: bytes) -> bytes:
        """Return the text compressed and cut into chunks, with the empty one that ends it."""
        stored = COMPRESS[self.spec.compression](text)
        cuts = range(0, len(stored), self.spec.chunk)
        pieces = [stored[cut : cut + self.spec.chunk] for cut in cuts]
        return self.framed(*pieces)

    def framed(self, *pieces: bytes) -> bytes:
        """Return stored pieces as chunks, ended by the empty one."""
        return b"".join(self.integer(len(piece)) + piece for piece in (*pieces, b""))


def signed(oid: int) -> int:
    """Return the oid as pg_dump writes it: through a signed 32-bit integer."""
    return oid - (1 << 32) if oid >= 1 << 31 else oid
