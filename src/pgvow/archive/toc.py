"""The table of contents: one entry for every object, with the offset of its data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.archive.errors import ArchiveError
from pgvow.archive.header import read_header
from pgvow.archive.primitives import (
    FALLBACK_CODEC,
    MAX_NAME,
    MAX_TEXT,
    ByteReader,
    OffsetState,
    codec_for,
    encoding_named_in,
)
from pgvow.model import table_key

if TYPE_CHECKING:
    from typing import BinaryIO

    from pgvow.archive.header import Header


MAX_OID = (1 << 32) - 1
MAX_DUMP_ID = (1 << 31) - 1
MAX_DIGITS = 10
MAX_FLAG = 5  # "false"
MAX_RELKIND = 127
TABLE_AM_SINCE = (1, 14)
RELKIND_SINCE = (1, 16)


class Section(IntEnum):
    """The section of a restore to which an entry belongs."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


_SECTIONS = frozenset(Section)


@dataclass(frozen=True, slots=True)
class TocEntry:
    """One object of the archive, or the data of one.

    ``data_offset`` is the byte at which its data block starts. It is None if there is no block
    (``data_state`` NO_DATA), or if the archive was written to a pipe or is still being written
    (NOT_SET). Texts are decoded from the archive's encoding, invalid bytes to surrogates.
    """

    dump_id: int
    has_data: bool
    table_oid: int
    oid: int
    tag: str
    desc: str
    section: Section
    defn: str
    drop: str
    copy_stmt: str
    namespace: str
    tablespace: str
    table_am: str
    relkind: str
    owner: str
    dependencies: tuple[int, ...]
    data_state: OffsetState
    data_offset: int | None

    @property
    def is_table_data(self) -> bool:
        """Whether this entry has the rows of a table."""
        return self.desc == kinds.TABLE_DATA and self.has_data

    @property
    def is_large_objects(self) -> bool:
        """Whether this entry has the contents of large objects."""
        return self.desc == kinds.BLOBS and self.has_data

    @property
    def name(self) -> str:
        """The object's name for people, ``namespace.tag``."""
        return f"{self.namespace}.{self.tag}" if self.namespace else self.tag

    @property
    def shown(self) -> str:
        """The kind and the name, for people."""
        return f"{self.desc} {self.name}"

    @property
    def key(self) -> str:
        """The table's key in ``table_counts``."""
        return table_key(self.namespace, self.tag)


@dataclass(frozen=True, slots=True)
class TableOfContents:
    """Header and entries, in the order of the file.

    ``end`` is the byte after the last entry, the start of the first data block; ``digest`` is
    XXH3-128 (hexadecimal) of every byte before it; ``encoding`` is PostgreSQL's name for it.
    """

    header: Header
    entries: tuple[TocEntry, ...]
    encoding: str
    end: int
    digest: str

    @property
    def table_data(self) -> tuple[TocEntry, ...]:
        """The entries with rows of tables, in the order that pg_dump writes them."""
        return tuple(entry for entry in self.entries if entry.is_table_data)

    @property
    def with_data(self) -> tuple[TocEntry, ...]:
        """The entries that have a data block."""
        return tuple(entry for entry in self.entries if entry.has_data)


def read_toc(file: BinaryIO) -> TableOfContents:
    """Read header and table of contents from the start of ``file``, which is only read forwards.

    Raises IncompleteArchive if the file ends too early, ArchiveError if it is malformed.
    """
    return take_toc(ByteReader(file))


def take_toc(reader: ByteReader) -> TableOfContents:
    """Read header and table of contents from a reader at the start of its file."""
    header = read_header(reader)
    entries, encoding = read_entries(reader, header)
    return TableOfContents(header, entries, encoding, reader.position, reader.digest())


def read_entries(reader: ByteReader, header: Header) -> tuple[tuple[TocEntry, ...], str]:
    """Return the entries that come next, with PostgreSQL's name of their encoding."""
    entries = _EntryReader(reader, header)
    return entries.read_all(), entries.encoding


