"""The backups in a store, from metadata alone: no dump is opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.errors import NoResources, PgvowError
from pgvow.model import Backup, BackupStatus, Metadata
from pgvow.store import names
from pgvow.store.metadata import MetadataError, MetadataMissingError, read_metadata
from pgvow.store.notes import read_notes
from pgvow.store.port import LeadsNowhereError
from pgvow.store.proof import ProofError, read_proof

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pgvow.store.port import Store

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def backups_in(store: Store) -> list[Backup]:
    """List every dump and every metadata file, newest first; those without a timestamp come last.

    Half-made backups and hidden files are not listed. A missing directory has no backups.
    A file that cannot be read makes its own backup unreadable. Raises AccessDenied or PgvowError if
    the store cannot be listed, NoResources for a lack of memory or file handles.
    """
    present = store.list()
    bases = {base for name in present if (base := _base(name)) is not None}
    seen = [_backup(store, base, present) for base in sorted(bases)]
    backups = [backup for backup in seen if backup is not None]
    return sorted(backups, key=lambda backup: backup.timestamp or _BEFORE_ALL, reverse=True)


def backup_in(store: Store, dump_name: str) -> Backup | None:
    """List one backup by the name of its dump; None if there is none. Raises as ``backups_in``."""
    base = dump_name.removesuffix(names.DUMP)
    present = store.list()
    bases = {_base(name) for name in (base + names.DUMP, base + names.METADATA) if name in present}
    return _backup(store, base, present) if base in bases else None


def _base(name: str) -> str | None:
    if name.startswith("."):  # left by rsync, an editor or macOS: no safe name starts so
        return None
    split = names.parse_file(name)
    return split[0] if split and split[1] in (names.DUMP, names.METADATA) else None


def _backup(store: Store, base: str, present: Collection[str]) -> Backup | None:
    dump, metadata_name = base + names.DUMP, base + names.METADATA
    if metadata_name not in present:
        # A run may publish meanwhile. The metadata is partial until it is final: if neither is
        # there, the partial one looked for first, there is none.
        if _has(store, metadata_name + names.PARTIAL):
            return None
        if metadata_name + names.REMOVING in present:
            return None
    metadata = _read(store, metadata_name, dump)
    size, complaint, wrong = _size(store, dump)
    if isinstance(metadata, MetadataMissingError):
        if _has(store, metadata_name + names.REMOVING):
            return None  # its removal has begun since the store was listed
        if size is None and wrong is None:
            return None  # removed since the store was listed
    backup = _describe(store.location / dump, metadata, size, complaint)
    if wrong is BackupStatus.UNREADABLE:
        backup = replace(backup, status=wrong)
    if base + names.NOTES in present:
        backup = replace(backup, notes=read_notes(store, dump))
    if backup.status is not BackupStatus.OK or base + names.PROOF not in present:
        return backup
    return _with_proof(backup, store, dump)


def _has(store: Store, name: str) -> bool:
    """Return whether the name is taken, by a link without a target or an odd file as well."""
    try:
        store.stat(name)
    except LeadsNowhereError:
        return True
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _with_proof(backup: Backup, store: Store, dump: str) -> Backup:
    """Add what checks showed, if they were of this very dump; a broken proof is as good as none.

    One that cannot be read may hold a check that failed: the backup is unreadable then.
    """
    try:
        proof = read_proof(store, dump)
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


def _read(store: Store, name: str, dump: str) -> Metadata | PgvowError:
    """Return the metadata, the MetadataError of broken ones, or why they cannot be read."""
    try:
        metadata = read_metadata(store, name)
    except NoResources:
        raise  # that is no error of the file
    except PgvowError as error:
        return error
    if metadata.backup_file != dump:
        return MetadataError([f"is of another file: {metadata.backup_file!a}"])
    return metadata


def _size(store: Store, name: str) -> tuple[int | None, str, BackupStatus | None]:
    """Return a dump's size, or None, the reason, and the status if something has its name."""
    try:
        status = store.stat(name)
    except LeadsNowhereError:
        return None, f"{name} leads nowhere", BackupStatus.DUMP_MISSING
    except FileNotFoundError:
        return None, f"there is no {name}", None
    except OSError as error:
        return None, f"{name}: {error.strerror}", BackupStatus.UNREADABLE
    if not status.is_regular:
        return None, f"{name} is not a regular file", BackupStatus.UNREADABLE
    return status.size, "", None


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
    """Describe a dump by its name, if that is one of ours."""
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
