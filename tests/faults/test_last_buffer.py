"""The disk is full just before the end: pg_dump loses its last buffer and ends with success."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.disks import mounted, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = [
    pytest.mark.majors(18),
    needs_root,
]

_PAGE = 4096
_ROOM = "64m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose size can be changed."""
    with mounted(tmp_path / "disk", f"size={_ROOM}") as folder:
        yield folder


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A shell with a database whose dump has many buffers."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE a AS SELECT md5(n::text) FROM generate_series(1, 9000) AS n")
        session.execute("CREATE TABLE z AS SELECT n FROM generate_series(1, 1000) AS n")
    return Commands(tmp_path, settings_for(server, database))


def resize(disk: Path, size: str | int) -> None:
    """Change how much the file system takes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def pages_of_a_dump(commands: Commands, disk: Path) -> int:
    """How many pages a backup's dump takes when there is room."""
    done = commands.run("--json", "--no-globals", "--output-dir", disk)
    assert done.code == 0, done.err
    for path in disk.iterdir():
        path.unlink()
    return -(-int(done.json["metadata"]["backup_size_bytes"]) // _PAGE)


@pytest.mark.parametrize("inspect", [(), ("--no-inspect",)], ids=["inspected", "uninspected"])
def test_a_full_disk_at_any_of_the_last_pages_exits_5(
    inspect: tuple[str, ...], commands: Commands, disk: Path
) -> None:
    """Whichever write it is that finds the disk full: 5, and nothing is left."""
    pages = pages_of_a_dump(commands, disk)
    for missing in range(4):
        resize(disk, (pages - missing) * _PAGE)
        done = commands.run("--output-dir", disk, "--space-factor", "0", "--no-globals", *inspect)
        assert done.code == 5, f"{missing} pages missing: {done.err}"
        assert [] == left_in(disk)


def test_a_dump_cut_by_a_briefly_full_disk_is_not_published(
    server: TestServer, commands: Commands, disk: Path, tmp_path: Path
) -> None:
    """The dump is cut short all the same, and pg_restore --list is content with it: no backup."""
    pages = pages_of_a_dump(commands, disk)
    programs = tmp_path / "programs" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "programs/lib").symlink_to(server.bin.parent / "lib")
    (programs / "pg_restore").symlink_to(server.bin / "pg_restore")
    program = programs / "pg_dump"
    program.write_text(
        f'#!/bin/sh\n"{server.bin}/pg_dump" "$@"; status=$?\n'
        f'test "$1" = --version || mount -o remount,size={_ROOM} "{disk}"\nexit $status\n'
    )
    program.chmod(0o755)
    for missing in range(4):
        resize(disk, (pages - missing) * _PAGE)
        done = commands.run(
            *("--output-dir", disk, "--space-factor", "0", "--no-globals", "--no-inspect"),
            PGVOW_PG_BIN=str(programs),
        )
        if done.code == 0:
            (dump,) = disk.glob("*.dump")
            subprocess.run([server.bin / "pg_restore", "-f", "/dev/null", dump], check=True)
            dump.unlink()
        else:
            assert done.code in {5, 7}, done.err
