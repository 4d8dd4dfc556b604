"""One table's rows out of an archive, all or some by their key, without a server."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pgvow import durable
from pgvow.archive import (
    ArchiveError,
    CopyTextError,
    copy_target,
    copy_text,
    csv_header,
    csv_rows,
    encode_field,
    has_identity_always,
    kinds,
    picker,
    primary_keys,
    read_toc,
    whole_rows,
)
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.file_errors import translated
from pgvow.operations.archived_tables import TablesByName
from pgvow.operations.row_statements import (
    END,
    TableStatements,
    beginning,
    encoded,
    refuse_backslashes,
)
from pgvow.operations.show.contents import opened
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.operations.context import Context
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

_SHOWN = 8


class RowFormat(StrEnum):
    """How rows are written: COPY's own text as it is in the archive, CSV, or INSERT statements."""

    COPY = "copy"
    CSV = "csv"
    INSERT = "insert"


class Sink(Protocol):
    """A writable stream for rows."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes."""

    def flush(self) -> object:
        """See that they are on their way."""


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """The table by its name, how its rows are written, and the stream that gets them.

    ``keys`` are the primary keys of the rows that are wanted, as they are typed; without any it is
    all rows. ``sink_name`` is for errors.
    """

    table: str
    row_format: RowFormat
    sink: Sink
    keys: tuple[str, ...] = ()
    sink_name: str = "standard output"


class NoSuchRow(ConfigurationError):
    """The archive has no row with a key that was asked for; ``missing`` has all such keys."""

    title = "No such row"

    def __init__(self, table: str, missing: Sequence[str], columns: Sequence[str]) -> None:
        shown = ", ".join(missing[:_SHOWN])
        others = f" and {len(missing) - _SHOWN} others" if missing[_SHOWN:] else ""
        super().__init__(
            f"{table} has no row with the key {shown}{others}",
            facts={"Primary key": ", ".join(columns)},
            steps=["Give a value as the archive has it: pgvow extract FILE --table NAME"],
        )
        self.missing = tuple(missing)


@dataclass(slots=True)
class Extracted:
    """The rows that were written: their table's key, their number, and their bytes."""

    table: str = ""
    rows: int = 0
    bytes: int = 0


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Sink]:
    """Yield a stream for a file that gets its name after the block, for its owner only.

    Raises ConfigurationError if something has the name, AccessDenied, NoSpace or PgvowError.
    """
    if os.path.lexists(path):
        raise ConfigurationError(
            f"{path} exists already, and is not overwritten",
            steps=["Name another file behind --output, or remove this one"],
        )
    with durable.replacing(path) as file:
        yield file


def extract_table(backup: StoredBackup, options: ExtractOptions, context: Context) -> Extracted:
    """Write the rows of one table, in the archive's encoding and order; returns their number.

    Memory is bounded. Rows written before an error stay written: only a return means that all are
    there. Raises UnknownTable, ConfigurationError if the rows cannot be had that way,
    NotABackupFile, ArchiveError, AccessDenied, and NoSpace or PgvowError for the sink, and
    NoSuchRow behind the rows that are there; BrokenPipeError goes through.
    """
    sink, extracted = options.sink, Extracted()
    rows = _rows(backup, options, context.reporter, extracted)
    with contextlib.closing(rows), sinking(options.sink_name):
        for piece in rows:
            sink.write(piece)
            extracted.bytes += len(piece)
        sink.flush()
    return extracted


def _rows(
    backup: StoredBackup, options: ExtractOptions, progress: Progress, extracted: Extracted
) -> Generator[bytes, None, None]:
    """Yield the pieces to write; ``extracted`` gets the table's key and the number of rows."""
    with opened(backup) as file:
        toc = read_toc(file)
        entry = _names(toc).find(options.table)
        if not entry.copy_stmt:
            raise _refused(entry, "are INSERT commands, not COPY text")
        wanted = WantedRows.of(toc, entry, options.keys) if options.keys else None
        if wanted or options.row_format is not RowFormat.COPY:
            refuse_backslashes(toc.encoding, entry.key, steps=_AS_SCRIPT)
        extracted.table = entry.key
        text = _followed(copy_text(file, toc, entry), backup, entry, progress)
        with as_damage(entry):
            if wanted is not None:
                text = wanted.chosen(text)
            text = _counting(text, extracted)
            yield from _FORMATTED[options.row_format](toc, entry, text)
    if wanted is not None and wanted.missing:
        raise NoSuchRow(entry.key, wanted.missing, wanted.columns)


@contextlib.contextmanager
def as_damage(entry: TocEntry) -> Iterator[None]:
    """Translate CopyTextError to damage of the archive."""
    try:
        yield
    except CopyTextError as error:
        offset = entry.data_offset or 0
        raise ArchiveError(str(error), offset=offset, table=entry.name) from error


