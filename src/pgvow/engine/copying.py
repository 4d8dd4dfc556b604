"""How far a running pg_dump has come, from what it has written and what the server says."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import psycopg

from pgvow.archive import ArchiveError, read_toc
from pgvow.postgres.sql import query
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.postgres.connection import Session
    from pgvow.postgres.snapshot import Table
    from pgvow.progress import Progress
    from pgvow.store import OpenedFile


class CopyProgress:
    """Reads pg_dump's table of contents for the order, and asks the server which table is its turn.

    pg_dump writes its table of contents before the first row, so the order of the tables is known;
    ``pg_stat_progress_copy`` names the table that is being copied; everything before it is done.
    A failure to find out is never a failure of the backup.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        archive: OpenedFile,
        *,
        monitor: Session,
        progress: Progress,
    ) -> None:
        self._sizes = {table.oid: table.size_bytes for table in tables if table.has_rows}
        self._total = sum(self._sizes.values())
        self._archive = archive
        self._monitor = monitor
        self._progress = progress
        self._before: dict[int, int] = {}
        self._done = 0

    def look(self) -> None:
        """Find out how far the dump has come, and tell."""
        self._before = self._before or self._sizes_before()
        oid, copied = self._copying()
        if oid in self._before:
            done = self._before[oid] + min(copied, self._sizes.get(oid, 0))
            self._done = max(self._done, done)
        self._progress.update(Step(Phase.DUMP, self._done, self._total))

    def _sizes_before(self) -> dict[int, int]:
        """Map each table to the bytes of those before it; empty while pg_dump still plans."""
        try:
            with self._archive.reader() as file:
                order = [entry.oid for entry in read_toc(file).table_data]
        except (OSError, ArchiveError):
            return {}
        sizes = [self._sizes.get(oid, 0) for oid in order]
        return dict(zip(order, accumulate(sizes, initial=0), strict=False))

    def _copying(self) -> tuple[int, int]:
        """Return the oid of the table being copied and the bytes of it, or zeros."""
        try:
            row = self._monitor.execute(query("copy_progress")).fetchone()
        except psycopg.Error:
            return (0, 0)
        return (0, 0) if row is None else (int(row[0]), int(row[1]))
