"""A snapshot with a concurrent write, and the pages that seem unchanged to a later backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.postgres.snapshot import Deadline, OwnLocks, end_transaction, persist

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgvow.model import SnapshotFacts
    from pgvow.postgres.connection import ConnectionTarget, Session

_NEWER = """
SELECT DISTINCT (page_header(get_raw_page('t', block))).lsn > %(position)s::pg_lsn
FROM (
  SELECT ((ctid::text::point)[0])::integer AS block FROM t WHERE xmin::text::bigint >= %(xmax)s
) AS unseen
"""


class _WrittenMeanwhile(OwnLocks):
    """Locks that let somebody write as soon as the snapshot is there."""

    def __init__(self, session: Session, write: Callable[[], None]) -> None:
        super().__init__(session)
        self._write = write

    def adopt(self, snapshot: str) -> None:
        """Let them write."""
        super().adopt(snapshot)
        self._write()


def facts_while_written(target: ConnectionTarget, write: Callable[[], None]) -> SnapshotFacts:
    """Take a snapshot, have ``write`` called just after it, and return the recorded facts."""
    with target.connect("test") as session:
        locks = _WrittenMeanwhile(session, write)
        held = persist(session, locks, deadline=Deadline.after(60), watched=False)
        end_transaction(session)
    assert held.facts is not None
    return held.facts


def pages_are_newer(session: Session, facts: SnapshotFacts) -> set[bool]:
    """Whether pages of table t with rows that the snapshot does not see are newer than it."""
    chosen = {"position": facts.wal_position, "xmax": facts.xmax}
    return {newer for (newer,) in session.execute(_NEWER, chosen)}
