"""The rows that differ, written: as CSV, or as the statements that bring the backup's rows back.

All of it is kept in files until every table has been compared: a comparison that fails writes
nothing.
"""

from __future__ import annotations

import shutil
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Protocol

from pgvow.archive import csv_field, csv_header
from pgvow.errors import ConfigurationError
from pgvow.file_errors import refusals
from pgvow.formats import counted
from pgvow.operations.compare.row_differences import create_private
from pgvow.operations.row_statements import END, beginning, comment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.operations.compare.row_differences import RowDifference
    from pgvow.operations.extract import Sink
    from pgvow.operations.row_statements import TableStatements

_BUFFER = 256 << 10
_ROW_END = b"\r\n"
_KINDS = ("INSERT", "UPDATE", "DELETE")
_TO_CSV = ("See which rows differ: --format csv",)


class OutputFormat(StrEnum):
    """How the rows that differ are written."""

    CSV = "csv"
    SQL = "sql"


class RowWriter(Protocol):
    """Receives the rows of one table that differ; a context manager around its files."""

    def add(self, difference: RowDifference) -> None:
        """Write one row."""

    def close(self) -> None:
        """Finish the files; raises NoSpace, AccessDenied and PgvowError."""


class CsvWriter:
    """Writes a line for each row: how it differs, and each column's value on both sides."""

    def __init__(self, path: Path, columns: Sequence[bytes]) -> None:
        self.path = path
        self._missing = [b""] * len(columns)
        self._file: BinaryIO = create_private(path)
        names = [side + name for name in columns for side in (b"backup.", b"database.")]
        self._file.write(csv_header([b"difference", *names]))

    def add(self, difference: RowDifference) -> None:
        """Write one row; a value that is not there is empty, as NULL is."""
        ours, theirs = self._fields(difference.backup), self._fields(difference.database)
        values = [each for pair in zip(ours, theirs, strict=True) for each in pair]
        with refusals("write to", self.path):
            self._file.write(b",".join([difference.state.encode(), *values]) + _ROW_END)

    def close(self) -> None:
        """Finish the file."""
        with refusals("write to", self.path):
            self._file.close()

    def _fields(self, row: bytes | None) -> list[bytes]:
        if row is None or not self._missing:
            return self._missing
        return [csv_field(field) for field in row.split(b"\t")]


class SqlWriter:
    """Writes the statements that make the rows of a table those of the backup.

    DELETEs are left out unless they are asked for. If the table ``refers_to_itself``, all of its
    rows are inserted by one statement, at whose end its foreign key is checked, and before the
    UPDATEs; else the UPDATEs come first, for they may free a value that is unique. ``path`` is that
    of its files without their suffixes; one that would be empty is not made.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        statements: TableStatements,
        *,
        deletes: bool,
        refers_to_itself: bool,
    ) -> None:
        self.key = key
        if deletes and not statements.key:
            raise self._refused("has no key by which a row could be deleted")
        self.inserted = self.updated = self.deleted = 0
        self._statements = statements
        self._deletes = deletes
        self._as_one = refers_to_itself and bool(statements.columns)
        self._paths = {kind: path.with_suffix(f".{kind}") for kind in _KINDS}
        self._files: dict[str, BinaryIO] = {}

    @property
    def deletions(self) -> Path:
        """The file of the DELETEs, which come before all other statements."""
        return self._paths["DELETE"]

    @property
    def changes(self) -> tuple[Path, Path]:
        """The files of all other statements, in their order."""
        inserts, updates = self._paths["INSERT"], self._paths["UPDATE"]
        return (inserts, updates) if self._as_one else (updates, inserts)

    def add(self, difference: RowDifference) -> None:
        """Write the statement for one row; raises ConfigurationError if there can be none."""
        ours, theirs, statements = difference.backup, difference.database, self._statements
        if ours is None and not self._deletes:
            return
        if theirs is not None and not difference.is_unique:
            raise self._refused("has several rows of one key: a statement would change them all")
        if theirs is None:
            self._insert(ours or b"")
        elif ours is None:
            self._write("DELETE", statements.delete(theirs))
            self.deleted += 1
        else:
            if fixed := statements.fixed.intersection(statements.changed(theirs, ours)):
                name = statements.columns[min(fixed)].decode("utf-8", "replace")
                raise self._refused(f"has other values of {name}, GENERATED ALWAYS AS IDENTITY")
            self._write("UPDATE", statements.update(ours, theirs))
            self.updated += 1

    def _insert(self, row: bytes) -> None:
        statements = self._statements
        if self._as_one:
            begin = b",\n" if self.inserted else statements.insert_into + b"\n"
            self._write("INSERT", begin + statements.values(row))
        else:
            self._write("INSERT", statements.insert(row))
        self.inserted += 1

    def _write(self, kind: str, statement: bytes) -> None:
        if kind not in self._files:
            self._files[kind] = create_private(self._paths[kind])
        with refusals("write to", self._paths[kind]):
            self._files[kind].write(statement)

    def close(self) -> None:
        """Finish the files."""
        if self._as_one and self.inserted:
            self._write("INSERT", b";\n")
        for kind, file in self._files.items():
            with refusals("write to", self._paths[kind]):
                file.close()

    @property
    def summary(self) -> str:
        """The number of statements of each kind."""
        kinds = {"INSERT": self.inserted, "UPDATE": self.updated, "DELETE": self.deleted}
        return ", ".join(counted(count, kind) for kind, count in kinds.items() if count) or "none"

    def _refused(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"no statements can be written for {self.key}: it {why}", steps=_TO_CSV
        )


def write_csv(writer: CsvWriter, sink: Sink) -> None:
    """Copy the finished lines to the sink."""
    _copy(writer.path, sink)


def write_sql(
    writers: Sequence[SqlWriter],
    remarks: Iterable[str],
    encoding: str,
    settings: Mapping[str, str],
    sink: Sink,
) -> None:
    """Write the statements of tables, referenced ones first, as one transaction.

    ``settings`` are those by which the values of some types are written.
    """
    for remark in (*remarks, *(f"{each.key}: {each.summary}" for each in writers)):
        sink.write(comment(remark))
    sink.write(beginning(encoding, settings))
    for writer in reversed(writers):
        _copy(writer.deletions, sink)
    for writer in writers:
        for path in writer.changes:
            _copy(path, sink)
    sink.write(END)


def _copy(path: Path, sink: Sink) -> None:
    if not path.exists():
        return
    with refusals("read", path):
        file = path.open("rb", buffering=0)
    with file:
        shutil.copyfileobj(file, sink, _BUFFER)


def parents_first(tables: Sequence[int], references: Iterable[tuple[int, int]]) -> list[int]:
    """Order tables by their foreign keys, referenced ones first, unless those are a circle."""
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(tables, ()))
    for referencing, referenced in (pair for pair in references if len(set(pair)) > 1):
        sorter.add(referencing, referenced)
    try:
        return list(sorter.static_order())
    except CycleError:
        return list(tables)
