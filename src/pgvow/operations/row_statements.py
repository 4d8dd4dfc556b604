"""The SQL that writes rows of an archive into a table: INSERT, UPDATE and DELETE, as bytes.

Everything is in the archive's encoding. A value is a plain literal in single quotes, in which a
backslash, a colon and a line break are themselves, for the server and for psql alike, as long as
standard_conforming_strings is on. The column decides its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import CopyTextError, codec_for, decode_field, encode_field
from pgvow.errors import ConfigurationError
from pgvow.quoted_texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Encodings in which the second byte of a character can be a backslash: no server stores text so,
# but pg_dump --encoding writes it.
_WITH_BACKSLASHES = frozenset({"BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"})
_ASSIGN = b", "
_EQUAL = b"="


def refuse_backslashes(encoding: str, table: str, *, steps: Sequence[str]) -> None:
    """Raise ConfigurationError if fields cannot be told from bytes of characters."""
    if encoding.upper() in _WITH_BACKSLASHES:
        raise ConfigurationError(
            f"the rows of {table} are in {encoding}, which writes backslashes inside of characters",
            steps=steps,
        )


def encoded(name: str, encoding: str) -> bytes:
    """Return the bytes that the archive has for a name; raises CopyTextError if it has none."""
    try:
        return name.encode(codec_for(encoding), "surrogateescape")
    except UnicodeEncodeError as error:  # the message has the encoding behind the name
        raise CopyTextError(f"{name!a} is not in {encoding}") from error


def quoted(name: bytes) -> bytes:
    """Quote a name, whatever is in it."""
    return b'"' + name.replace(b'"', b'""') + b'"'


def literal(field: bytes) -> bytes:
    """Return the SQL literal of one field of COPY text."""
    value = decode_field(field)
    return b"NULL" if value is None else b"'" + value.replace(b"'", b"''") + b"'"


def beginning(encoding: str, settings: Mapping[str, str]) -> bytes:
    """Return the statements before all others: a transaction, and how literals are read in it."""
    fixed = {
        "client_encoding": encoding,
        "standard_conforming_strings": "on",
        "xmloption": "content",
        "row_security": "off",  # an error, rather than rows that are not there
    }
    lines = [
        b"SET LOCAL " + name.encode() + b" = " + literal(encode_field(value.encode())) + b";\n"
        for name, value in {**fixed, **settings}.items()
    ]
    return b"".join([b"BEGIN;\n", *lines, b"SET CONSTRAINTS ALL DEFERRED;\n"])


END = b"COMMIT;\n"


def comment(text: str) -> bytes:
    """Return a line of comment, without any character that could end it."""
    return b"-- " + printable(text).encode("ascii", "backslashreplace") + b"\n"


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of a key: its place among the columns, and the operator that finds its values."""

    place: int
    operator: bytes = _EQUAL


@dataclass(frozen=True, slots=True)
class TableStatements:
    """Writes the statements for the rows of one table; names are as the archive encodes them.

    ``overriding``: a column is GENERATED ALWAYS AS IDENTITY; ``fixed`` has the places of such
    columns, which no UPDATE can set. Rows are COPY text with just these columns. Every method
    raises CopyTextError.
    """

    schema: bytes
    name: bytes
    columns: tuple[bytes, ...]
    key: tuple[KeyColumn, ...] = ()
    overriding: bool = False
    fixed: frozenset[int] = frozenset()

    @property
    def target(self) -> bytes:
        """The table's name, quoted."""
        return quoted(self.schema) + b"." + quoted(self.name)

    def insert(self, row: bytes) -> bytes:
        """Return the INSERT of a row."""
        if not self.columns:
            return b"INSERT INTO " + self.target + b" DEFAULT VALUES;\n"
        return self.insert_into + b" " + self.values(row) + b";\n"

    @property
    def insert_into(self) -> bytes:
        """The beginning of an INSERT, up to its VALUES."""
        names = _ASSIGN.join(map(quoted, self.columns))
        override = b" OVERRIDING SYSTEM VALUE" if self.overriding else b""
        return b"INSERT INTO " + self.target + b" (" + names + b")" + override + b" VALUES"

    def values(self, row: bytes) -> bytes:
        """Return the values of a row in parentheses."""
        return b"(" + _ASSIGN.join(map(literal, row.split(b"\t"))) + b")"

    def changed(self, before: bytes, after: bytes) -> list[int]:
        """Return the places of the columns whose values differ."""
        pairs = zip(before.split(b"\t"), after.split(b"\t"), strict=True)
        return [place for place, (old, new) in enumerate(pairs) if old != new]

    def update(self, wanted: bytes, present: bytes) -> bytes:
        """Return the UPDATE of the columns that differ; the key finds the row."""
        fields = wanted.split(b"\t")
        values = _ASSIGN.join(
            quoted(self.columns[place]) + b" = " + literal(fields[place])
            for place in self.changed(present, wanted)
        )
        return b"UPDATE ONLY " + self.target + b" SET " + values + self._found_by(fields)

    def delete(self, row: bytes) -> bytes:
        """Return the DELETE of a row by its key."""
        return b"DELETE FROM ONLY " + self.target + self._found_by(row.split(b"\t"))

    def _found_by(self, fields: Sequence[bytes]) -> bytes:
        conditions = (
            quoted(self.columns[each.place])
            + b" "
            + each.operator
            + b" "
            + literal(fields[each.place])
            for each in self.key
        )
        return b" WHERE " + b" AND ".join(conditions) + b";\n"
