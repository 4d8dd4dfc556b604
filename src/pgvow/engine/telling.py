"""How far the parallel engine has come, overall and in the table whose turn it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.engine.plan import Task
    from pgvow.progress import Progress


class Telling:
    """Adds up what is written; ``sizes`` and ``names`` are those of the tables, by oid."""

    def __init__(
        self, progress: Progress, sizes: Mapping[int, int], names: Mapping[int, str]
    ) -> None:
        self._progress = progress
        self._sizes = sizes
        self._names = names
        self._total = sum(sizes.values())
        self._done = 0
        self._table = 0
        self._of_table = 0

    def written(self, task: Task) -> None:
        """Take note of a segment that is in the file."""
        if task.oid != self._table:
            self._table, self._of_table = task.oid, 0
        self._done += task.bytes
        self._of_table += task.bytes
        share = 100 * self._of_table // max(1, self._sizes[task.oid])
        # The name last: where there is no room, it is what is cut.
        self._update(f"{share} % of {self._names[task.oid]}")

    def large_objects(self) -> None:
        """Say what it waits for; nobody knows how large they are, so the figures stay."""
        self._done = self._total
        self._update("large objects")

    def _update(self, detail: str) -> None:
        self._progress.update(Step(Phase.DUMP, self._done, self._total, detail))
