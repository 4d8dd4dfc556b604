"""The backups in a directory, from metadata alone: no dump is opened (T044-T047)."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.errors import NoResources, PgvowError
from pgvow.file_errors import refusals
from pgvow.model import Backup, BackupStatus, Metadata
from pgvow.store import names
from pgvow.store.metadata import MetadataError
from pgvow.store.proof import ProofError, load_proof
from pgvow.store.reading import MetadataMissingError, read_metadata

if TYPE_CHECKING:
    from pathlib import Path

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def list_backups(directory: Path) -> list[Backup]:
    """List every dump and every metadata file, newest first; those without a moment come last.

    What is half-made is not listed, nor are hidden files. A missing directory has no backups.
    A file that cannot be read makes its own backup unreadable. Raises AccessDenied or PgvowError if
    the directory cannot be read, NoResources for a lack of memory or file handles.
    """
    with refusals("read the directory", directory):
        try:
            found = set(os.listdir(directory))  # noqa: PTH208 - names are what is needed
        except FileNotFoundError:
            return []
    bases = {base for name in found if (base := _base(name)) is not None}
    seen = [_backup(directory, os.fspath(directory), base, found) for base in sorted(bases)]
    backups = [backup for backup in seen if backup is not None]
    return sorted(backups, key=lambda backup: backup.timestamp or _BEFORE_ALL, reverse=True)


def _base(name: str) -> str | None:
    if name.startswith("."):  # what rsync, an editor or macOS leaves: no safe name starts so
        return None
    split = names.parse_file(name)
    return split[0] if split and split[1] in (names.DUMP, names.METADATA) else None


def _backup(directory: Path, place: str, base: str, found: set[str]) -> Backup | None:
    # Paths are texts here: making and joining Path objects took a fifth of a long listing.
    metadata_path = f"{place}/{base}{names.METADATA}"
    dump_path = f"{place}/{base}{names.DUMP}"
    # A run may publish while we look. The metadata is partial until it is final, so whoever looks
    # for the partial one first and finds neither knows that there is none.
    if base + names.METADATA not in found and os.path.lexists(metadata_path + names.PARTIAL):
        return None
    if base + names.METADATA + names.REMOVING in found and base + names.METADATA not in found:
        return None
    metadata = _read(metadata_path, base + names.DUMP)
    size, no_dump = _size(dump_path)
    if isinstance(metadata, MetadataMissingError) and os.path.lexists(
        metadata_path + names.REMOVING
    ):
        return None  # its removal has begun since the directory was read
    is_missing = size is None and isinstance(metadata, MetadataMissingError)
    if is_missing and not os.path.lexists(dump_path):
        return None  # removed since the directory was read
    backup = _describe(directory / (base + names.DUMP), metadata, size, no_dump)
    if size is None and _is_unreadable(dump_path):
        backup = replace(backup, status=BackupStatus.UNREADABLE)
    if backup.status is not BackupStatus.OK or base + names.PROOF not in found:
        return backup
    return _with_proof(backup, dump_path)


def _with_proof(backup: Backup, dump_path: str) -> Backup:
    """Add what checks showed, if they were of this very dump; a broken proof is as good as none.

    One that cannot be read may say that a check failed: the backup is unreadable then.
    """
    try:
        proof = load_proof(dump_path)
    except ProofError:
        return backup
    except NoResources:
        raise
    except PgvowError as error:
        return replace(backup, status=BackupStatus.UNREADABLE, complaint=error.cause)
    metadata = backup.metadata
    if proof is None or metadata is None:
        return backup
    if proof.checksum_sha256 != metadata.checksum_sha256:
        return backup
    if proof.unreadable is None:
        return replace(backup, proof=proof)
    status, complaint = BackupStatus.UNREADABLE, proof.unreadable.cause
    return replace(backup, proof=proof, status=status, complaint=complaint)


def _read(metadata_path: str, dump_name: str) -> Metadata | PgvowError:
    """Return the metadata, the MetadataError of broken ones, or why they cannot be read."""
    try:
        metadata = read_metadata(metadata_path)
    except NoResources:
        raise  # that says nothing of the file
    except PgvowError as error:
        return error
    if metadata.backup_file != dump_name:
        return MetadataError([f"is of another file: {metadata.backup_file!a}"])
    return metadata


def _size(path: str) -> tuple[int | None, str]:
    """Return the dump's size, or None and why it has none."""
    name = path.rpartition("/")[2]
    try:
        about = os.stat(path)  # noqa: PTH116 - a text, see above
    except FileNotFoundError:
        is_link = os.path.lexists(path)
        return None, f"{name} leads nowhere" if is_link else f"there is no {name}"
    except OSError as error:
        return None, f"{name}: {error.strerror}"
    if not stat.S_ISREG(about.st_mode):
        return None, f"{name} is not a regular file"
    return about.st_size, ""


def _is_unreadable(path: str) -> bool:
    """Whether something has the name that is no readable file; not a link that leads nowhere."""
    try:
        os.stat(path)  # noqa: PTH116 - a text, see above
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _describe(
    path: Path, metadata: Metadata | PgvowError, size: int | None, no_dump: str
) -> Backup:
    if isinstance(metadata, PgvowError):
        return _without_metadata(path, metadata, size, no_dump)
    status, complaint = BackupStatus.OK, None
    if size is None:
        status, complaint = BackupStatus.DUMP_MISSING, no_dump
    elif size != metadata.backup_size_bytes:
        status = BackupStatus.SIZE_DIFFERS
        complaint = f"{size} bytes, where the metadata says {metadata.backup_size_bytes}"
    return Backup(
        path=path,
        status=status,
        size_bytes=size,
        metadata=metadata,
        timestamp=metadata.backup_timestamp,
        environment=metadata.environment,
        database=metadata.database_name,
        complaint=complaint,
    )


def _without_metadata(path: Path, error: PgvowError, size: int | None, no_dump: str) -> Backup:
    """Describe a dump by its name, as far as that says anything."""
    complaints = [no_dump, error.cause] if size is None else [error.cause]
    is_broken = isinstance(error, MetadataError)
    status = BackupStatus.METADATA_BROKEN if is_broken else BackupStatus.UNREADABLE
    if isinstance(error, MetadataMissingError):
        status = BackupStatus.METADATA_MISSING if size is not None else BackupStatus.DUMP_MISSING
    stem = names.parse_stem(path.name.removesuffix(names.DUMP))
    return Backup(
        path=path,
        status=status,
        size_bytes=size,
        timestamp=stem.moment if stem else None,
        environment=stem.environment if stem else None,
        database=stem.database if stem else None,
        complaint="; ".join(complaints),
    )
