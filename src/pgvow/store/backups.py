"""The finished backups of a store: their list, a handle to one, and the directories to look in."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pgvow import DEFAULT_DIRECTORY
from pgvow.errors import NoResources, PgvowError
from pgvow.finished_file import open_finished
from pgvow.model import Backup, BackupStatus, Metadata, level_reached
from pgvow.store import names
from pgvow.store.directory import DirectoryStore
from pgvow.store.metadata import MetadataError, MetadataMissingError, read_metadata
from pgvow.store.notes import change_notes, read_notes
from pgvow.store.port import LeadsNowhereError, rewound
from pgvow.store.proof import ProofError, change_proof, read_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from typing import Self

    from pgvow.model import Evidence, Level, Proof, Unreadable
    from pgvow.notes import Notes
    from pgvow.settings import Configuration
    from pgvow.store.port import Store


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A backup by its store and its dump's name; nothing is read before it is asked for.

    Its methods raise as the store's do: FileNotFoundError for a missing file, UnreadableFile,
    AccessDenied, PgvowError. ``fetched`` is the path of the dump in the block of ``at_hand``.
    """

    store: Store
    name: str
    fetched: Path | None = field(default=None, repr=False, compare=False)

    @classmethod
    def at(cls, dump: Path) -> Self:
        """Return the backup whose dump has this path in the file system."""
        return cls(DirectoryStore(dump.parent), dump.name)

    @property
    def path(self) -> Path:
        """How messages and results name the dump: in a directory, its path."""
        return self.store.location / self.name

    @property
    def stem(self) -> names.Stem | None:
        """Database, environment and timestamp by the dump's name, if it is one of ours."""
        return names.parse_stem(self.name.removesuffix(names.DUMP))

    @property
    def has_metadata(self) -> bool:
        """Whether something has the name of its metadata."""
        return _has(self.store, names.metadata_name(self.name))

    @property
    def is_foreign(self) -> bool:
        """Whether neither its name nor metadata beside it make it a backup of ours."""
        return self.stem is None and not self.has_metadata

    def metadata(self) -> Metadata:
        """Read the metadata; whether it names this dump is for the caller to compare.

        Raises MetadataError if it is missing or broken.
        """
        name = names.metadata_name(self.name)
        try:
            return read_metadata(self.store, name)
        except MetadataError as error:
            raise error.with_facts({"Metadata": str(self.store.location / name)}) from None

    def proof(self) -> Proof | None:
        """Read the proof; None if there is none. Raises ProofError if it is broken."""
        return read_proof(self.store, self.name)

    def proof_of(self, metadata: Metadata) -> Proof | None:
        """Read the proof of the bytes that the metadata describes; None if it is no such one."""
        with suppress(ProofError):
            proof = self.proof()
            if proof is not None and proof.checksum_sha256 == metadata.checksum_sha256:
                return proof
        return None

    @property
    def level(self) -> Level | None:
        """The highest level of trust that it has reached; None: listed only.

        Raises MetadataError.
        """
        metadata = self.metadata()
        return level_reached(metadata, self.proof_of(metadata))

    def notes(self) -> Notes:
        """Read the notes of people; those that cannot be read have a complaint."""
        return read_notes(self.store, self.name)

    def change_notes(self, change: Callable[[Notes], Notes]) -> Notes:
        """Change the notes of people, and return the new ones.

        Raises NoSpace and NotesError as well.
        """
        return change_notes(self.store, self.name, change)

    def open_dump(self) -> BinaryIO:
        """Open the dump to read it at any place."""
        return self.store.open(self.name) if self.fetched is None else open_finished(self.fetched)

    def size(self) -> int:
        """Return the size of the dump in bytes, after opening it."""
        with self.open_dump() as file:
            return rewound(file)

    def globals_name(self, metadata: Metadata | None) -> str:
        """Name the file of roles and tablespaces: as the metadata has it, else by its stem."""
        if metadata is not None and metadata.globals is not None:
            return metadata.globals.file
        return names.globals_name(self.name)

    def has(self, name: str) -> bool:
        """Return whether a regular file of this name lies beside the dump."""
        try:
            return self.store.stat(name).is_regular
        except OSError:
            return False

    def held(self) -> AbstractContextManager[None]:
        """Keep the backup from being removed by another run, as far as the store can."""
        return self.store.held(self.name)

    def local_path(self) -> AbstractContextManager[Path]:
        """Give a path by which a program can open the dump: its own, or that of a private copy."""
        if self.fetched is not None:
            return nullcontext(self.fetched)
        return self.store.local_path(self.name)

    @contextmanager
    def at_hand(self) -> Iterator[Self]:
        """Yield a handle that fetches the dump once, for a block whose programs read it often."""
        with self.local_path() as path:
            yield replace(self, fetched=path)

    def add_evidence(self, checksum_sha256: str, evidence: Evidence) -> Proof:
        """Add the evidence of one check to the proof, and return the new proof.

        Raises NoSpace and ProofError as well.
        """
        return change_proof(
            self.store, self.name, checksum_sha256, lambda proof: proof.after(evidence)
        )

    def mark_unreadable(self, checksum_sha256: str, unreadable: Unreadable) -> Proof:
        """Record that the dump cannot be read; a check that reads it takes that back.

        Raises NoSpace and ProofError as well.
        """
        return change_proof(
            self.store,
            self.name,
            checksum_sha256,
            lambda proof: replace(proof, unreadable=unreadable),
        )


def load_metadata(dump: Path) -> Metadata:
    """Read the metadata beside a dump in the file system; see ``StoredBackup.metadata``."""
    return StoredBackup.at(dump).metadata()


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


def directories(configuration: Configuration, first: Path) -> list[Path]:
    """List ``first`` and every other directory that the settings name, each once.

    The default one is among them if some environment uses it and it has backups. Raises
    AccessDenied or PgvowError if that one cannot be read.
    """
    chosen: dict[Path, Path] = {}
    for place in (first, *_configured(configuration)):
        chosen.setdefault(place.resolve(), place)  # the first spelling stays
    return list(chosen.values())


def _configured(configuration: Configuration) -> Iterator[Path]:
    for name in (None, *configuration.environments):
        place = configuration.output_dir_of(name)
        if place is not None:
            yield place
        elif configuration.environments and _has_backups(default := Path(DEFAULT_DIRECTORY)):
            yield default


def _has_backups(directory: Path) -> bool:
    return bool(backups_in(DirectoryStore(directory)))
