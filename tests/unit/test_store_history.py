"""The run log: one line each, whatever happens to the runs."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.errors import NoSpace
from pgvow.runs import Operation, Outcome, Run
from pgvow.store.history import NAME, OLDER, History, new_run

if TYPE_CHECKING:
    from pathlib import Path

_NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
_BEGIN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pgvow.runs import Operation
from pgvow.store.history import History, new_run
history = History(Path(sys.argv[1]))
run = new_run(Operation.BACKUP, datetime.now(UTC))
history.begin(run)
print(run.id, flush=True)
"""
_DIE = _BEGIN + "sys.stdin.read()"
_MANY = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from pgvow.runs import Operation, Outcome
from pgvow.store.history import History, new_run
history = History(Path(sys.argv[1]), largest=20_000)
for number in range(50):
    run = new_run(Operation.VERIFY, datetime.now(UTC))
    history.begin(run)
    history.bury()
    history.finish(replace(run, outcome=Outcome.SUCCEEDED, cause="x" * 100))
"""


def ended(run: Run, **more: object) -> Run:
    """The same run, as it ended."""
    return replace(run, outcome=Outcome.SUCCEEDED, ended=_NOW, exit_code=0, **more)  # type: ignore[arg-type]


def test_a_finished_run_is_one_line_and_has_no_mark(tmp_path: Path) -> None:
    """All that is known of a run comes back; its mark is gone, and the file is its owner's."""
    history = History(tmp_path)
    run = new_run(Operation.BACKUP, _NOW)
    history.begin(run)
    done = ended(
        run, environment="prod", database="shop é\udcff", file="a.dump", bytes=7, rows=3,
        level="decoded", warnings=("slow\ndisk",), seconds={"dump": 1.5},
    )  # fmt: skip
    history.finish(done)
    assert (replace(done, database="shop é\\udcff"),) == history.read().runs
    assert 1 == (tmp_path / NAME).read_bytes().count(b"\n")
    assert 0o600 == (tmp_path / NAME).stat().st_mode & 0o777
    assert {NAME} == {path.name for path in tmp_path.iterdir()}


def test_a_live_run_is_running(tmp_path: Path) -> None:
    """While it lives it has no line, and nobody buries it."""
    history = History(tmp_path)
    run = new_run(Operation.PROVE, _NOW)
    history.begin(run)
    assert [] == History(tmp_path).bury()
    assert (run,) == History(tmp_path).read().runs
    assert not (tmp_path / NAME).exists()


def test_a_killed_run_is_recorded_as_dead_once(tmp_path: Path) -> None:
    """kill -9: read says so at once, burying writes its line, and burying again writes none."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DIE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    identity = process.stdout.readline().decode().strip()
    assert [Outcome.RUNNING] == [run.outcome for run in History(tmp_path).read().runs]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (before,) = History(tmp_path).read().runs
    assert (identity, Outcome.DIED) == (before.id, before.outcome)
    assert [before] == History(tmp_path).bury()
    assert [] == History(tmp_path).bury()
    assert (before,) == History(tmp_path).read().runs
    assert 1 == (tmp_path / NAME).read_bytes().count(b"\n")


def test_a_run_killed_after_its_line_has_ended(tmp_path: Path) -> None:
    """Killed between its line and the removal of its mark: it has ended as the line says."""
    history = History(tmp_path)
    run = new_run(Operation.BACKUP, _NOW)
    history.begin(run)
    mark = next(tmp_path.glob(".pgvow-run-*"))
    saved = mark.read_bytes()
    history.finish(ended(run))
    mark.write_bytes(saved)
    assert [Outcome.SUCCEEDED] == [one.outcome for one in history.read().runs]
    assert [] == history.bury()
    assert not mark.exists()


def test_an_empty_mark_is_no_run(tmp_path: Path) -> None:
    """A run that died before it wrote its mark had not begun: it is no run, and goes."""
    mark = tmp_path / ".pgvow-run-20261122T020000Z-0123abcd.json"
    mark.touch()
    assert () == History(tmp_path).read().runs
    assert [] == History(tmp_path).bury()
    assert not mark.exists()


def test_an_unwritable_mark_raises_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: NoSpace, and no mark that others would take for a run that died."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoSpace):
        History(tmp_path).begin(new_run(Operation.VERIFY, _NOW))
    assert [] == list(tmp_path.iterdir())


def test_a_mark_removed_before_its_lock_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a mark's making and its lock somebody may bury it: then another is made."""
    lock, others = fcntl.flock, [History(tmp_path)]

    def late(fd: int, how: int) -> None:
        if others and how == fcntl.LOCK_EX:
            others.pop().bury()
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    history, run = History(tmp_path), new_run(Operation.BACKUP, _NOW)
    history.begin(run)
    assert [] == others
    assert [] == history.bury()
    (found,) = History(tmp_path).read().runs
    assert (run.id, Outcome.RUNNING) == (found.id, found.outcome)


def test_concurrent_writers_tear_and_double_no_line(tmp_path: Path) -> None:
    """Four processes write, bury and rotate at the same time: no line is torn, none is doubled."""
    running = [subprocess.Popen([sys.executable, "-c", _MANY, tmp_path]) for _ in range(4)]
    assert [0, 0, 0, 0] == [process.wait(300) for process in running]
    found = History(tmp_path).read()
    assert 0 == found.broken
    assert len(found.runs) == len({run.id for run in found.runs})
    assert {Outcome.SUCCEEDED} == {run.outcome for run in found.runs}
    assert (tmp_path / OLDER).exists()
    assert (tmp_path / NAME).stat().st_size <= 20_000


def test_the_history_is_rotated_at_its_largest_size(tmp_path: Path) -> None:
    """Beyond its largest size the file is put aside, and the one put aside before goes."""
    history = History(tmp_path, largest=2000)
    for number in range(100):
        run = new_run(Operation.BACKUP, _NOW + timedelta(minutes=number))
        history.begin(run)
        history.finish(ended(run))
    assert 4000 >= sum((tmp_path / name).stat().st_size for name in (NAME, OLDER))
    runs = history.read().runs
    assert 4 < len(runs) < 100
    assert _NOW + timedelta(minutes=99) == runs[-1].started


def test_a_torn_line_is_counted_and_hides_no_other(tmp_path: Path) -> None:
    """A line cut short by a full disk or a kill is counted, and hides no other."""
    history = History(tmp_path)
    for torn in (b'{"id": "2026', b"\xff\xfe", b"[1]", b'{"id": 1, "operation": "backup"}'):
        with (tmp_path / NAME).open("ab") as file:
            file.write(torn)
        run = new_run(Operation.BACKUP, _NOW)
        history.begin(run)
        history.finish(ended(run))
    found = history.read()
    assert (4, 4) == (len(found.runs), found.broken)


@given(st.binary(max_size=300))
def test_reading_any_bytes_never_fails(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Whatever stands in the file, reading gives runs and a number of broken lines."""
    folder = tmp_path_factory.mktemp("history")
    (folder / NAME).write_bytes(data)
    assert () == History(folder).read().runs


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(list(Run.__dataclass_fields__)),
)
def test_a_line_of_wrong_types_is_a_run_or_broken(
    tmp_path_factory: pytest.TempPathFactory, value: object, field: str
) -> None:
    """A line with anything in any place is a run or a broken line."""
    folder = tmp_path_factory.mktemp("history")
    line = {"id": "1", "operation": "backup", "outcome": "failed", "started": _NOW.isoformat()}
    (folder / NAME).write_text(json.dumps({**line, field: value}) + "\n")
    found = History(folder).read()
    assert 1 == len(found.runs) + found.broken
