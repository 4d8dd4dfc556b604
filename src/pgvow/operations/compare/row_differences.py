"""The rows in which two tables differ, by their key, in bounded memory and any order of rows.

Each side is read twice at most. The first reading adds the hash of each row to one of many sums,
chosen by the hash of its key, and takes those of the other side away. A sum that is not zero
has rows that differ; if all are zero the tables are equal, and nothing was written or sorted. The
second reading keeps the rows of such sums alone, in sorted runs on disk, and merges the two sides.
"""

from __future__ import annotations

import heapq
import os
import secrets
from array import array
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, Protocol

import xxhash

from pgvow.archive import picker
from pgvow.file_errors import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_MOST_SUMS = 1 << 20
_FEWEST_SUMS = 1 << 10
_BYTES_A_SUM = 64
_FULL = (1 << 64) - 1
# An object for each row costs some 40 bytes more than its text.
_RUN_BYTES = 12 << 20
_RUN_ROWS = 150_000
_RUNS_AT_ONCE = 64
_READ_BYTES = 64 << 10
_WRITE_BYTES = 256 << 10
_BETWEEN = b"\0"  # between key and row; no text of PostgreSQL's has one


class RowState(StrEnum):
    """How a row differs."""

    ONLY_IN_BACKUP = "only in backup"
    ONLY_IN_DATABASE = "only in database"
    DIFFERENT = "different"


class RowDifference(NamedTuple):
    """One row: its COPY text in the backup and in the database, None if it is not there.

    ``is_unique`` is False if its key is that of several rows on one side.
    """

    state: RowState
    backup: bytes | None
    database: bytes | None
    is_unique: bool = True


class RowSource(Protocol):
    """One side: its rows can be read from the beginning as often as asked for."""

    def __call__(self) -> Iterator[list[bytes]]:
        """Yield the rows as COPY text without newlines, some at a time."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """How many fields a row has, and the places of its key; without one the row is its own key."""

    columns: int
    key: tuple[int, ...] = ()

    @property
    def picks(self) -> Callable[[bytes], bytes]:
        """The function that returns the key of a row."""
        return picker(self.key, self.columns) if self.key else bytes


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The rows on each side, and those that differ; the rest is equal on both."""

    in_backup: int
    in_database: int
    only_in_backup: int = 0
    only_in_database: int = 0
    different: int = 0

    @property
    def equal(self) -> bool:
        """Whether no row differs."""
        return not (self.only_in_backup or self.only_in_database or self.different)


