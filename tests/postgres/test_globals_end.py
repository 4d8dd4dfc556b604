"""Roles are kept beside a dump if all of them were written, and not otherwise."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pgvow.postgres.globals import is_whole
from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer


def test_scripts_of_pg_dumpall_of_every_major_are_complete(server: TestServer) -> None:
    """The script of every major's pg_dumpall is accepted as complete."""
    done = subprocess.run(
        [server.bin / "pg_dumpall", "--globals-only"],
        env=server.environment("postgres"),
        capture_output=True,
        check=True,
    )
    assert is_whole(done.stdout)


def test_a_truncated_pg_dumpall_exits_7_and_publishes_nothing(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A pg_dumpall that ends with success after half a script: 7, nothing is published."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in server.bin.iterdir():
        (programs / program.name).symlink_to(program)
    real = server.bin / "pg_dumpall"
    (programs / "pg_dumpall").unlink()
    (programs / "pg_dumpall").write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) exec {real} "$@";; esac\n{real} "$@" | head -c 300\n'
    )
    (programs / "pg_dumpall").chmod(0o755)
    settings = settings_for(server, database, bin_dir=programs)
    libraries = {"LD_LIBRARY_PATH": str(server.bin.parent / "lib")}
    done = Commands(tmp_path, {**settings, **libraries}).run("--space-factor", "0")
    assert 7 == done.code, done.err
    assert "pg_dumpall" in done.err
    assert "cut short" in done.err
    assert [] == left_in(tmp_path / "db/backups")
