"""Salvage a damaged dump: everything that still decodes, into a new one, and a list of the rest."""

from __future__ import annotations

import os
import secrets
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow import durable
from pgvow.archive import ArchiveError, ArchiveTooNew, OtherFormat
from pgvow.archive.salvage import salvage_archive
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.file_errors import refusals
from pgvow.operations.show.contents import opened
from pgvow.store import MetadataMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.archive.salvage import SalvagedArchive, SalvagedLargeObjects, SalvagedTable
    from pgvow.model import Metadata, RecordedTable
    from pgvow.operations.context import Context
    from pgvow.store import StoredBackup


class Vouched(StrEnum):
    """The reason to trust the saved rows of a table."""

    FINGERPRINT = "fingerprint"
    """They are all that there were, byte by byte: the metadata's fingerprint fits."""
    CHECKSUM = "checksum"
    """The block is whole by its own checksum; the metadata have no fingerprint of it."""
    DAMAGE_SEEN = "damage_seen"
    """Each was decoded up to a seen edge of the damage: zeros, or the end of the file."""
    NOTHING = "nothing"
    """Nothing vouches for them: they have the shape of rows, no more."""


@dataclass(frozen=True, slots=True)
class SalvageOptions:
    """``output`` is the path of the new dump, which must be free."""

    output: Path


@dataclass(frozen=True, slots=True)
class TableReport:
    """The rows of one table. ``rows`` are those the metadata have, None if they have none.

    ``saved`` is None for data dumped as INSERT commands, ``missing`` if it is not known.
    ``is_whole``: nothing of it is missing or in doubt, as far as can be seen. ``dropped`` rows
    end, but are not as COPY writes them, or are too long.
    """

    schema: str
    name: str
    rows: int | None
    saved: int | None
    missing: int | None
    is_whole: bool
    vouched: Vouched
    dropped: int


@dataclass(frozen=True, slots=True)
class LargeObjectsReport:
    """The large objects; ``missing`` and ``doubtful`` are oids.

    ``vouched``: number and contents are those of the metadata.
    """

    saved: int
    missing: tuple[int, ...]
    doubtful: tuple[int, ...]
    is_whole: bool
    vouched: bool


