"""One table's rows out of an archive, without a server."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

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
    """The table by its name, how its rows are written, and the stream that gets them."""

    table: str
    row_format: RowFormat
    sink: Sink


def extract_table(backup: StoredBackup, options: ExtractOptions, context: Context) -> int:
    """Write the rows of one table, in the archive's encoding and order; returns how many bytes.

    Memory is bounded. Rows written before an error stay written: only a return means that all are
    there. Raises UnknownTable, ConfigurationError if the rows cannot be had that way,
    NotABackupFile, ArchiveError, AccessDenied, and NoSpace or PgvowError for the sink;
    BrokenPipeError goes through.
    """
    size, sink = 0, options.sink
    rows = _rows(backup, options.table, options.row_format, context.reporter)
    with contextlib.closing(rows), _sinking():
        for piece in rows:
            sink.write(piece)
            size += len(piece)
        sink.flush()
    return size


def _rows(
    backup: StoredBackup, table: str, row_format: RowFormat, progress: Progress
) -> Generator[bytes, None, None]:
    with opened(backup) as file:
        toc = read_toc(file)
        entry = _names(toc).find(table)
        if not entry.copy_stmt:
            raise _refused(entry, "are INSERT commands, not COPY text")
        text = _followed(copy_text(file, toc, entry), _size(backup, entry), progress)
        yield from text if row_format is RowFormat.COPY else _csv(toc, entry, text)


def _size(backup: StoredBackup, entry: TocEntry) -> int:
    """Return the size of the rows in bytes by the metadata; 0 if they lack it."""
    try:
        tables = backup.metadata().tables
    except PgvowError:  # rows can be had out of a dump alone
        return 0
    place = (entry.namespace, entry.tag)
    return next((facts.bytes or 0 for facts in tables if (facts.schema, facts.name) == place), 0)


def _followed(text: Iterator[bytes], total: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    for piece in text:
        progress.update(Step(Phase.EXTRACT, min(done, total or done), total))
        yield piece
        done += len(piece)


@contextlib.contextmanager
def _sinking() -> Iterator[None]:
    """Translate errors of the sink; BrokenPipeError goes to the caller."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise translated(error, doing="write to", path="standard output") from error


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
