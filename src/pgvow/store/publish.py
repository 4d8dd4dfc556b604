"""From files being written to a backup, in steps; a crash between any two is mended (T025, T052).

What stands in the directory, and what the next run (``recovery``) makes of it::

    after the step        dump      globals   metadata   next run     listed
    ────────────────────  ────────  ────────  ─────────  ───────────  ──────
    (while dumping)       partial   partial   -          removes      no
    sync_dump             partial   partial   -          removes      no
    write_metadata        partial   partial   partial    removes      no
    refuse_existing       partial   partial   partial    removes      no
    rename_dump           final     partial   partial    completes    no
    rename_globals        final     final     partial    completes    no
    rename_metadata       final     final     final      -            yes

Everything is on the disk before the first rename, so that what has a final name is whole. The
metadata comes last: without it there is no backup. ``sync_names`` stands between the renames as
only some file systems keep their order through a power failure.

Completing asks for proof: the metadata must decode, and the dump have its size and SHA-256. A dump
that fails that, or has no metadata at all, may be somebody's and is never touched.

Renaming would replace a file that is there already. The stem was free when the draft began, and
its group is locked; ``refuse_existing`` and a look before each rename see to what others do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pgvow.errors import BackupFailed
from pgvow.store import durable
from pgvow.store.files import exists, partial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pgvow.store.files import Files


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be published: the files, the metadata's text, and whether there are globals."""

    files: Files
    metadata: bytes
    has_globals: bool


def sync_dump(publication: Publication) -> None:
    """Bring the dump to the disk; the globals already are, since they were written."""
    durable.sync_file(partial(publication.files.dump))


def write_metadata(publication: Publication) -> None:
    """Write the metadata under its partial name, down to the disk."""
    durable.write_new(partial(publication.files.metadata), publication.metadata)


def refuse_existing(publication: Publication) -> None:
    """Stop before anything is renamed where a final name is taken."""
    for path in publication.files.published:
        _refuse(path)


def sync_names(publication: Publication) -> None:
    """Bring the directory to the disk."""
    durable.sync_directory(publication.files.directory)


def rename_dump(publication: Publication) -> None:
    """Give the dump its final name."""
    _rename(publication.files.dump)


def rename_globals(publication: Publication) -> None:
    """Give the globals their final name."""
    if publication.has_globals:
        _rename(publication.files.globals)


def rename_metadata(publication: Publication) -> None:
    """Give the metadata its final name: from here on there is a backup."""
    _rename(publication.files.metadata)


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
    files = publication.files
    if not exists(partial(files.metadata)):
        return
    renamed = (files.globals, files.dump) if publication.has_globals else (files.dump,)
    for path in renamed:
        if exists(path) and not exists(partial(path)):
            path.rename(partial(path))


def _rename(path: Path) -> None:
    _refuse(path)
    partial(path).rename(path)


def _refuse(path: Path) -> None:
    if exists(path):
        raise BackupFailed(
            f"{path} exists already and is not overwritten",
            facts={"Path": str(path)},
            steps=[f"See what made it: ls -l {path}", "Run the backup again: it takes a new name"],
        )
