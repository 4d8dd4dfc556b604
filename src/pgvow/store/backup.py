"""A handle to one finished backup: its dump and the files beside it, in any store."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

from pgvow.finished_file import open_finished
from pgvow.model import level_reached
from pgvow.store import names
from pgvow.store.directory import DirectoryStore
from pgvow.store.metadata import MetadataError, read_metadata
from pgvow.store.notes import change_notes, read_notes
from pgvow.store.port import rewound
from pgvow.store.proof import ProofError, change_proof, read_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from pgvow.model import Evidence, Level, Metadata, Proof, Unreadable
    from pgvow.notes import Notes
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
