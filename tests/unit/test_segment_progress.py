"""Progress of the parallel engine, as steps for a display."""

from __future__ import annotations

from pgvow.engine.parallel import SegmentProgress
from pgvow.engine.plan import Task, Work
from pgvow.progress import Silent, Step


class Steps(Silent):
    """Keeps all that it is steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def update(self, step: Step) -> None:
        """Keep it."""
        self.steps.append(step)


def test_progress_has_total_bytes_and_the_share_of_each_table() -> None:
    """Bytes of all, and the table with its share; large objects leave the figures standing."""
    steps = Steps()
    segments = SegmentProgress(steps, {7: 200, 8: 0, 9: 100}, {7: "orders", 8: "empty", 9: "parts"})
    for number, (oid, size) in enumerate([(7, 150), (7, 50), (8, 0), (9, 100)]):
        segments.written(Task(number, Work.COPY, oid, size))
    segments.large_objects()
    assert [
        Step("dump", 150, 300, "75 % of orders"),
        Step("dump", 200, 300, "100 % of orders"),
        Step("dump", 200, 300, "0 % of empty"),
        Step("dump", 300, 300, "100 % of parts"),
        Step("dump", 300, 300, "large objects"),
    ] == steps.steps
