"""One table's rows out of an archive, without a server."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pgvow import durable
from pgvow.archive import (
    ArchiveError,
    CopyTextError,
    codec_for,
    copy_target,
    copy_text,
    csv_header,
    csv_rows,
    kinds,
    read_toc,
)
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.file_errors import translated
from pgvow.operations.archived_tables import TablesByName
from pgvow.operations.show.contents import opened
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.operations.context import Context
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

# Encodings in which the second byte of a character can be a backslash: no server stores text so,
# but pg_dump --encoding writes it.
_WITH_BACKSLASHES = frozenset({"BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"})


class RowFormat(StrEnum):
    """How rows are written: COPY's own text as it is in the archive, or CSV."""

    COPY = "copy"
    CSV = "csv"


class Sink(Protocol):
    """A writable stream for rows."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes."""

    def flush(self) -> object:
        """See that they are on their way."""


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """The table by its name, how its rows are written, and the stream that gets them.

    ``sink_name`` is for errors.
    """

    table: str
    row_format: RowFormat
    sink: Sink
    sink_name: str = "standard output"


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
    NotABackupFile, ArchiveError, AccessDenied, and NoSpace or PgvowError for the sink;
    BrokenPipeError goes through.
    """
    sink, extracted = options.sink, Extracted()
    rows = _rows(backup, options, context.reporter, extracted)
    with contextlib.closing(rows), _sinking(options.sink_name):
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
        extracted.table = entry.key
        text = _followed(_counting(copy_text(file, toc, entry), extracted), backup, entry, progress)
        yield from text if options.row_format is RowFormat.COPY else _csv(toc, entry, text)


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
def _sinking(name: str) -> Iterator[None]:
    """Translate errors of the sink; BrokenPipeError goes to the caller."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise translated(error, doing="write to", path=name) from error


def _csv(toc: TableOfContents, entry: TocEntry, text: Iterator[bytes]) -> Iterator[bytes]:
    if toc.encoding.upper() in _WITH_BACKSLASHES:
        raise _refused(
            entry, f"are in {toc.encoding}, which writes backslashes inside of characters"
        )
    columns = copy_target(entry.copy_stmt).columns
    try:
        yield csv_header([_encoded(column, toc.encoding) for column in columns])
        yield from csv_rows(text, len(columns))
    except CopyTextError as error:
        offset = entry.data_offset or 0
        raise ArchiveError(str(error), offset=offset, table=entry.name) from error


def _encoded(column: str, encoding: str) -> bytes:
    """Return the bytes that the archive has for a name."""
    try:
        return column.encode(codec_for(encoding), "surrogateescape")
    except (
        UnicodeEncodeError
    ) as error:  # the message has the encoding behind the name it does not fit
        raise CopyTextError(f"the column {column!a} is not in {encoding}") from error


def _refused(entry: TocEntry, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the rows of {entry.key} {why}",
        steps=["Have all rows as a script: pg_restore --data-only --file - FILE"],
    )


def _names(toc: TableOfContents) -> TablesByName:
    others = {entry.key for entry in toc.entries if entry.desc in kinds.RELATIONS}
    return TablesByName(toc.table_data, frozenset(others))