class _EntryReader:
    """Reads the entries; from the ENCODING entry on it decodes texts accordingly."""

    def __init__(self, reader: ByteReader, header: Header) -> None:
        self.encoding = "UTF8"
        self._reader = reader
        self._version = header.version
        self._codec = FALLBACK_CODEC
        self._seen: set[int] = set()
        # Owners, namespaces and kinds repeat: one str each saves memory.
        self._names: dict[bytes, str] = {}

    def read_all(self) -> tuple[TocEntry, ...]:
        start = self._reader.position
        count = self._reader.integer()
        if count < 0:
            raise ArchiveError(f"the table of contents has {count} entries", offset=start)
        return tuple(self._read_entry() for _ in range(count))

    def _read_entry(self) -> TocEntry:
        start = self._reader.position
        entry = TocEntry(
            dump_id=self._dump_id(),
            has_data=self._flag(),
            table_oid=self._number(MAX_OID),
            oid=self._number(MAX_OID),
            tag=self._text(MAX_NAME),
            desc=self._name(),
            section=self._section(),
            defn=self._text(),
            drop=self._text(),
            copy_stmt=self._text(),
            namespace=self._name(),
            tablespace=self._name(),
            table_am=self._name() if self._version >= TABLE_AM_SINCE else "",
            relkind=self._relkind() if self._version >= RELKIND_SINCE else "",
            owner=self._owner(),
            dependencies=self._dependencies(),
            data_state=(offset := self._reader.offset())[0],
            data_offset=offset[1] if offset[0] is OffsetState.SET else None,
        )
        _check_offset(entry, start)
        self._learn_encoding(entry)
        return entry

    def _dump_id(self) -> int:
        start = self._reader.position
        dump_id = self._reader.integer()
        if not 0 < dump_id <= MAX_DUMP_ID or dump_id in self._seen:
            raise ArchiveError(f"an entry has the impossible number {dump_id}", offset=start)
        self._seen.add(dump_id)
        return dump_id

    def _flag(self) -> bool:
        start = self._reader.position
        flag = self._reader.integer()
        if flag not in (0, 1):
            raise ArchiveError(f"a flag is {flag}, neither 0 nor 1", offset=start)
        return flag == 1

    def _section(self) -> Section:
        start = self._reader.position
        section = self._reader.integer()
        if section not in _SECTIONS:
            raise ArchiveError(f"an entry is of the unknown section {section}", offset=start)
        return Section(section)

    def _relkind(self) -> str:
        start = self._reader.position
        relkind = self._reader.integer()
        if not 0 <= relkind <= MAX_RELKIND:
            raise ArchiveError(f"an entry has the impossible relkind {relkind}", offset=start)
        return chr(relkind) if relkind else ""

    def _owner(self) -> str:
        """Return the owner, and skip the field behind it: WITH OIDS, gone since 12."""
        owner = self._name()
        start = self._reader.position
        if self._reader.string(MAX_FLAG) not in (b"false", b"true"):
            raise ArchiveError("an entry is malformed behind its owner", offset=start)
        return owner

    def _dependencies(self) -> tuple[int, ...]:
        dump_ids: list[int] = []
        start = self._reader.position
        while (digits := self._reader.string(MAX_DIGITS)) is not None:
            dump_ids.append(_parse_number(digits, MAX_DUMP_ID, start))
            start = self._reader.position
        return tuple(dump_ids)

    def _number(self, most: int) -> int:
        start = self._reader.position
        return _parse_number(self._reader.string(MAX_DIGITS) or b"", most, start)

    def _text(self, most: int = MAX_TEXT) -> str:
        return (self._reader.string(most) or b"").decode(self._codec, "surrogateescape")

    def _name(self) -> str:
        raw = self._reader.string(MAX_NAME) or b""
        name = self._names.get(raw)
        if name is None:
            name = self._names[raw] = raw.decode(self._codec, "surrogateescape")
        return name

    def _learn_encoding(self, entry: TocEntry) -> None:
        if entry.desc != kinds.ENCODING:
            return
        self.encoding = encoding_named_in(entry.defn) or self.encoding
        self._codec = codec_for(self.encoding)


def _check_offset(entry: TocEntry, start: int) -> None:
    if entry.has_data == (entry.data_state is OffsetState.NO_DATA):
        raise ArchiveError(
            "an entry contradicts itself on whether it has data", offset=start, table=entry.name
        )


def _parse_number(digits: bytes, most: int, start: int) -> int:
    # isdigit first: int() also takes blanks, signs and underscores.
    if not digits.isdigit() or int(digits) > most:
        raise ArchiveError("a number written in digits is malformed", offset=start)
    return int(digits)
