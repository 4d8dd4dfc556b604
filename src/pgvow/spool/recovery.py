"""Complete what dead runs left if it is whole, and remove it if it is not.

``publish`` has the table of states. Nothing of a group is looked at without that group's lock, so
that the files of a live run are never touched.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow.errors import AlreadyRunning, PgvowError
from pgvow.file_errors import translated
from pgvow.finished_file import sha256_of
from pgvow.spool import publish
from pgvow.spool.files import BackupFiles, OpenedDirectory, exists
from pgvow.spool.lock import CLEAN_UP, RunLock, is_running
from pgvow.spool.removal import begun, remove
from pgvow.store import names
from pgvow.store.directory import DirectoryStore
from pgvow.store.metadata import MetadataError, read_metadata
from pgvow.store.names import partial

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import GlobalsFacts

# A proof is written long after its backup, by a run that holds no lock of the group's.
_OURS = frozenset({names.DUMP, names.METADATA, names.GLOBALS})


class RecoveryAction(StrEnum):
    """The action taken on the files of a dead run."""

    COMPLETED = "completed"
    REMOVED = "removed"
    LEFT = "left"
    PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Recovered:
    """The action taken on one stem: ``files`` were completed, removed, or are still there."""

    stem: str
    action: RecoveryAction
    files: tuple[Path, ...]
    complaint: str | None = None


def recover(
    directory: Path, clock: Callable[[], datetime], *, holding: RunLock | None = None
) -> list[Recovered]:
    """See to every group whose run is dead; ``holding`` is the lock this run has already.

    Groups with a live run are passed over, and a missing directory has none. An error of one stem
    becomes its ``complaint`` and stops no other. Doing it again is harmless.
    """
    _remove_dead_locks(directory, clock)
    return [
        done
        for group in sorted({_group(stem) for stem in [*_stems(directory), *begun(directory)]})
        for done in _recover_group(RunLock(directory, group, clock, operation=CLEAN_UP), holding)
    ]


def abandoned(directory: Path) -> list[Path]:
    """Find the files that ``recover`` would take on: partial ones of groups without a live run.

    Touches nothing, and a missing directory has none. Raises AccessDenied or PgvowError if the
    directory or a lock cannot be looked at.
    """
    dead = [stem for stem in _stems(directory) if not is_running(directory, _group(stem))]
    # Looked for only now: a run that ended since the first look has published or removed them.
    return [path for stem in dead for path in _partials(BackupFiles(directory, stem))]


def _remove_dead_locks(directory: Path, clock: Callable[[], datetime]) -> None:
    """Remove the locks that killed runs left of databases: no later run may have their names.

    That of a group is taken again by the group's next run.
    """
    for group in filter(None, map(names.locked_source, DirectoryStore(directory).list())):
        with suppress(PgvowError):
            if not is_running(directory, group):
                with RunLock(directory, group, clock, operation=CLEAN_UP):
                    pass  # leaving it removes it


def _partials(files: BackupFiles) -> tuple[Path, ...]:
    return tuple(partial(path) for path in files.published if exists(partial(path)))


def _stems(directory: Path) -> list[str]:
    """Find the stems that have something half-made, and only those that are ours by name."""
    return sorted(set(_ours(DirectoryStore(directory).list())))


def _ours(present: Collection[str]) -> Iterator[str]:
    for name in present:
        if name.endswith(names.PARTIAL):
            split = names.parse_file(name.removesuffix(names.PARTIAL))
            if split and split[1] in _OURS and names.parse_stem(split[0]):
                yield split[0]


def _group(stem: str) -> str:
    return stem.rpartition("_")[0]


def _recover_group(lock: RunLock, holding: RunLock | None) -> list[Recovered]:
    """Recover what a dead run of the lock's group left, with the lock held."""
    directory, group = lock.directory, lock.group
    if holding is not None and holding.is_held and holding.path == lock.path:
        return _recover_stems(directory, group)
    try:
        with lock:
            return _recover_stems(directory, group)
    except AlreadyRunning:
        return []
    except PgvowError as error:
        stems = [stem for stem in _stems(directory) if _group(stem) == group]
        return [_left(BackupFiles(directory, stem), error.cause) for stem in stems]


