"""One run per database and directory at a time, with real processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import AlreadyRunning, PgvowError
from pgvow.spool import RunLock, is_running
from tests.support import backups, children

if TYPE_CHECKING:
    from pathlib import Path

_GROUP = "shop_dev"
_NAME = ".shop_dev.lock"

# Holds the lock until it is killed, or told to end by its standard input.
_HOLDER = """
    import sys
    from pathlib import Path
    from pgvow.spool import RunLock
    from tests.support import backups
    operation = sys.argv[3] if sys.argv[3:] else "backup"
    with RunLock(Path(sys.argv[1]), sys.argv[2], backups.clock, operation=operation):
        print("ready", flush=True)
        sys.stdin.read()
"""

# Takes the lock again and again; two holders at once would meet at the marker.
_CONTENDER = """
    import os, sys
    from pathlib import Path
    from pgvow.errors import AlreadyRunning
    from pgvow.spool import RunLock
    from tests.support import backups
    directory, wanted = Path(sys.argv[1]), int(sys.argv[2])
    marker = directory / "held"
    while wanted:
        try:
            with RunLock(directory, "shop_dev", backups.clock):
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                marker.unlink()
                wanted -= 1
        except AlreadyRunning:
            pass
"""


def test_the_lock_file_names_process_host_start_and_purpose(tmp_path: Path) -> None:
    """The file has process, host, start and purpose; 0600."""
    with RunLock(tmp_path, _GROUP, backups.clock, operation="restore"):
        path = tmp_path / _NAME
        expected = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": "2025-01-27T14:30:00Z",
            "operation": "restore",
        }
        assert expected == json.loads(path.read_bytes())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_lock_file_is_removed_with_the_lock(tmp_path: Path) -> None:
    """The file goes with the lock, whether the work succeeded or not."""
    with RunLock(tmp_path, _GROUP, backups.clock) as held:
        assert held.is_held
    assert not held.is_held
    with pytest.raises(KeyError), held:
        raise KeyError
    assert set() == backups.contents(tmp_path)


def test_a_second_run_exits_9_and_names_the_holder(tmp_path: Path) -> None:
    """The error has exit code 9, the holder's facts, and steps; the holder is not harmed."""
    child = children.start(children.command(_HOLDER, tmp_path, _GROUP))
    try:
        with pytest.raises(AlreadyRunning) as caught, RunLock(tmp_path, _GROUP, backups.clock):
            pass
        assert is_running(tmp_path, _GROUP)
        note = json.loads((tmp_path / _NAME).read_bytes())
    finally:
        children.end(child)
    expected = {
        "Process": str(child.pid),
        "Since": note["started"],
        "Host": socket.gethostname(),
        "Operation": "backup",
        "Lock file": str(tmp_path / _NAME),
    }
    assert expected == caught.value.facts
    assert caught.value.status == 9
    assert str(child.pid) in caught.value.steps[0]


def test_a_run_waits_for_a_clean_up(tmp_path: Path) -> None:
    """A clean-up makes no backup fail, only wait; nor does it wait itself."""
    child = children.start(children.command(_HOLDER, tmp_path, _GROUP, "clean-up"))
    threading.Timer(0.5, children.end, [child]).start()
    begun = time.monotonic()
    with (
        pytest.raises(AlreadyRunning),
        RunLock(tmp_path, _GROUP, backups.clock, operation="clean-up"),
    ):
        pass
    with RunLock(tmp_path, _GROUP, backups.clock):
        assert time.monotonic() - begun >= 0.4


def test_the_lock_of_a_killed_run_is_taken(tmp_path: Path) -> None:
    """A run killed with ``kill -9`` leaves its file, and the next run takes the lock."""
    children.end(children.start(children.command(_HOLDER, tmp_path, _GROUP)))
    assert {_NAME} == backups.contents(tmp_path)
    assert not is_running(tmp_path, _GROUP)
    with RunLock(tmp_path, _GROUP, backups.clock):
        assert os.getpid() == json.loads((tmp_path / _NAME).read_bytes())["pid"]


def test_a_longer_note_of_a_dead_run_is_replaced(tmp_path: Path) -> None:
    """A dead run's note does not show through the next one's."""
    (tmp_path / _NAME).write_text("x" * 10_000)
    with RunLock(tmp_path, _GROUP, backups.clock):
        json.loads((tmp_path / _NAME).read_bytes())


