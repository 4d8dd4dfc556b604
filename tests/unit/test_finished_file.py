"""The files of finished backups: opened at one place, which never waits, errors say which file."""

from __future__ import annotations

import ast
import os
import socket
import sys
from pathlib import Path

import pytest

from pgvow.errors import AccessDenied, NoResources, PgvowError, UnreadableFile
from pgvow.finished_file import open_finished, read_finished, read_refusal, size_of

_SOURCE = Path(__file__).resolve().parents[2] / "src/pgvow"
_READS_NOTHING = frozenset({"cli", "engine", "settings"})
"""Packages that read no file of a finished backup: they have streams, settings and drafts."""
_OTHERS = {
    "operations/init.py": "the settings file that it adds to",
    "finished_file.py": "the one place",
    "small_file.py": "settings",
    "postgres/copy_out.py": "a pipe of ours",
    "postgres/process.py": "/dev/null",
    "postgres/connection.py": "a trace of ours",
    "postgres/private_directories.py": "folders of ours",
    "postgres/watchdog.py": "/proc",
    "postgres/sql/__init__.py": "the package's own queries",
    "postgres/throwaway.py": "a server of ours",
    "operations/demo/__init__.py": "the package's own data, and a copy to damage",
    "operations/restore/selection.py": "the user's map of roles",
    "operations/compare/output.py": "statements of ours, spooled by table",
    "operations/compare/row_differences.py": "sorted runs of ours",
    "operations/salvage.py": "a damaged dump, read as far as the disk gives it",
    "operations/core/set_aside.py": "rows that a rescue keeps, for writing",
    "operations/schedule/times.py": "/etc/localtime",
    "operations/recorded/side_effects.py": "the log of runs, for writing",
    "operations/schedule/scheduler.py": "the scheduler's marks",
    "operations/schedule/systemd_units.py": "units of ours",
    "operations/health/metrics.py": "written, not read",
    "operations/notify/state.py": "marks of ours",
    "spool/removal.py": "the lock on a dump; nothing is read",
    "spool/draft.py": "a draft, by descriptor",
    "durable.py": "new files, and directories",
    "store/history.py": "the history",
    "spool/lock.py": "locks",
    "spool/files.py": "a draft, by descriptor",
    "store/directory.py": "the lock on a dump, and new files, for writing",
    "store/port.py": "a private copy, for writing",
}
_OPENERS = frozenset({"read_text", "read_bytes", "fdopen", "read_small"})


def _opens(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Call) and _is_opener(node) for node in ast.walk(tree))


def _is_opener(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id == "open" or function.id in _OPENERS
    if not isinstance(function, ast.Attribute):
        return False
    if function.attr in _OPENERS:
        return True
    modes = [one.value for one in call.args if isinstance(one, ast.Constant)]
    is_os = isinstance(function.value, ast.Name) and function.value.id in {"os", "io"}
    reads = any(mode in modes for mode in ("r", "rb", "r+b"))
    return function.attr == "open" and (is_os or reads or not call.args)


def _opening() -> set[str]:
    return {
        path.relative_to(_SOURCE).as_posix()
        for path in _SOURCE.rglob("*.py")
        if _opens(ast.parse(path.read_text("utf-8")))
    }


def test_no_other_module_opens_files_of_backups() -> None:
    """Every module that opens a file is listed, with its file: no backup's file is among them."""
    opening = {name for name in _opening() if name.split("/")[0] not in _READS_NOTHING}
    assert set() == opening - _OTHERS.keys()
    assert set() == _OTHERS.keys() - opening, "they open nothing any more"


def test_the_search_detects_each_way_to_open_a_file() -> None:
    """Each way to open a file for reading is noticed, and opening by the one place is not."""
    for text in ("p.open('rb')", "p.open()", "os.open(p, 0)", "open(p)", "p.read_bytes()"):
        assert _opens(ast.parse(text)), text
    assert not _opens(ast.parse("open_finished(p).read()"))
    assert "finished_file.py" in _opening()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_pipe, _loop, _socket, _device, Path.mkdir])
def test_a_file_that_is_not_regular_is_unreadable(make: object, tmp_path: Path) -> None:
    """At once, by name and cause."""
    path = tmp_path / "it.dump"
    make(path)  # type: ignore[operator]
    for read in (open_finished, size_of, lambda one: read_finished(one, largest=9)):
        with pytest.raises(UnreadableFile, match=f"^cannot read {path}: ") as caught:
            read(path)  # type: ignore[operator]
        assert str(path) == caught.value.facts["File"]
        assert caught.value.steps


def test_a_too_long_name_is_unreadable_and_a_missing_file_missing(tmp_path: Path) -> None:
    """It is unreadable; a missing file, or one below a file, is missing."""
    with pytest.raises(UnreadableFile, match="File name too long"):
        open_finished(tmp_path / ("x" * 300))
    (tmp_path / "file").touch()
    for missing in ("gone", "file/gone"):
        with pytest.raises(FileNotFoundError):
            open_finished(tmp_path / missing)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_read_error_names_file_and_offset() -> None:
    """Linux answers EIO if a process has no memory: as a bad sector does."""
    memory = Path("/proc/self/mem")
    with open_finished(memory) as file:
        with pytest.raises(UnreadableFile, match=f"^cannot read {memory} at byte 16: Input/output"):
            file.read_at(16, 4)
        file.seek(32)
        with pytest.raises(UnreadableFile, match=f"^cannot read {memory} at byte 32: ") as caught:
            file.read(4)
    assert {"File": str(memory), "Offset": "32"} == caught.value.facts
    assert any("dmesg" in step for step in caught.value.steps)


def test_a_file_is_read_by_position_within_the_limit(tmp_path: Path) -> None:
    """By position, without moving the position, and no more than is allowed."""
    path = tmp_path / "it.dump"
    path.write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(path)
    with open_finished(tmp_path / "link") as file:
        assert (b"45", b"0123", 10) == (file.read_at(4, 2), file.read(4), file.size)
        assert 8 == file.seek(-2, os.SEEK_END)
        assert b"89" == file.read()
    assert (b"0123456789", None) == (
        read_finished(path, largest=10),
        read_finished(path, largest=9),
    )
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.raw._fd)


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [(5, UnreadableFile, 8), (13, AccessDenied, 4), (24, NoResources, 1), (107, PgvowError, 1)],
)
def test_only_errors_of_the_file_make_it_unreadable(
    number: int, kind: type[PgvowError], status: int
) -> None:
    """Only an error of the file itself makes it unreadable; all name it."""
    error = read_refusal(OSError(number, os.strerror(number)), "/srv/it.dump", offset=7)
    assert (kind, status) == (type(error), error.status)
    assert "/srv/it.dump" in error.cause
    assert os.strerror(number) in error.cause