@dataclass(frozen=True, slots=True)
class SalvageResult:
    """A new dump at ``output``. ``complete``: nothing is missing or in doubt.

    ``definitions_vouched``: whether the table of contents is the recorded one, None if none is
    recorded. ``complaint`` is the reason if there are no metadata to compare with.
    """

    path: Path
    output: Path
    size_bytes: int
    unreadable_bytes: int
    complaint: str | None
    definitions_vouched: bool | None
    tables: tuple[TableReport, ...]
    large_objects: LargeObjectsReport

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or in doubt."""
        return (
            self.definitions_vouched is not False
            and self.large_objects.is_whole
            and all(table.is_whole for table in self.tables)
        )


def salvage_backup(
    backup: StoredBackup, options: SalvageOptions, context: Context
) -> SalvageResult:
    """Write everything of a damaged dump that still decodes into a new one; memory is bounded.

    The damaged file is only read. Raises ConfigurationError if the new name is taken, ArchiveError
    if the table of contents cannot be read, NotABackupFile, AccessDenied, NoSpace.
    """
    metadata, complaint = _metadata(backup)
    known = {(each.schema, each.name): each for each in metadata.tables} if metadata else {}
    fingerprints = {name: each.fingerprint for name, each in known.items() if each.fingerprint}
    with opened(backup) as file, _new_file(options.output) as new:
        try:
            saved = salvage_archive(file, new, fingerprints, context.reporter)
        except (ArchiveTooNew, OtherFormat):
            raise
        except ArchiveError as error:
            raise _without_contents(error, backup.path) from error
        size = new.tell()
    return SalvageResult(
        path=backup.path,
        output=options.output,
        size_bytes=size,
        unreadable_bytes=saved.unreadable,
        complaint=complaint,
        definitions_vouched=_definitions(saved, metadata),
        tables=tuple(_table(each, known, metadata) for each in saved.tables),
        large_objects=_large_objects(saved.large_objects, metadata),
    )


def _metadata(backup: StoredBackup) -> tuple[Metadata | None, str | None]:
    """Return the metadata, or the reason why there are none to compare with."""
    try:
        metadata = backup.metadata()
    except MetadataMissingError:
        return None, "there are no metadata beside it"
    except PgvowError as error:
        return None, f"its metadata cannot be used: {error.cause}"
    if metadata.backup_file != backup.name:
        return None, f"the metadata beside it are of {metadata.backup_file}"
    return metadata, None


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file for its owner only, which gets its name after the block, if that is free."""
    if os.path.lexists(path):
        raise _taken(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with refusals("write", path):
        try:
            with durable.create(draft) as file:
                yield file
                file.flush()
                durable.sync(file.fileno())
            _name(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        durable.rename_new(directory, draft.name, path.name)
        durable.sync_names(directory)
    except FileExistsError as error:
        raise _taken(path) from error
    finally:
        os.close(directory)


def _taken(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} exists already, and nothing is written over a file",
        facts={"File": str(path)},
        steps=["Give another name: --output NEW.dump"],
    )


def _without_contents(error: ArchiveError, path: Path) -> ArchiveError:
    """Return the error of a damaged table of contents with the steps that are left."""
    error.steps = (
        "Without the table of contents at its head nothing of the file can be placed",
        "Try another copy of the file: even a damaged one may have a whole head",
        f"Use another backup of the database: pgvow list --output-dir {_quoted(path.parent)}",
    )
    return error


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _definitions(saved: SalvagedArchive, metadata: Metadata | None) -> bool | None:
    if metadata is None or metadata.toc is None:
        return None
    return metadata.toc.digest == saved.toc.digest


def _table(
    saved: SalvagedTable,
    known: dict[tuple[str, str], RecordedTable],
    metadata: Metadata | None,
) -> TableReport:
    entry, facts = saved.entry, saved.facts
    recorded = known.get((entry.namespace, entry.tag))
    rows = recorded.rows if recorded else metadata.table_counts.get(entry.key) if metadata else None
    count = facts.rows if facts else None
    vouched = _vouched(saved, recorded)
    differs = rows is not None and count is not None and rows != count
    is_whole = vouched is Vouched.FINGERPRINT or (saved.is_whole and not differs)
    missing = 0 if is_whole else None
    if not is_whole and rows is not None:
        missing = max(rows - (count or 0), 0)
    return TableReport(
        schema=entry.namespace,
        name=entry.tag,
        rows=rows,
        saved=count,
        missing=missing,
        is_whole=is_whole,
        vouched=vouched,
        dropped=saved.misshapen + saved.too_long,
    )


def _vouched(saved: SalvagedTable, recorded: RecordedTable | None) -> Vouched:
    if saved.facts and recorded and recorded.fingerprint == saved.facts.fingerprint:
        return Vouched.FINGERPRINT
    if saved.is_whole:
        return Vouched.CHECKSUM if saved.has_checksum else Vouched.NOTHING
    return Vouched.NOTHING if saved.is_doubtful else Vouched.DAMAGE_SEEN


def _large_objects(saved: SalvagedLargeObjects, metadata: Metadata | None) -> LargeObjectsReport:
    recorded = metadata.large_objects if metadata else None
    vouched = recorded is not None and (
        (recorded.count, recorded.fingerprint) == (saved.objects.count, saved.objects.fingerprint)
    )
    differs = recorded is not None and not vouched
    return LargeObjectsReport(
        saved=saved.objects.count,
        missing=saved.lost,
        doubtful=() if vouched else saved.doubtful,
        is_whole=vouched or (saved.is_whole and not differs),
        vouched=vouched,
    )