def test_the_lock_covers_one_database_environment_and_directory(tmp_path: Path) -> None:
    """The lock is of one database, in one environment, in one directory."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with (
        RunLock(tmp_path, "shop_dev", backups.clock),
        RunLock(tmp_path, "shop_prod", backups.clock),
        RunLock(elsewhere, "shop_dev", backups.clock),
    ):
        pass


def test_the_same_process_cannot_take_the_lock_twice(tmp_path: Path) -> None:
    """A thread of ours cannot slip by; and being refused does not lose the first lock."""
    with RunLock(tmp_path, _GROUP, backups.clock):
        with pytest.raises(AlreadyRunning), RunLock(tmp_path, _GROUP, backups.clock):
            pass
        assert is_running(tmp_path, _GROUP)


@pytest.mark.parametrize("note", [b"", b"[]", b"\xff", b"[" * 4000, b'{"pid": null}', b"{"])
def test_an_unreadable_note_does_not_hide_the_lock(tmp_path: Path, note: bytes) -> None:
    """Whatever stands in the file, the lock is held by its holder."""
    with RunLock(tmp_path, _GROUP, backups.clock):
        (tmp_path / _NAME).write_bytes(note)
        with pytest.raises(AlreadyRunning) as caught, RunLock(tmp_path, _GROUP, backups.clock):
            pass
    assert caught.value.facts["Process"] in {"unknown", "None"}
    assert "fuser" in caught.value.steps[0]


def test_contended_lock_has_one_holder(tmp_path: Path) -> None:
    """Contended by four processes, while its file comes and goes, it has one holder."""
    argv = children.command(_CONTENDER, tmp_path, 50)
    environment = children.environment()
    running = [subprocess.Popen(argv, env=environment) for _ in range(4)]
    assert [0] * 4 == [child.wait(timeout=600) for child in running]
    assert set() == backups.contents(tmp_path)


def test_a_lock_on_a_removed_file_is_retried_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is opened, its holder removes it, we lock it: we must try again by name."""
    path = tmp_path / _NAME
    real = fcntl.flock
    opened: list[int] = []

    def flock(fd: int, kind: int) -> None:
        if not opened:
            path.unlink()
        opened.append(fd)
        real(fd, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunLock(tmp_path, _GROUP, backups.clock):
        assert len(opened) == 2
        assert is_running(tmp_path, _GROUP)


def test_release_never_removes_another_run_s_file(tmp_path: Path) -> None:
    """If our file was removed and another run made its own, that one stays."""
    with RunLock(tmp_path, _GROUP, backups.clock):
        (tmp_path / _NAME).unlink()
        child = children.start(children.command(_HOLDER, tmp_path, _GROUP))
    try:
        assert is_running(tmp_path, _GROUP)
    finally:
        children.end(child)


def test_is_running_does_not_fail_a_starting_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``is_running`` holds the lock briefly; a run that starts then waits for it."""
    path = tmp_path / _NAME
    path.touch()
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
    with RunLock(tmp_path, _GROUP, backups.clock):
        assert is_running(tmp_path, _GROUP)
    os.close(asking)


def test_is_running_leaves_nothing_behind(tmp_path: Path) -> None:
    """Asking makes no file, in a directory that is there or not."""
    assert not is_running(tmp_path, _GROUP)
    assert not is_running(tmp_path / "gone", _GROUP)
    assert set() == backups.contents(tmp_path)


def test_child_processes_do_not_inherit_the_lock(tmp_path: Path) -> None:
    """A ``pg_dump`` that outlives us must not keep the next run out."""
    with RunLock(tmp_path, _GROUP, backups.clock) as held:
        fd = held._fd
        assert fd is not None
        assert not os.get_inheritable(fd)


def test_a_failure_to_write_the_note_releases_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told as such, and the lock is not left taken."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(PgvowError) as caught, RunLock(tmp_path, _GROUP, backups.clock):
            pass
    assert caught.value.status == 5
    assert set() == backups.contents(tmp_path)
    with RunLock(tmp_path, _GROUP, backups.clock):
        pass


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the kernel cannot lock, there is no run without a lock, and no file left open."""
    asked: list[int] = []

    def refuse(fd: int, _: int) -> None:
        asked.append(fd)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(PgvowError, match="No locks available"),
        RunLock(tmp_path, _GROUP, backups.clock),
    ):
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(asked[0])


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """Nobody makes us write into a file of his choice by a link of the lock's name."""
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / _NAME).symlink_to(target)
    with pytest.raises(PgvowError, match="cannot lock"), RunLock(tmp_path, _GROUP, backups.clock):
        pass
    assert target.read_text() == "kept"


def test_a_missing_directory_raises_our_error(tmp_path: Path) -> None:
    """An error of the file system comes with the path."""
    gone = tmp_path / "gone"
    with (
        pytest.raises(PgvowError, match="No such file") as caught,
        RunLock(gone, _GROUP, backups.clock),
    ):
        pass
    assert {"Path": str(gone / _NAME)} == caught.value.facts


def test_releasing_in_a_removed_directory_does_not_raise(tmp_path: Path) -> None:
    """Giving the lock back never raises: it would hide an earlier error."""
    directory = tmp_path / "backups"
    directory.mkdir()
    with RunLock(directory, _GROUP, backups.clock):
        (directory / _NAME).unlink()
        directory.rmdir()
    assert not directory.exists()
