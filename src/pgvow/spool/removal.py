"""From a backup to nothing, in steps; a crash between any two is finished by the next run.

The files in the directory after each step, and the action of the next run::

    after the step    metadata   dump   globals, proof, notes   next run   listed
    ────────────────  ─────────  ─────  ─────────────────────   ─────────  ──────
    (before)          final      there  there                   -          yes
    rename_metadata   removing   there  there                   finishes   no
    remove_dump       removing   -      there                   finishes   no
    remove_rest       removing   -      -                       finishes   no
    remove_metadata   -          -      -                       -          no

Without metadata an empty file takes its place as the sign of a removal. It happens with the lock of
the backup's group held, and with the dump locked against its readers.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from pgvow import durable
from pgvow.errors import UnreadableFile
from pgvow.file_errors import refusals
from pgvow.spool.files import BackupFiles, exists
from pgvow.store import names
from pgvow.store.directory import DirectoryStore, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def rename_metadata(files: BackupFiles) -> None:
    """Take the metadata's name away: from here on there is no backup."""
    if exists(files.metadata):
        files.metadata.rename(files.removing)
    elif not exists(files.removing):
        with durable.create(files.removing):
            pass
    durable.sync_directory(files.directory)


def remove_dump(files: BackupFiles) -> None:
    """Remove the archive."""
    files.dump.unlink(missing_ok=True)


def remove_rest(files: BackupFiles) -> None:
    """Remove the files beside it."""
    for path in (files.globals, files.proof, files.notes):
        if not _is_folder(path):  # not of our making: it stays, and stops nothing
            path.unlink(missing_ok=True)


def sync_names(files: BackupFiles) -> None:
    """Bring the directory to the disk: the sign of a removal goes last."""
    durable.sync_directory(files.directory)


def remove_metadata(files: BackupFiles) -> None:
    """Remove the last file."""
    files.removing.unlink(missing_ok=True)


Step: TypeAlias = "Callable[[BackupFiles], None]"
STEPS: tuple[Step, ...] = (
    rename_metadata,
    remove_dump,
    remove_rest,
    sync_names,
    remove_metadata,
    sync_names,
)


def remove(directory: Path, stem: str, *, may_go: Callable[[], bool] = lambda: True) -> int | None:
    """Remove a backup; returns the bytes freed, or None if it stays.

    It stays if it is being read, or if ``may_go``, called when it no longer can be, returns False.
    The caller holds the group's lock. Raises AccessDenied or PgvowError of the file system.
    """
    files = BackupFiles(directory, stem)
    if not exists(files.dump):
        return _remove(files)
    with being_removed(files.dump) as is_free:
        return _remove(files) if is_free and may_go() else None


def _remove(files: BackupFiles) -> int:
    paths = (
        *(files.dump, files.globals, files.proof, files.notes),
        *(files.metadata, files.removing),
    )
    _refuse_folders(paths)
    size = sum(path.lstat().st_size for path in paths if exists(path))
    with refusals("remove", files.dump):
        for step in STEPS:
            step(files)
    return size


def _refuse_folders(paths: Sequence[Path]) -> None:
    """Raise UnreadableFile, before the first step, for a folder in the place of a file."""
    *others, metadata, removing = paths
    for path in (*others, metadata) if exists(metadata) or not exists(removing) else ():
        if _is_folder(path):
            raise UnreadableFile(
                f"cannot remove {path}: it is a folder",
                facts={"File": str(path)},
                steps=[f"Look into it, and move it elsewhere: ls -la {shlex.quote(str(path))}"],
            )


def _is_folder(path: Path) -> bool:
    return exists(path) and stat.S_ISDIR(path.lstat().st_mode)


def begun(directory: Path) -> list[str]:
    """Find the stems whose removal has begun; a missing directory has none."""
    present = DirectoryStore(directory).list()
    suffix = names.METADATA + names.REMOVING
    stems = (name.removesuffix(suffix) for name in present if name.endswith(suffix))
    # If the metadata is there as well, there is a backup, whatever the other file is.
    return sorted(
        stem for stem in stems if names.parse_stem(stem) and stem + names.METADATA not in present
    )


@contextmanager
def being_removed(dump: Path) -> Iterator[bool]:
    """Lock a dump against its readers, to remove it; yields False if it is being read.

    Does not wait. Raises AccessDenied or PgvowError if it cannot be opened or locked.
    """
    with refusals("lock", dump):
        fd = _open_to_lock(dump)
    try:
        with refusals("lock", dump):
            is_free = try_lock(fd)
        yield is_free
    finally:
        os.close(fd)


def _open_to_lock(dump: Path) -> int:
    """Open for writing if that is allowed: NFS needs it for an exclusive lock, see flock(2)."""
    try:
        return os.open(dump, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return os.open(dump, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(dump, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
