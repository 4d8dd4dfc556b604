"""How far a restore has come: never more than is there, whatever the server says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgvow.model import RecordedTable
from pgvow.operations.restore.progress import (
    AFTER_ROWS,
    PHASE,
    Amount,
    RowsWatch,
    RunningCopy,
    in_turn,
    total,
)
from pgvow.progress import Silent, Step
from tests.support.backups import metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.archive import TocEntry

_ORDER = [
    ("COPY public.a (n) FROM stdin;", Amount(10, 100)),
    ("COPY public.b (n) FROM stdin;", Amount(20, 200)),
    ("COPY public.b (n) FROM stdin;", Amount(30, 300)),
    ("COPY public.c (n) FROM stdin;", Amount(40, 400)),
]


@pytest.mark.parametrize(
    ("start", "copying", "expected"),
    [
        (0, RunningCopy("COPY public.a (n) FROM stdin;\n", Amount(3, 30)), (0, Amount(3, 30))),
        (0, RunningCopy("COPY public.c (n) FROM stdin;", Amount(1, 10)), (3, Amount(61, 610))),
        (0, RunningCopy("COPY public.b (n) FROM stdin;", Amount(1, 10)), (1, Amount(11, 110))),
        (2, RunningCopy("COPY public.b (n) FROM stdin;", Amount(1, 10)), (2, Amount(31, 310))),
        (1, RunningCopy("COPY public.c", Amount(1, 10)), (3, Amount(61, 610))),
        (1, RunningCopy("COPY elsewhere", Amount(1, 10)), (1, Amount())),
        (1, RunningCopy("", Amount(1, 10)), (1, Amount())),
    ],
    ids=["first", "last", "one of two alike", "the other", "cut off", "unknown", "hidden"],
)
def test_tables_before_the_running_one_are_counted_as_done(
    start: int, copying: RunningCopy, expected: tuple[int, Amount]
) -> None:
    """All before the table that is being loaded is done; of two alike it is the earlier one."""
    assert expected == in_turn(_ORDER, start, copying)


def test_the_total_is_that_of_the_archive() -> None:
    """Bytes are those of the archive, if they are known."""
    tables = [RecordedTable("public", "a", 1, 8192, bytes=5), RecordedTable("public", "b", 2, 100)]
    assert Amount(3, 105) == total(tables)


class Session:
    """A session that answers each query with the running copies, then with the loaded tables."""

    def __init__(self, looks: list[Any]) -> None:
        self.info = self
        self._answers = [answer for look in looks for answer in look]

    def parameter_status(self, _name: str) -> str:
        """A server of UTF-8."""
        return "UTF8"

    def execute(self, *_arguments: object) -> Session:
        """Return the next answer, or fail if there is none."""
        if not self._answers:
            raise psycopg.OperationalError("gone")
        return self

    def fetchall(self) -> Any:
        """The answer."""
        return self._answers.pop(0)


class Seen(Silent):
    """Keeps the steps it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def update(self, step: Step) -> None:
        """Keep it."""
        self.steps.append(step)


def looked(
    looks: list[Any], monkeypatch: pytest.MonkeyPatch, entries: Sequence[TocEntry] = ()
) -> list[Step]:
    """The steps told by a watch that looks so often and once more, when the server is gone."""
    monkeypatch.setattr("pgvow.operations.restore.progress._LOOK_SECONDS", 0)
    seen = Seen()
    session: Any = Session(looks)
    watch = RowsWatch(session, metadata(), entries, one_by_one=False, progress=seen)
    for _ in range(len(looks) + 1):
        watch.look()
    return seen.steps


def test_parallel_progress_adds_up_and_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running and finished tables are added; it never goes back, nor beyond the whole."""
    steps = looked(
        [
            ([("COPY …", 2, 5000)], []),
            ([], []),
            ([("COPY …", 6, 9000)], [("public", "orders", 3), ("public", "unknown", 1000)]),
            ([], [("public", "orders", 30), ("audit", "log", 11)]),
            ([], [("public", "orders", 3), ("audit", "log", 12)]),
        ],
        monkeypatch,
    )
    whole = 8192 + 16384
    assert [
        Step(PHASE, 5000, whole, "2 of 15 rows"),
        Step(PHASE, 5000, whole, "2 of 15 rows"),
        Step(PHASE, 17192, whole, "9 of 15 rows"),
        Step(PHASE, 23210, whole, "14 of 15 rows"),
        Step(AFTER_ROWS),
    ] == steps
