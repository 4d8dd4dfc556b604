"""The protocol of an engine: the options of a dump, and the archive that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pgvow.model import Compress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.archive import ArchiveContents
    from pgvow.model import RecordedTable, SnapshotFacts
    from pgvow.postgres.snapshot import Deadline
    from pgvow.spool import OpenedFile


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """How to dump: by the parallel engine with ``jobs`` workers, or by pg_dump itself.

    ``selection`` are options of pg_dump that include or exclude objects. ``statistics`` asks for
    the planner's statistics too, which pg_dump has from 18 on.
    """

    parallel: bool = False
    jobs: int = 1
    compress: Compress = Compress()  # noqa: RUF009 - frozen
    selection: tuple[str, ...] = ()
    statistics: bool = False


def is_parallel(engine: str | None, jobs: int) -> bool:
    """Return whether the parallel engine is meant: by its name, else by the number of workers."""
    return jobs > 1 if engine is None else engine == "parallel"


@dataclass(frozen=True, slots=True)
class FilledArchive:
    """A complete archive: the engine's name, and ``facts``, the server's counts by oid.

    An engine that wrote the archive itself returns its ``contents``, and ``body_digest``, XXH3-128
    of all bytes behind the table of contents: a second reading has only to find the same bytes.
    """

    engine: str
    facts: Mapping[int, RecordedTable]
    snapshot: SnapshotFacts | None = None
    contents: ArchiveContents | None = None
    body_digest: str | None = None


class Engine(Protocol):
    """A way to fill an archive from a snapshot that it takes itself."""

    def dump(self, archive: OpenedFile, *, deadline: Deadline) -> FilledArchive:
        """Lock the tables, take a snapshot, and fill the open file ``archive``.

        Raises BeginAnewError if a migration came between the locks and the snapshot: a second call
        overwrites the file. Raises LockTableFullError if the server has no room for all the locks;
        LockNotGranted, BackupFailed, NoSpace and AccessDenied are final.
        """
