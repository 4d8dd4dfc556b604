"""The paths of one backup's files in a directory, finished and being written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.store import names

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Files:
    """The paths of one backup, whether or not anything is there."""

    directory: Path
    stem: str

    @property
    def dump(self) -> Path:
        """The archive."""
        return self._path(names.DUMP)

    @property
    def metadata(self) -> Path:
        """The metadata; its presence makes the backup."""
        return self._path(names.METADATA)

    @property
    def globals(self) -> Path:
        """Roles and tablespaces."""
        return self._path(names.GLOBALS)

    @property
    def proof(self) -> Path:
        """The evidence of its checks."""
        return self._path(names.PROOF)

    @property
    def notes(self) -> Path:
        """The notes of people."""
        return self._path(names.NOTES)

    @property
    def removing(self) -> Path:
        """The metadata's name from the moment on at which there is no backup any more."""
        return self.metadata.with_name(self.metadata.name + names.REMOVING)

    @property
    def published(self) -> tuple[Path, Path, Path]:
        """The three a backup is published as, in that order."""
        return self.dump, self.globals, self.metadata

    @property
    def is_free(self) -> bool:
        """Whether no file of this stem exists, finished or not, not even a dangling link."""
        finished = [self._path(suffix) for suffix in names.SUFFIXES]
        if exists(self.removing):
            return False
        return not any(exists(path) or exists(names.partial(path)) for path in finished)

    def _path(self, suffix: str) -> Path:
        return self.directory / (self.stem + suffix)


def exists(path: Path) -> bool:
    """Return whether the name is taken, by a link that leads nowhere as well."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