@dataclass(frozen=True, slots=True)
class WantedRows:
    """The rows with some primary keys; ``left`` maps those not yet met to what was typed."""

    columns: tuple[str, ...]
    all_columns: tuple[str, ...]
    left: dict[bytes, str]
    met: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, toc: TableOfContents, entry: TocEntry, typed: Sequence[str]) -> WantedRows:
        """Read the keys that were typed; raises ConfigurationError if they are none of the table's.

        A key of one column is its value, as it is. One of several is a line of CSV, each field
        COLUMN=VALUE.
        """
        columns = copy_target(entry.copy_stmt).columns
        key = primary_keys(toc).get((entry.namespace, entry.tag), ())
        if not key or not set(key) <= set(columns):
            raise ConfigurationError(
                f"{entry.key} has no primary key in this archive, by which rows could be chosen",
                steps=["Take all rows, and choose among them: pgvow extract FILE --table NAME"],
            )
        values = {text: [text] if len(key) == 1 else _composite(entry, key, text) for text in typed}
        left = {_key_text(fields, toc.encoding): text for text, fields in values.items()}
        return cls(key, columns, left)

    @property
    def missing(self) -> list[str]:
        """The keys, as they were typed, that no row had."""
        return [text for key, text in self.left.items() if key not in self.met]

    def chosen(self, text: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the rows among COPY text that have one of the keys."""
        places = [self.all_columns.index(column) for column in self.columns]
        key_of = picker(places, len(self.all_columns))
        for rows in whole_rows(text, len(self.all_columns)):
            chosen = [row for row in rows if key_of(row) in self.left]
            if chosen:
                self.met.update(map(key_of, chosen))
                yield b"\n".join([*chosen, b""])


def _key_text(fields: Sequence[str], encoding: str) -> bytes:
    """Return a key as the rows of an archive have it; raises ConfigurationError."""
    try:
        return b"\t".join(encode_field(encoded(value, encoding)) for value in fields)
    except CopyTextError as error:
        raise ConfigurationError(f"no row can have this key: {error}") from error


def _composite(entry: TocEntry, key: Sequence[str], typed: str) -> list[str]:
    """Split the line of CSV that gives each column of a key its value."""
    try:
        fields = next(csv.reader(io.StringIO(typed, newline=""), strict=True), [])
    except csv.Error:
        fields = []
    values = {}
    for text in fields:
        for column in key:
            if text.startswith(f"{column}="):
                values[column] = text[len(column) + 1 :]
    if len(fields) != len(key) or len(values) != len(key):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([f"{column}=VALUE" for column in key])
        raise ConfigurationError(
            f"{typed} is no key of {entry.key}, which is ({', '.join(key)})",
            steps=[
                f"Give each column its value: --where-key {shlex.quote(line.getvalue())}",
                "Quote a field with a comma in it as CSV does: '\"a=x,y\",b=2'",
            ],
        )
    return [values[column] for column in key]


def _counting(text: Iterator[bytes], extracted: Extracted) -> Iterator[bytes]:
    """Pass COPY text on, and count its rows: line breaks in values are escaped there."""
    for piece in text:
        extracted.rows += piece.count(b"\n")
        yield piece


def _size(backup: StoredBackup, entry: TocEntry) -> int:
    """Return the size of the rows in bytes by the metadata; 0 if they lack it."""
    try:
        tables = backup.metadata().tables
    except PgvowError:  # rows can be had out of a dump alone
        return 0
    place = (entry.namespace, entry.tag)
    return next((facts.bytes or 0 for facts in tables if (facts.schema, facts.name) == place), 0)


def _followed(
    text: Iterator[bytes], backup: StoredBackup, entry: TocEntry, progress: Progress
) -> Iterator[bytes]:
    done, total = 0, _size(backup, entry)
    for piece in text:
        progress.update(Step(Phase.EXTRACT, min(done, total or done), total))
        yield piece
        done += len(piece)


@contextlib.contextmanager
def sinking(name: str = "standard output") -> Iterator[None]:
    """Translate errors of the sink; BrokenPipeError goes to the caller."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise translated(error, doing="write to", path=name) from error


def _copy(_toc: TableOfContents, _entry: TocEntry, text: Iterator[bytes]) -> Iterator[bytes]:
    return text


def _csv(toc: TableOfContents, entry: TocEntry, text: Iterator[bytes]) -> Iterator[bytes]:
    columns = copy_target(entry.copy_stmt).columns
    yield csv_header([encoded(column, toc.encoding) for column in columns])
    yield from csv_rows(text, len(columns))


def _inserts(toc: TableOfContents, entry: TocEntry, text: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the rows as statements of one transaction: without its end nothing is changed."""
    columns = copy_target(entry.copy_stmt).columns
    schema, name, *names = (
        encoded(each, toc.encoding) for each in (entry.namespace, entry.tag, *columns)
    )
    statements = TableStatements(
        schema, name, tuple(names), overriding=has_identity_always(toc, entry)
    )
    yield beginning(toc.encoding, {})
    for rows in whole_rows(text, len(columns)):
        yield b"".join(map(statements.insert, rows))
    yield END


_FORMATTED = {RowFormat.COPY: _copy, RowFormat.CSV: _csv, RowFormat.INSERT: _inserts}
_AS_SCRIPT = ("Have all rows as a script: pg_restore --data-only --file - FILE",)


def _refused(entry: TocEntry, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the rows of {entry.key} {why}",
        steps=_AS_SCRIPT,
    )


def _names(toc: TableOfContents) -> TablesByName:
    others = {entry.key for entry in toc.entries if entry.desc in kinds.RELATIONS}
    return TablesByName(toc.table_data, frozenset(others))
