"""What an archive holds: the facts of its tables and large objects, as results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgvow.archive.toc import Entry, TableOfContents

_MODULUS = 1 << 128


@dataclass(frozen=True, slots=True)
class Stored:
    """A block as it lies in the file: offset, bytes, and XXH3-128 of them in hexadecimal."""

    offset: int
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class TableContents:
    """The data of one table: rows, bytes and fingerprint of its COPY text without terminator.

    ``rows`` is None for data dumped as INSERT commands, whose text is taken as it is.
    """

    entry: Entry
    rows: int | None
    size: int
    fingerprint: str
    stored: Stored


@dataclass(frozen=True, slots=True)
class LargeObjects:
    """How many large objects there are, how many bytes, and a fingerprint of them all.

    The fingerprint is the sum, modulo 2 ** 128, of XXH3-128 over each one's oid (eight bytes, the
    most significant first) and contents: in whatever order they come, and added up over any parts.
    """

    count: int = 0
    size: int = 0
    total: int = 0

    @property
    def fingerprint(self) -> str:
        """The fingerprint in hexadecimal."""
        return f"{self.total:032x}"

    def __add__(self, other: LargeObjects) -> LargeObjects:
        return LargeObjects(
            count=self.count + other.count,
            size=self.size + other.size,
            total=(self.total + other.total) % _MODULUS,
        )


@dataclass(frozen=True, slots=True)
class LargeObjectContents:
    """The large objects of one entry: there is one up to 16, and any number from 17 on."""

    entry: Entry
    objects: LargeObjects
    stored: Stored


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything in an archive, in the order of its table of contents; ``size`` is the file's."""

    toc: TableOfContents
    size: int
    tables: tuple[TableContents, ...]
    large_object_entries: tuple[LargeObjectContents, ...]

    @property
    def large_objects(self) -> LargeObjects:
        """All large objects of the archive."""
        return sum((entry.objects for entry in self.large_object_entries), LargeObjects())
