"""From files being written to a backup, in steps; a crash between any two is mended.

The files in the directory after each step, and the action of the next run (``recovery``)::

    after the step        dump      globals   metadata   next run     listed
    ────────────────────  ────────  ────────  ─────────  ───────────  ──────
    (while dumping)       partial   partial   -          removes      no
    sync_dump             partial   partial   -          removes      no
    write_metadata        partial   partial   partial    removes      no
    refuse_existing       partial   partial   partial    removes      no
    rename_dump           final     partial   partial    completes    no
    rename_globals        final     final     partial    completes    no
    rename_metadata       final     final     final      -            yes

Everything is on the disk before the first rename, so that a file with a final name is whole. The
metadata comes last: without it there is no backup. ``sync_names`` stands between the renames as
only some file systems keep their order through a power failure.

Completing asks for proof: the metadata must decode, and the dump have its size and SHA-256. A dump
that fails that, or has no metadata at all, may belong to others and is never touched.

Every file is open since it was made, and so is the directory. A name counts only if it leads to
the open file, as it was made: looked at before each rename and after it. No rename replaces a file
(``durable.rename_new``), ``refuse_existing`` sees to it that mostly none has to be taken back.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pgvow.errors import BackupFailed
from pgvow.store.names import partial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pgvow.spool.files import BackupFiles, OpenedDirectory, OpenedFile


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication: the metadata's text, and the open file for each final path.

    The metadata's own file joins ``opened`` when it is written; globals may be missing.
    """

    files: BackupFiles
    metadata: bytes
    directory: OpenedDirectory
    opened: dict[Path, OpenedFile] = field(default_factory=dict)


def sync_dump(publication: Publication) -> None:
    """Bring the dump to the disk; the globals already are, since they were written."""
    publication.opened[publication.files.dump].sync()


def write_metadata(publication: Publication) -> None:
    """Write the metadata under its partial name, down to the disk."""
    path = publication.files.metadata
    publication.opened[path] = publication.directory.write_new(
        partial(path).name, publication.metadata
    )


def refuse_existing(publication: Publication) -> None:
    """Raise BackupFailed, before anything is renamed, if a final name is taken."""
    for path in publication.files.published:
        if publication.directory.status(path.name) is not None:
            raise _taken(path)


def sync_names(publication: Publication) -> None:
    """Bring the directory to the disk."""
    publication.directory.sync()


def rename_dump(publication: Publication) -> None:
    """Give the dump its final name."""
    _rename(publication, publication.files.dump)


def rename_globals(publication: Publication) -> None:
    """Give the globals their final name."""
    _rename(publication, publication.files.globals)


def rename_metadata(publication: Publication) -> None:
    """Give the metadata its final name: from here on there is a backup."""
    for path in publication.files.published[:2]:
        if path in publication.opened:
            publication.directory.require(publication.opened[path], path.name)
    _rename(publication, publication.files.metadata)


Step: TypeAlias = "Callable[[Publication], None]"

COMPLETING: tuple[Step, ...] = (rename_globals, sync_names, rename_metadata, sync_names)
STEPS: tuple[Step, ...] = (
    sync_dump,
    write_metadata,
    refuse_existing,
    sync_names,
    rename_dump,
    *COMPLETING,
)


def run(steps: Iterable[Step], publication: Publication) -> None:
    """Take the steps in order; raises OSError or BackupFailed, leaving a state of the table."""
    for step in steps:
        step(publication)


def undo(publication: Publication) -> None:
    """Take renames back while the metadata has not got its name; later there is nothing to undo.

    In reverse, so that a crash in the midst of it leaves a state of the table as well.
    """
    if _has_name(publication, publication.files.metadata):
        return
    for path in (publication.files.globals, publication.files.dump):
        if _has_name(publication, path):
            _take_back(publication, path)


def _has_name(publication: Publication, path: Path) -> bool:
    file = publication.opened.get(path)
    return file is not None and publication.directory.is_named(file, path.name)


def _take_back(publication: Publication, path: Path) -> None:
    try:
        publication.directory.rename_new(path.name, partial(path).name)
    except FileExistsError:  # others have taken the partial name: only ours goes
        publication.directory.remove(publication.opened[path], path.name)


def _rename(publication: Publication, path: Path) -> None:
    """Give an open file its final name; without an open file there is nothing to do."""
    file = publication.opened.get(path)
    if file is None:
        return
    directory = publication.directory
    directory.require_in_place()
    directory.require(file, partial(path).name)
    try:
        directory.rename_new(partial(path).name, path.name)
    except FileExistsError as error:
        raise _taken(path) from error
    _require_after(publication, file, path)


def _require_after(publication: Publication, file: OpenedFile, path: Path) -> None:
    """See that it was our file that got the name, and give the name back if it was not."""
    try:
        publication.directory.require(file, path.name)
    except BackupFailed:
        with suppress(OSError):
            publication.directory.rename_new(path.name, partial(path).name)
        raise


def _taken(path: Path) -> BackupFailed:
    return BackupFailed(
        f"{path} exists already and is not overwritten",
        facts={"Path": str(path)},
        steps=[f"See what made it: ls -l {path}", "Run the backup again: it takes a new name"],
    )