class TableDifferences:
    """Compares two sides; ``folder`` gets the files of sorted rows, as large as those that differ.

    ``only_counts``: rows are kept as digests, and ``each`` has those in place of their texts.
    ``size`` is about the bytes of the larger side: a million sums for each small table took longer
    than all the rest.
    """

    def __init__(
        self,
        backup: RowSource,
        database: RowSource,
        shape: RowShape,
        folder: Path,
        *,
        only_counts: bool,
        size: int,
    ) -> None:
        self._sides = (backup, database)
        self._shape = shape
        self._folder = folder
        self._only_counts = only_counts
        self._seed = secrets.randbits(64)  # no row is made to have the hash of another
        sums = max(_FEWEST_SUMS, min(_MOST_SUMS, size // _BYTES_A_SUM))
        self._sums = array("Q", bytes(8 * sums))
        self.counts = RowCounts(0, 0)

    def each(self) -> Iterator[RowDifference]:
        """Yield the rows that differ, by the bytes of their keys; then ``counts`` are complete.

        Raises NoSpace, AccessDenied and PgvowError for the files, and the errors of the sides.
        """
        backup, database = self._sides
        rows = self._add(backup(), 1), self._add(database(), -1)
        seen: Counter[RowState] = Counter()
        if any(self._sums):
            for difference in self._merge():
                seen[difference.state] += 1
                yield difference
        self.counts = RowCounts(
            *rows,
            only_in_backup=seen[RowState.ONLY_IN_BACKUP],
            only_in_database=seen[RowState.ONLY_IN_DATABASE],
            different=seen[RowState.DIFFERENT],
        )

    def _merge(self) -> Iterator[RowDifference]:
        lines = [_SortedLines(self._folder) for _ in self._sides]
        try:
            for sorting, side in zip(lines, self._sides, strict=True):
                self._sort(side, sorting)
            yield from _merged(*(each.merged() for each in lines))
        finally:
            for each in lines:
                each.remove()

    def _add(self, pieces: Iterable[list[bytes]], sign: int) -> int:
        """Add the hashes of rows to the sums, or take them away; returns how many rows it were."""
        count, sums, place_of, seed = 0, self._sums, self._place_of(), self._seed
        digest = xxhash.xxh3_64_intdigest
        for rows in pieces:
            count += len(rows)
            for row in rows:
                place = place_of(row)
                sums[place] = (sums[place] + sign * digest(row, seed)) & _FULL
        return count

    def _place_of(self) -> Callable[[bytes], int]:
        key_of, seed, digest = self._shape.picks, self._seed, xxhash.xxh3_64_intdigest
        count = len(self._sums)
        return lambda row: digest(key_of(row), seed) % count

    def _sort(self, side: RowSource, lines: _SortedLines) -> None:
        """Read a side again, and sort the rows behind sums that differ by their keys."""
        sums, place_of, key_of = self._sums, self._place_of(), self._shape.picks
        for rows in side():
            chosen = [row for row in rows if sums[place_of(row)]]
            if self._only_counts:
                lines.add(_digests(key_of(row), row) for row in chosen)
            else:
                lines.add(key_of(row) + _BETWEEN + row for row in chosen)


def _digests(key: bytes, row: bytes) -> bytes:
    digest = xxhash.xxh3_128_hexdigest
    return f"{digest(key)}\0{digest(row)}".encode()


class _SortedLines:
    """Sorts lines of any number: runs in files of mode 0600, merged some at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._levels: list[list[Path]] = []
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, lines: Iterable[bytes]) -> None:
        """Add lines, which have no newline in them."""
        for line in lines:
            self._lines.append(line)
            self._size += len(line)
            if self._size >= _RUN_BYTES or len(self._lines) >= _RUN_ROWS:
                self._end_run()

    def merged(self) -> Iterator[bytes]:
        """Return all lines in the order of their bytes; nothing can be added any more."""
        self._lines.sort()
        files = [_lines_of(path) for level in self._levels for path in level]
        return heapq.merge(self._lines, *files) if files else iter(self._lines)

    def remove(self) -> None:
        """Remove the files."""
        for level in self._levels:
            for path in level:
                path.unlink(missing_ok=True)

    def _end_run(self) -> None:
        self._lines.sort()
        path = self._write(self._lines)
        self._lines, self._size, level = [], 0, 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            runs = self._levels[level]
            runs.append(path)
            if len(runs) < _RUNS_AT_ONCE:
                return
            path = self._write(heapq.merge(*map(_lines_of, runs)))
            for each in runs:
                each.unlink()
            runs.clear()
            level += 1

    def _write(self, lines: Iterable[bytes]) -> Path:
        path = self._folder / secrets.token_hex(8)
        with refusals("write to", path), create_private(path) as file:
            file.writelines(line + b"\n" for line in lines)
        return path


def create_private(path: Path) -> BinaryIO:
    """Create a file that nobody else can read, and open it for writing; raises as refusals do."""
    with refusals("write to", path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return os.fdopen(fd, "wb", buffering=_WRITE_BYTES)


def _lines_of(path: Path) -> Iterator[bytes]:
    with refusals("read", path), path.open("rb", buffering=_READ_BYTES) as file:
        for line in file:
            yield line[:-1]


class _Group(NamedTuple):
    """The rows with one key: how often each of them is there."""

    key: bytes
    rows: Counter[bytes]


def _groups(lines: Iterable[bytes]) -> Iterator[_Group]:
    for key, same in groupby(lines, lambda line: line.partition(_BETWEEN)[0]):
        yield _Group(key, Counter(line.partition(_BETWEEN)[2] for line in same))


def _merged(backup: Iterator[bytes], database: Iterator[bytes]) -> Iterator[RowDifference]:
    """Set two sides, each sorted, beside each other, and yield the rows that differ."""
    ours, theirs = _groups(backup), _groups(database)
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.key < right.key):
            yield from _unequal(left.rows if left else Counter(), Counter())
            left = next(ours, None)
        elif left is None or right.key < left.key:
            yield from _unequal(Counter(), right.rows)
            right = next(theirs, None)
        else:
            yield from _unequal(left.rows, right.rows)
            left, right = next(ours, None), next(theirs, None)


def _unequal(backup: Counter[bytes], database: Counter[bytes]) -> Iterator[RowDifference]:
    """Yield the rows of one key that differ; several are paired in their order."""
    is_unique = backup.total() <= 1 and database.total() <= 1
    ours, theirs = (backup - database).elements(), (database - backup).elements()
    for row in ours:
        other = next(theirs, None)
        state = RowState.ONLY_IN_BACKUP if other is None else RowState.DIFFERENT
        yield RowDifference(state, row, other, is_unique)
    for row in theirs:
        yield RowDifference(RowState.ONLY_IN_DATABASE, None, row, is_unique)
