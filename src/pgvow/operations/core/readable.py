"""Look whether a backup can be read before another is removed for its sake."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.archive import ArchiveError, ArchiveTooNew, read_toc
from pgvow.errors import AccessDenied, UnreadableFile
from pgvow.model import (
    BackupStatus,
    Difference,
    DifferenceKind,
    Evidence,
    Level,
    Proof,
    Unreadable,
)
from pgvow.operations.core.choose_pg_restore import major_of
from pgvow.operations.verify.recording import record, record_unreadable
from pgvow.postgres.majors import NEWEST_TESTED
from pgvow.store import ProofError, StoredBackup, rewound

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Backup, Metadata
    from pgvow.store import Store

_END_BYTES = 4096


@dataclass(frozen=True, slots=True)
class BackupFlaw:
    """Why a backup does not count: it cannot be read, or its bytes are not those written.

    ``difference`` is the evidence that its bytes are damaged; ``is_unreadable`` if the file cannot
    be read, which is none. With neither nothing is recorded.
    """

    cause: str
    difference: Difference | None = None
    is_unreadable: bool = False


def look_at(store: Store, backup: Backup) -> BackupFlaw | None:
    """Open a backup and read both of its ends; returns its flaw, or None.

    Raises PgvowError for errors that are none of the file: no memory, no file handles.
    """
    path, metadata = backup.path, backup.metadata
    try:
        with _stored(store, backup).open_dump() as file:
            size = rewound(file)
            if size != backup.size_bytes:
                return BackupFlaw(f"{path}: it is not the file that was listed")
            digest = read_toc(file).digest
            file.seek(-min(_END_BYTES, size), os.SEEK_END)
            file.read()
    except FileNotFoundError:
        return BackupFlaw(f"{path}: it was removed since it was listed")
    except (UnreadableFile, AccessDenied) as error:
        return BackupFlaw(error.cause, is_unreadable=True)
    except ArchiveError as error:
        if isinstance(error, ArchiveTooNew) and _is_of_newer_major(metadata):
            return None  # whole, as far as we can see
        return _damaged(path, "readable", error.cause)
    written = metadata.toc.digest if metadata is not None and metadata.toc is not None else digest
    is_same = written == digest
    return None if is_same else _damaged(path, f"digest {written}", f"digest {digest}")


def _is_of_newer_major(metadata: Metadata | None) -> bool:
    """Return whether a newer pg_dump wrote it than those whose archives we know."""
    return metadata is not None and major_of(metadata.pg_dump_version) > NEWEST_TESTED


def _damaged(path: Path, expected: str, found: str) -> BackupFlaw:
    difference = Difference(DifferenceKind.CONTENTS, "the table of contents", expected, found)
    return BackupFlaw(f"{path}: {difference}", difference)


def record_flaw(store: Store, backup: Backup, flaw: BackupFlaw, now: datetime) -> None:
    """Keep a flaw beside the backup, as far as the directory may be written."""
    if backup.metadata is None:
        return
    stored, metadata = _stored(store, backup), backup.metadata
    if flaw.is_unreadable:
        unreadable = Unreadable(_second(now), flaw.cause)
        record_unreadable(stored, metadata, unreadable, warn=lambda _: None)
    if flaw.difference is not None:
        record(stored, metadata, _evidence(flaw.difference, now), warn=lambda _: None)


def _evidence(difference: Difference, now: datetime) -> Evidence:
    return Evidence(
        level=Level.VERIFIED,
        at=_second(now),
        seconds=0.0,
        differences=(difference,),
        pgvow_version=__version__,
    )


def _second(now: datetime) -> datetime:
    """Return the time to the second, as records have it."""
    return now.replace(microsecond=0)


def marked(backup: Backup, flaw: BackupFlaw | None, now: datetime) -> Backup:
    """Return the backup as listed once its flaw is recorded."""
    if flaw is None:
        return backup
    if flaw.difference is not None:
        checksum = backup.metadata.checksum_sha256 if backup.metadata else ""
        proof = backup.proof or Proof(backup.path.name, checksum)
        return replace(
            backup, proof=proof.after(_evidence(flaw.difference, now)), complaint=flaw.cause
        )
    return replace(backup, status=BackupStatus.UNREADABLE, complaint=flaw.cause)


def unchanged(store: Store, backup: Backup) -> Callable[[], bool]:
    """Ask whether no check and no note came since a backup was judged."""

    def ask() -> bool:
        try:
            proof = _stored(store, backup).proof()
        except ProofError:
            proof = None
        checksum = backup.metadata.checksum_sha256 if backup.metadata else None
        if proof is not None and proof.checksum_sha256 != checksum:
            proof = None  # as the listing has it
        return proof == backup.proof and _stored(store, backup).notes() == backup.notes

    return ask


def _stored(store: Store, backup: Backup) -> StoredBackup:
    return StoredBackup(store, backup.path.name)
