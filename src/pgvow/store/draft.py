"""A backup while it is being made: nothing of it has a final name before it is published (T025)."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from pgvow.errors import BackupFailed
from pgvow.model import Backup, BackupStatus, GlobalsFacts
from pgvow.store import durable, names, publish
from pgvow.store.files import Files, partial
from pgvow.store.metadata import encode
from pgvow.store.refusals import refusals

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from pgvow.model import Metadata


class Draft:
    """The files of one backup to be; leaving the context without ``publish`` removes them.

    Made by ``LocalStore.begin``, which says that the stem is free and the group's lock held.
    """

    def __init__(self, directory: Path, stem: names.Stem) -> None:
        self.database = stem.database
        self.environment = stem.environment
        self.moment = stem.moment
        self.stem = names.stem(*stem)
        self._files = Files(directory, self.stem)
        self._dump: BufferedRandom | None = None
        self._globals: GlobalsFacts | None = None
        self._publication: publish.Publication | None = None
        self._is_published = False

    @property
    def dump_path(self) -> Path:
        """Where the dump will be once it is published."""
        return self._files.dump

    @property
    def dump_partial(self) -> Path:
        """Where the dump is being written, and can be read back."""
        return partial(self._files.dump)

    @property
    def metadata_path(self) -> Path:
        """Where the metadata will be."""
        return self._files.metadata

    @property
    def globals_path(self) -> Path:
        """Where the globals will be."""
        return self._files.globals

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_published:
            self.discard()

    def open_dump(self) -> BufferedRandom:
        """Make the dump's file, 0600, for writing and reading back; whoever closes it, may.

        Raises AccessDenied, NoSpace or PgvowError; a second call is refused like any existing file.
        """
        with refusals("create", self.dump_partial):
            self._dump = durable.create(self.dump_partial)
        return self._dump

    def write_globals(self, data: bytes, *, role_passwords: bool) -> GlobalsFacts:
        """Keep roles and tablespaces beside the dump, and return what the metadata says of them."""
        with refusals("write", partial(self._files.globals)):
            durable.write_new(partial(self._files.globals), data)
        digest = hashlib.sha256(data, usedforsecurity=False).hexdigest()
        self._globals = GlobalsFacts(self.globals_path.name, len(data), digest, role_passwords)
        return self._globals

    def publish(self, metadata: Metadata) -> Backup:
        """Make it a backup: everything to the disk, then the names, the metadata's last.

        Raises BackupFailed where a name is taken or the metadata describes something else,
        MetadataError where no reader would take it, AccessDenied, NoSpace or PgvowError where the
        file system refuses; the draft can then only be discarded.
        """
        with refusals("publish", self._files.dump):
            self._close()
            size = self.dump_partial.stat().st_size
            self._check(metadata, size)
            publication = publish.Publication(
                self._files, encode(metadata), has_globals=self._globals is not None
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
        """Remove what is not published, as far as it can be; the next run removes the rest.

        Never raises, lest it hide why; doing it again is harmless. A backup whose metadata has its
        final name is whole, and stays.
        """
        with suppress(OSError):  # what is still buffered may not fit on the disk
            self._close()
        if self._publication is not None:
            with suppress(OSError):
                publish.undo(self._publication)
        for path in self._files.published:
            with suppress(OSError):
                partial(path).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._dump is not None:
            self._dump.close()

    def _check(self, metadata: Metadata, size: int) -> None:
        """Refuse metadata that describes something else than what was written."""
        pairs = {
            "backup_timestamp": (metadata.backup_timestamp, self.moment),
            "environment": (metadata.environment, self.environment),
            "database_name": (metadata.database_name, self.database),
            "backup_file": (metadata.backup_file, self._files.dump.name),
            "backup_size_bytes": (metadata.backup_size_bytes, size),
            "globals": (metadata.globals, self._globals),
        }
        wrong = [
            f"{key} is {said}, not {true}" for key, (said, true) in pairs.items() if said != true
        ]
        if wrong:
            raise BackupFailed(
                "the metadata describes something else: " + "; ".join(wrong),
                facts={"Path": str(self.dump_partial)},
                steps=["Run the backup again", "If it happens again, report it: it is our mistake"],
            )
