"""Decode a backup to its last byte and set it beside its metadata, table by table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import ArchiveError, examine_archive
from pgvow.operations.archived_tables import with_tables
from pgvow.operations.verify.inspect import large_object_facts, toc_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.archive import Contents, TableContents
    from pgvow.model import Metadata, TableFacts
    from pgvow.progress import Progress

# glibc gives memory back to the kernel in steps of what it has seen freed: after every piece, if
# pieces are all it sees, which took a tenth of the time. One large block, of which no page is ever
# touched, has it keep as much.
_KEPT_BY_MALLOC = 2 << 20


@dataclass(frozen=True, slots=True)
class TableCheck:
    """One table of the backup: what is recorded of it, what was found, and what differs."""

    schema: str
    name: str
    recorded: TableFacts | None
    rows: int | None
    bytes: int | None
    fingerprint: str | None
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class DeepCheck:
    """Everything that decoding found. ``differences`` has all of them, those of tables too."""

    tables: tuple[TableCheck, ...]
    differences: tuple[str, ...]
    rows: int
    complete: bool

    @property
    def passed(self) -> bool:
        """Whether every byte decodes and nothing differs from what is recorded."""
        return not self.differences


def decode_and_compare(path: Path, metadata: Metadata, progress: Progress) -> DeepCheck:
    """Decode every block and compare it with the metadata; damage is part of the result.

    ``complete`` tells whether the metadata has fingerprints and digests to compare with at all: a
    backup made with ``--no-inspect`` has rows only.
    """
    bytes(_KEPT_BY_MALLOC)
    try:
        with path.open("rb") as file:
            examination = examine_archive(file, progress=progress)
    except ArchiveError as error:
        return DeepCheck((), (str(error),), 0, complete=metadata.toc is not None)
    contents = examination.contents
    metadata = with_tables(metadata, contents.toc.entries)
    tables = tuple(_tables(metadata, contents))
    differences = (
        *(str(error) for error in examination.damage),
        *_toc(metadata, contents),
        *(f"{table.schema}.{table.name}: {text}" for table in tables for text in table.differences),
        *_large_objects(metadata, contents),
    )
    rows = sum(table.rows or 0 for table in contents.tables)
    return DeepCheck(tables, differences, rows, complete=metadata.toc is not None)


def _toc(metadata: Metadata, contents: Contents) -> Iterator[str]:
    found = toc_facts(contents)
    if metadata.toc is not None and metadata.toc != found:
        yield (
            f"table of contents: digest {metadata.toc.digest} is recorded, {found.digest} found"
            f" ({metadata.toc.entries} entries recorded, {found.entries} found)"
        )


def _large_objects(metadata: Metadata, contents: Contents) -> Iterator[str]:
    found = large_object_facts(contents)
    if metadata.large_objects is not None and metadata.large_objects != found:
        recorded = metadata.large_objects
        yield (
            f"large objects: {recorded.count} of {recorded.bytes} bytes recorded,"
            f" {found.count} of {found.bytes} found, or their contents differ"
        )


def _tables(metadata: Metadata, contents: Contents) -> Iterator[TableCheck]:
    found = {
        (readable(table.entry.namespace), readable(table.entry.tag)): table
        for table in contents.tables
    }
    for recorded in metadata.tables:
        key = (readable(recorded.schema), readable(recorded.name))
        yield _check(*key, recorded, found.pop(key, None))
    for (schema, name), table in found.items():
        yield _check(schema, name, None, table)


def _check(
    schema: str, name: str, recorded: TableFacts | None, found: TableContents | None
) -> TableCheck:
    return TableCheck(
        schema,
        name,
        recorded,
        rows=found.rows if found else None,
        bytes=found.size if found else None,
        fingerprint=found.fingerprint if found else None,
        differences=tuple(_differences(recorded, found)),
    )


def _differences(recorded: TableFacts | None, found: TableContents | None) -> Iterator[str]:
    if recorded is None:
        yield "is in the archive and not in the metadata"
        return
    if found is None:
        yield "is in the metadata and cannot be read from the archive"
        return
    pairs = (
        ("rows", recorded.rows, found.rows),
        ("bytes", recorded.bytes, found.size),
        ("fingerprint", recorded.fingerprint, found.fingerprint),
        ("digest of its block", recorded.stored, found.stored.digest),
    )
    for what, before, now in pairs:
        if before is not None and before != now:
            yield f"{what}: {before} recorded, {now} found"


def readable(name: str) -> str:
    """Turn a name as the archive's reader gives it into the one that metadata have."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, in SQL_ASCII: shown as LATIN1
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name
