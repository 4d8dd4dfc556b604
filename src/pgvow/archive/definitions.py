"""An archive of definitions alone: what pg_restore runs without any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.archive import encodings
from pgvow.archive.header import read_header
from pgvow.archive.primitives import ByteReader, OffsetState, integer_field
from pgvow.archive.toc import RELKIND_SINCE, TABLE_AM_SINCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from pgvow.archive.toc import Entry


def definitions_archive(file: BinaryIO, entries: Iterable[Entry], encoding: str) -> bytes:
    """Make an archive with the header of ``file`` and these entries, none of which has data.

    ``encoding`` is PostgreSQL's name of what the entries' texts are written in, as their ENCODING
    entry says, which has to be among them.
    """
    file.seek(0)
    reader = ByteReader(file)
    header = read_header(reader)
    file.seek(0)
    start = file.read(reader.position)
    writer = _Writer(header.version, header.int_size, header.offset_size, encoding)
    written = [writer.entry(entry) for entry in entries]
    return b"".join([start, writer.integer(len(written)), *written])


class _Writer:
    """Writes the format's primitives, and entries made of them."""

    def __init__(
        self, version: tuple[int, int], int_size: int, offset_size: int, encoding: str
    ) -> None:
        self._version = version
        self._int_size = int_size
        self._offset_size = offset_size
        self._codec = encodings.codec_for(encoding)

    def integer(self, value: int) -> bytes:
        return integer_field(value, self._int_size)

    def entry(self, entry: Entry) -> bytes:
        return b"".join(self._fields(entry))

    def _fields(self, entry: Entry) -> Iterator[bytes]:
        yield self.integer(entry.dump_id)
        yield self.integer(0)
        yield self._text(str(entry.table_oid))
        yield self._text(str(entry.oid))
        yield self._text(entry.tag)
        yield self._text(entry.desc)
        yield self.integer(entry.section)
        yield self._text(entry.defn)
        yield self._text(entry.drop)
        yield self._null()
        # An empty name would be set for what follows; NULL leaves it as it is.
        yield self._text_or_null(entry.namespace)
        yield self._text_or_null(entry.tablespace)
        if self._version >= TABLE_AM_SINCE:
            yield self._text_or_null(entry.table_am)
        if self._version >= RELKIND_SINCE:
            yield self.integer(ord(entry.relkind) if entry.relkind else 0)
        yield self._text(entry.owner)
        yield self._text("false")
        for dump_id in entry.dependencies:
            yield self._text(str(dump_id))
        yield self._null()
        yield bytes([OffsetState.NO_DATA]) + bytes(self._offset_size)

    def _text(self, text: str) -> bytes:
        data = text.encode(self._codec, "surrogateescape")
        return self.integer(len(data)) + data

    def _text_or_null(self, text: str) -> bytes:
        return self._text(text) if text else self._null()

    def _null(self) -> bytes:
        return self.integer(-1)
