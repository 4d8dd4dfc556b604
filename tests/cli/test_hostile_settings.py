"""A pipe, a folder, a device or an endless number as a settings or history file: never a hang."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands
from tests.support.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WITHIN = 180.0  # a hang, on a busy machine too: no measure of speed


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _long_number(path: Path) -> None:
    path.write_text("space_factor = " + "9" * 5000)


def _deep(path: Path) -> None:
    path.write_text("a = " + "[" * 100_000)


_KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "folder": _folder,
    "endless": _endless,
    "long number": _long_number,
    "deep": _deep,
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("name", [".env", ".env.local", "pgvow.toml"])
def test_a_settings_file_that_is_no_regular_file_exits_2(
    tmp_path: Path, name: str, kind: str
) -> None:
    """Exit 2 with the cause, and not an unexpected error."""
    _KINDS[kind](tmp_path / name)
    shell = Commands(tmp_path, {"PGVOW_PG_BIN": str(programs(18))})
    done = shell.pgvow("backup", timeout=_WITHIN)
    assert 2 == done.code, done.err
    if name == "pgvow.toml":
        assert "pgvow.toml" in done.err


def _huge_line(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def _many_lines(path: Path) -> None:
    path.write_bytes(b'{"id": "x"}\n' * 4_000_000)


def _binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 1000 + b"\n" + b"[" * 200_000 + b"\n" + b"9" * 5000)


@pytest.mark.parametrize(
    "make",
    [_pipe, _folder, _endless, _huge_line, _many_lines, _binary],
    ids=["pipe", "folder", "endless", "line of 1 GB", "many lines", "binary"],
)
def test_a_history_that_is_no_regular_file_does_not_hang(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """``status`` judges without it, in bounded memory; ``history`` ends with a plain answer."""
    folder = tmp_path / "db/backups"
    folder.mkdir(parents=True)
    make(folder / "history.jsonl")
    shell = Commands(
        tmp_path,
        {"PGVOW_PG_BIN": str(programs(18))},
        prefix=("prlimit", f"--data={400 << 20}"),
    )
    done = shell.pgvow("status", timeout=_WITHIN)
    assert done.code in {11, 12}, done.err
    assert shell.pgvow("history", timeout=_WITHIN).code in {0, 1}
    assert "Unexpected error: " not in done.err
    if make in {_pipe, _folder}:
        assert "judged by the backups alone" in done.out


def test_history_counts_invalid_lines(tmp_path: Path) -> None:
    """``history`` tells how many it passed over, also if no run is left to be shown."""
    folder = tmp_path / "db/backups"
    folder.mkdir(parents=True)
    (folder / "history.jsonl").write_bytes(b"no run\n" + b"9" * 3_000_000 + b'\n{"id": 1}\n')
    shell = Commands(tmp_path, {"PGVOW_PG_BIN": str(programs(18))})
    done = shell.pgvow("history")
    assert "No runs are recorded" in done.out
    assert "3 lines of the history could not be read" in done.out
    listed = shell.pgvow("history", "--json")
    assert [] == listed.json
    assert "3 lines of the history could not be read" in listed.err


def test_a_run_mark_that_is_a_pipe_is_passed_over(tmp_path: Path) -> None:
    """A pipe in the place of a live run's mark is passed over."""
    folder = tmp_path / "db/backups"
    folder.mkdir(parents=True)
    os.mkfifo(folder / ".pgvow-run-20260101T000000Z-01234567.json")
    shell = Commands(tmp_path, {"PGVOW_PG_BIN": str(programs(18))})
    assert shell.pgvow("status", timeout=_WITHIN).code in {11, 12}
    assert 0 == shell.pgvow("history", timeout=_WITHIN).code