def _recover_stems(directory: Path, group: str) -> list[Recovered]:
    # Looked up again under the lock: since the first look a live run may have published them.
    stems = [stem for stem in _stems(directory) if _group(stem) == group]
    half_removed = [stem for stem in begun(directory) if _group(stem) == group]
    done = [_finish_removal(directory, stem) for stem in half_removed]
    return [*done, *(_recover_stem(BackupFiles(directory, stem)) for stem in stems)]


def _finish_removal(directory: Path, stem: str) -> Recovered:
    """Finish the removal of a prune that died; one that is being read waits for the next run."""
    files = BackupFiles(directory, stem)
    present = tuple(path for path in (files.dump, files.removing) if exists(path))
    try:
        is_done = remove(directory, stem) is not None
    except PgvowError as error:
        return Recovered(stem, RecoveryAction.LEFT, present, error.cause)
    return Recovered(stem, RecoveryAction.PRUNED if is_done else RecoveryAction.LEFT, present)


def _recover_stem(files: BackupFiles) -> Recovered:
    try:
        if not exists(files.dump) or not _is_publishing(files):
            return _remove(files)
        with OpenedDirectory(files.directory) as directory:
            publication = _publication(files, directory)
            try:
                _see_that_it_is_described(publication)
            except MetadataError as error:
                return _remove(files, f"the dump is left as it is: {error.cause}")
            return _complete(publication)
    except OSError as error:
        return _left(files, translated(error, doing="recover", path=files.dump).cause)
    except PgvowError as error:
        return _left(files, error.cause)


def _is_publishing(files: BackupFiles) -> bool:
    return exists(partial(files.metadata)) and not exists(files.metadata)


def _publication(files: BackupFiles, directory: OpenedDirectory) -> publish.Publication:
    """Open the files to be completed, each by the partial or the final name."""
    opened = {files.dump: directory.open_existing(files.dump.name)}
    for path in (files.globals, files.metadata):
        if exists(partial(path)):
            opened[path] = directory.open_existing(partial(path).name)
    return publish.Publication(files, b"", directory, opened)


def _see_that_it_is_described(publication: publish.Publication) -> None:
    """Raise MetadataError unless the files are those of the partial metadata."""
    files, opened = publication.files, publication.opened
    metadata = read_metadata(DirectoryStore(files.directory), partial(files.metadata).name)
    publication.directory.require(opened[files.metadata], partial(files.metadata).name)
    dump = opened[files.dump]
    wrong = []
    if metadata.backup_file != files.dump.name:
        wrong.append(f"the metadata is of another file: {metadata.backup_file!a}")
    elif dump.size != metadata.backup_size_bytes:
        wrong.append(f"{files.dump.name} has another size than its metadata says")
    elif sha256_of(dump.reader())[0] != metadata.checksum_sha256:
        wrong.append(f"{files.dump.name} has another SHA-256 than its metadata says")
    elif metadata.globals is not None and not _has_globals(publication, metadata.globals):
        wrong.append(f"{files.globals.name} is missing, or not what the metadata says")
    if wrong:
        raise MetadataError(wrong)
    if metadata.globals is None:
        opened.pop(files.globals, None)  # nothing that the metadata speaks of


def _has_globals(publication: publish.Publication, facts: GlobalsFacts) -> bool:
    """Return whether the globals are whole, by the partial or the final name."""
    path = publication.files.globals
    file = publication.opened.get(path)
    stated = (facts.checksum_sha256, facts.size_bytes)
    if facts.file != path.name or (file is None and not exists(path)):
        return False
    if file is not None:
        return sha256_of(file.reader()) == stated
    with DirectoryStore(path.parent).open(path.name) as finished:
        return sha256_of(finished) == stated


def _complete(publication: publish.Publication) -> Recovered:
    files = publication.files
    publish.run(publish.COMPLETING, publication)
    _clear(files)
    done = tuple(path for path in files.published if exists(path))
    return Recovered(files.stem, RecoveryAction.COMPLETED, done)


def _remove(files: BackupFiles, complaint: str | None = None) -> Recovered:
    return Recovered(files.stem, RecoveryAction.REMOVED, _clear(files), complaint)


def _clear(files: BackupFiles) -> tuple[Path, ...]:
    """Remove the partial files, the metadata's last: the states differ by it."""
    partials = _partials(files)
    for path in partials:
        path.unlink()
    return partials


def _left(files: BackupFiles, complaint: str) -> Recovered:
    return Recovered(files.stem, RecoveryAction.LEFT, _partials(files), complaint)
