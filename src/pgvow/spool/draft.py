"""A backup while it is being made: nothing of it has a final name before it is published."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pgvow.errors import BackupFailed
from pgvow.file_errors import refusals
from pgvow.model import Backup, BackupStatus, GlobalsFacts
from pgvow.spool import publish
from pgvow.spool.files import BackupFiles, OpenedDirectory
from pgvow.store import names
from pgvow.store.metadata import encode
from pgvow.store.names import partial

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from pgvow.model import Metadata
    from pgvow.spool.files import OpenedFile


class Draft:
    """The files of one backup to be; leaving the context without ``publish`` removes them.

    Made by ``Spool.begin``, if the stem is free and the group's lock held.
    """

    def __init__(self, directory: Path, stem: names.Stem) -> None:
        self.database = stem.database
        self.environment = stem.environment
        self.moment = stem.moment
        self.stem = names.stem(*stem)
        self._files = BackupFiles(directory, self.stem)
        self._directory = OpenedDirectory(directory)
        self._opened: dict[Path, OpenedFile] = {}
        self._dump: BufferedRandom | None = None
        self._globals: GlobalsFacts | None = None
        self._publication: publish.Publication | None = None
        self._is_published = False

    @property
    def dump_path(self) -> Path:
        """The path of the dump once it is published."""
        return self._files.dump

    @property
    def dump_partial(self) -> Path:
        """The path of the dump being written; it is read back by its descriptor."""
        return partial(self._files.dump)

    @property
    def dump(self) -> OpenedFile:
        """The dump, open since ``open_dump`` and until the draft is left."""
        return self._opened[self._files.dump]

    @property
    def metadata_path(self) -> Path:
        """The path of the metadata once it is published."""
        return self._files.metadata

    @property
    def globals_path(self) -> Path:
        """The path of the globals once they are published."""
        return self._files.globals

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self._is_published:
                self.discard()
        finally:
            self._directory.close()

    def open_dump(self) -> BufferedRandom:
        """Make the dump's file, 0600, for writing and reading back; the caller may close it.

        Raises BackupFailed if the name is taken, a second call included; AccessDenied, NoSpace or
        PgvowError.
        """
        with refusals("create", self.dump_partial):
            opened = self._directory.create(self.dump_partial.name)
            self._opened[self._files.dump] = opened
            self._dump = os.fdopen(os.dup(opened.fd), "w+b")
        return self._dump

    def require_ours(self) -> None:
        """Raise BackupFailed unless directory and names still lead to the files of this run."""
        with refusals("look into", self._files.directory):
            self._directory.require_in_place()
            for path, file in self._opened.items():
                self._directory.require(file, partial(path).name)

    def write_globals(self, data: bytes, *, role_passwords: bool) -> GlobalsFacts:
        """Write roles and tablespaces beside the dump, and return their facts for the metadata."""
        with refusals("write", partial(self._files.globals)):
            name = partial(self._files.globals).name
            self._opened[self._files.globals] = self._directory.write_new(name, data)
        digest = hashlib.sha256(data, usedforsecurity=False).hexdigest()
        self._globals = GlobalsFacts(self.globals_path.name, len(data), digest, role_passwords)
        return self._globals

    def publish(self, metadata: Metadata) -> Backup:
        """Make it a backup: everything to the disk, then the names, the metadata's last.

        Raises BackupFailed if a name is taken or the metadata describes something else,
        MetadataError if no reader would take it, AccessDenied, NoSpace or PgvowError of the file
        system; the draft can then only be discarded.
        """
        with refusals("publish", self._files.dump):
            self._close()
            if self._files.dump not in self._opened:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            self.require_ours()
            size = self._opened[self._files.dump].size
            self._check(metadata, size)
            publication = publish.Publication(
                self._files, encode(metadata), self._directory, dict(self._opened)
            )
            self._publication = publication
            publish.run(publish.STEPS, publication)
        self._is_published = True
        return Backup(
            path=self._files.dump,
            status=BackupStatus.OK,
            size_bytes=size,
            metadata=metadata,
            timestamp=self.moment,
            environment=self.environment,
            database=self.database,
        )

    def discard(self) -> None:
        """Remove the unpublished files, as far as that goes; the next run removes the rest.

        Never raises, lest it hide why; doing it again is harmless. A backup whose metadata has its
        final name is whole, and stays.
        """
        with suppress(OSError):  # the rest of the buffer may not fit on the disk
            self._close()
        if self._publication is not None:
            with suppress(OSError):
                publish.undo(self._publication)
        self._directory.remove_made()

    def _close(self) -> None:
        if self._dump is not None:
            self._dump.close()

    def _check(self, metadata: Metadata, size: int) -> None:
        """Refuse metadata that describes other files than those written."""
        pairs = {
            "backup_timestamp": (metadata.backup_timestamp, self.moment),
            "environment": (metadata.environment, self.environment),
            "database_name": (metadata.database_name, self.database),
            "backup_file": (metadata.backup_file, self._files.dump.name),
            "backup_size_bytes": (metadata.backup_size_bytes, size),
            "globals": (metadata.globals, self._globals),
        }
        wrong = [
            f"{key} is {stated}, not {true}"
            for key, (stated, true) in pairs.items()
            if stated != true
        ]
        if wrong:
            raise BackupFailed(
                "the metadata describes something else: " + "; ".join(wrong),
                facts={"Path": str(self.dump_partial)},
                steps=["Run the backup again", "If it happens again, report it: it is our mistake"],
            )
