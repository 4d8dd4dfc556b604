"""The rows in which two tables differ: right for any rows, in bounded memory, in private files."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.operations.compare import row_differences
from pgvow.operations.compare.output import parents_first
from pgvow.operations.compare.row_differences import RowShape, RowState, TableDifferences
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.operations.compare.row_differences import RowCounts, RowDifference

_KEYED, _WHOLE = RowShape(2, (0,)), RowShape(2)
_FIELDS = st.sampled_from([b"", b"a", b"b", b"\\N", b"10", b"9", b"aa"])
_UNIQUE = st.dictionaries(_FIELDS, _FIELDS).map(
    lambda rows: [key + b"\t" + value for key, value in rows.items()]
)
_ANY = st.lists(st.tuples(_FIELDS, _FIELDS).map(b"\t".join), max_size=12)


def _compare(
    ours: list[bytes], theirs: list[bytes], shape: RowShape, folder: Path, *, counts: bool = False
) -> tuple[list[RowDifference], RowCounts]:
    def side(rows: list[bytes]) -> Iterator[list[bytes]]:
        yield rows[:3]
        yield rows[3:]

    differences = TableDifferences(
        lambda: side(ours), lambda: side(theirs), shape, folder, only_counts=counts, size=0
    )
    return list(differences.each()), differences.counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the runs."""
    return tmp_path_factory.mktemp("runs")


@given(_UNIQUE, _UNIQUE)
def test_rows_are_compared_by_their_keys(
    folder: Path, ours: list[bytes], theirs: list[bytes]
) -> None:
    """As two dictionaries would be; by digests it is the same numbers."""
    left, right = (dict(row.split(b"\t") for row in rows) for rows in (ours, theirs))
    expected = {
        RowState.ONLY_IN_BACKUP: len(left.keys() - right.keys()),
        RowState.ONLY_IN_DATABASE: len(right.keys() - left.keys()),
        RowState.DIFFERENT: sum(left[key] != right[key] for key in left.keys() & right.keys()),
    }
    for counts in (False, True):
        rows, totals = _compare(ours, theirs, _KEYED, folder, counts=counts)
        assert +Counter(expected) == Counter(row.state for row in rows)
        assert (len(ours), len(theirs)) == (totals.in_backup, totals.in_database)
        assert (left == right) == totals.equal
    rows, _ = _compare(ours, theirs, _KEYED, folder)
    keys = [(row.backup or row.database or b"").split(b"\t")[0] for row in rows]
    assert sorted(keys) == keys
    assert all(row.is_unique for row in rows)


@given(_ANY, _ANY)
def test_rows_without_a_key_are_compared_as_a_multiset(
    folder: Path, ours: list[bytes], theirs: list[bytes]
) -> None:
    """Each copy counts; none is called different."""
    rows, _ = _compare(ours, theirs, _WHOLE, folder)
    missing = Counter(row.backup for row in rows if row.state is RowState.ONLY_IN_BACKUP)
    more = Counter(row.database for row in rows if row.state is RowState.ONLY_IN_DATABASE)
    assert Counter(ours) - Counter(theirs) == missing
    assert Counter(theirs) - Counter(ours) == more
    assert len(rows) == missing.total() + more.total()


@given(_ANY, _ANY)
def test_several_rows_of_one_key_keep_the_numbers_right(
    folder: Path, ours: list[bytes], theirs: list[bytes]
) -> None:
    """Rows are paired, and the rest is of one side; a key of several rows is marked."""
    rows, totals = _compare(ours, theirs, _KEYED, folder)
    assert len(theirs) == len(ours) - totals.only_in_backup + totals.only_in_database
    assert (Counter(ours) == Counter(theirs)) == totals.equal
    several = {
        key
        for side in (ours, theirs)
        for key, count in Counter(row.split(b"\t")[0] for row in side).items()
        if count > 1
    }
    for row in rows:
        assert ((row.backup or row.database or b"").split(b"\t")[0] in several) != row.is_unique


def test_many_runs_are_merged_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a few rows, merged two at a time over many levels: no row is lost or moved."""
    monkeypatch.setattr(row_differences, "_RUN_ROWS", 3)
    monkeypatch.setattr(row_differences, "_RUNS_AT_ONCE", 2)
    modes = set()
    create = row_differences.create_private

    def noted(path: Path) -> BinaryIO:
        file = create(path)
        modes.add(path.stat().st_mode & 0o777)
        return file

    monkeypatch.setattr(row_differences, "create_private", noted)
    ours = [b"%d\tx" % (number * 7919 % 1000) for number in range(1000)]
    rows, counts = _compare(ours, [], _KEYED, tmp_path)
    assert sorted(ours) == [row.backup for row in rows]
    assert 1000 == counts.only_in_backup
    assert {0o600} == modes
    assert [] == list(tmp_path.iterdir())


def test_equal_tables_make_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order of rows: what is equal costs no disk."""
    monkeypatch.setattr(row_differences, "_RUN_ROWS", 1)
    rows = [b"%d\tx" % number for number in range(50)]
    assert [] == _compare(rows, rows[::-1], _KEYED, tmp_path)[0]
    assert [] == list(tmp_path.iterdir())


_ALL_DIFFERENT = """
import sys
from pathlib import Path
from pgvow.operations.compare.row_differences import RowShape, TableDifferences

def side(value):
    for start in range(0, 400_000, 1000):
        yield [b"%d\\t%s" % (number, value * 150) for number in range(start, start + 1000)]

differences = TableDifferences(
    lambda: side(b"a"), lambda: side(b"b"), RowShape(2, (0,)), Path(sys.argv[1]),
    only_counts=False, size=1 << 30,
)
count = sum(1 for _ in differences.each())
# ru_maxrss would be the parent's, if that was larger when it forked.
status = Path("/proc/self/status").read_text()
print(count, status.split("VmHWM:")[1].split()[0])
"""


def test_memory_is_bounded_if_every_row_differs(tmp_path: Path) -> None:
    """Two sides of 63 MB of text each are compared in less than 100 MB of memory."""
    done = subprocess.run(
        [sys.executable, "-c", _ALL_DIFFERENT, str(tmp_path)],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        check=True,
        timeout=600,
    )
    count, kilobytes = map(int, done.stdout.split())
    assert 400_000 == count
    assert kilobytes < 100 << 10


def test_referenced_tables_come_first() -> None:
    """Of foreign keys in a circle the order given is kept; one upon itself is none."""
    assert [3, 2, 1] == parents_first([1, 2, 3], [(1, 2), (2, 3), (2, 2)])
    assert [1, 2] == parents_first([1, 2], [(1, 2), (2, 1)])
