"""The files of one backup: their paths, and those that stay open while it is made.

A name can be given to something else at any moment; a descriptor stays with its file. So all is
written, read and published by descriptor: nothing is opened a second time by name, and a name is
believed only if it still leads to the open file.
"""

from __future__ import annotations

import io
import os
import shlex
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow import durable
from pgvow.errors import BackupFailed
from pgvow.finished_file import Positioned
from pgvow.store import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, Self


@dataclass(frozen=True, slots=True)
class BackupFiles:
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


_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OpenedFile:
    """A regular file of ours that stays open; ``path`` is the name that it was opened by."""

    def __init__(self, fd: int, path: Path) -> None:
        self.fd = fd
        self.path = path
        self._at_first = os.fstat(fd)

    @property
    def directory(self) -> Path:
        """The directory that it was opened in, for messages and for files without a name."""
        return self.path.parent

    @property
    def for_programs(self) -> str:
        """Compose the name by which a program opens it, if the descriptor is passed on."""
        return f"/dev/fd/{self.fd}"

    @property
    def size(self) -> int:
        """Its size in bytes now."""
        return os.fstat(self.fd).st_size

    def empty(self) -> None:
        """Cut it to nothing, to be filled from its start.

        The position matters outside Linux: there ``/dev/fd/N`` has a position in common with ours.
        """
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)

    def reader(self) -> io.BufferedReader:
        """Open it for reading from the start, without moving a position that others have too."""
        return io.BufferedReader(Positioned(self.fd), 1 << 20)

    @contextmanager
    def writer(self) -> Iterator[BinaryIO]:
        """Empty it and write it; the error of closing never replaces the one of the block."""
        self.empty()
        file = os.fdopen(os.dup(self.fd), "wb")
        try:
            yield file
        except BaseException:
            with suppress(OSError):
                file.close()
            raise
        file.close()

    def sync(self) -> None:
        """Bring its contents to the disk."""
        durable.sync(self.fd)

    def complaint(self, now: os.stat_result | None) -> str | None:
        """Compare with the file of a name; None if that is this file, unchanged and alone."""
        if now is None:
            return "it was removed or renamed"
        if not stat.S_ISREG(now.st_mode) or not os.path.samestat(self._at_first, now):
            return "another file has its name"
        if now.st_nlink != self._at_first.st_nlink:
            return "it was given a second name (a hard link)"
        if (now.st_mode, now.st_uid) != (self._at_first.st_mode, self._at_first.st_uid):
            return "its owner or its permissions were changed"
        return None

    def close(self) -> None:
        """Close it; doing it again is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class OpenedDirectory:
    """A directory that stays open; leaving the block closes it, and every file opened in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._files: list[OpenedFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def create(self, name: str) -> OpenedFile:
        """Make a file that must not exist yet, for its owner only, and keep it open.

        Raises BackupFailed if the name is taken, be it by a link that leads nowhere.
        """
        try:
            fd = os.open(name, _NEW, 0o600, dir_fd=self.fd)
        except FileExistsError as error:
            raise BackupFailed(
                f"{self.path / name} was not made by this run: {error.strerror}",
                facts={"Path": str(self.path / name)},
                steps=_steps(self.path),
            ) from error
        return self._kept(fd, name)

    def write_new(self, name: str, data: bytes) -> OpenedFile:
        """Make a file with these bytes, down to the disk, and keep it open."""
        file = self.create(name)
        with file.writer() as writer:
            writer.write(data)
        file.sync()
        return file

    def open_existing(self, name: str) -> OpenedFile:
        """Open a regular file to read it; raises OSError for all else, and never waits."""
        fd = os.open(name, _EXISTING, dir_fd=self.fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(f"{name} is not a regular file")
        return self._kept(fd, name)

    def _kept(self, fd: int, name: str) -> OpenedFile:
        file = OpenedFile(fd, self.path / name)
        self._files.append(file)
        return file

    def status(self, name: str) -> os.stat_result | None:
        """Look at a name without following a link; None if it is free."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_named(self, file: OpenedFile, name: str) -> bool:
        """Return whether a name leads to the open file itself."""
        status = self.status(name)
        return status is not None and os.path.samestat(os.fstat(file.fd), status)

    def require(self, file: OpenedFile, name: str) -> None:
        """Raise BackupFailed unless the name leads to the open file, as it was made."""
        complaint = file.complaint(self.status(name))
        if complaint is not None:
            raise _not_ours(self.path / name, complaint, self.path)

    def require_in_place(self) -> None:
        """Raise BackupFailed if the path leads to another directory than the open one."""
        try:
            is_same = os.path.samestat(os.fstat(self.fd), self.path.stat())
        except OSError:
            is_same = False
        if not is_same:
            raise _not_ours(
                self.path, "the directory was moved or replaced meanwhile", self.path.parent
            )

    def rename_new(self, name: str, new: str) -> None:
        """Rename a file to a name that must be free; raises FileExistsError if it is not."""
        durable.rename_new(self.fd, name, new)

    def remove(self, file: OpenedFile, name: str) -> None:
        """Remove a name if it leads to the open file; the files of others stay."""
        if self.is_named(file, name):
            os.unlink(name, dir_fd=self.fd)

    def remove_made(self) -> None:
        """Remove the files that were made here and still have their first names; never raises."""
        for file in self._files:
            with suppress(OSError):
                self.remove(file, file.path.name)

    def sync(self) -> None:
        """Bring the names to the disk."""
        durable.sync_names(self.fd)

    def close(self) -> None:
        """Close it and its files; doing it again is harmless."""
        for file in self._files:
            file.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _not_ours(path: Path, complaint: str, directory: Path) -> BackupFailed:
    return BackupFailed(
        f"{path} is no longer what this run made: {complaint}; nothing was published",
        facts={"Path": str(path)},
        steps=_steps(directory),
    )


def _steps(directory: Path) -> list[str]:
    place = shlex.quote(str(directory))
    return [
        f"See who may write there, and what else does: ls -lad {place} {place}/*",
        "Let this user alone write there (chmod 700), then run the backup again",
    ]
