"""How ``make test`` gets the packages that only the system's package manager has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "system_packages.sh"


def _run(folder: Path, *, user: int = 0, update: int = 0, install: int = 0) -> tuple[int, str, str]:
    """Run the script with two packages missing; returns its exit code, complaints and calls.

    ``user`` is who runs it, ``update`` and ``install`` are what apt-get ends with.
    """
    calls = folder / "calls"
    calls.touch()
    programs = {
        "dpkg-query": "exit 1",
        "id": f"echo {user}",
        "apt-get": (
            f'echo "$*" >> "{calls}"; case $1 in update) exit {update};; *) exit {install};; esac'
        ),
    }
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    done = subprocess.run(
        ["sh", str(_SCRIPT), "cron", "gcc"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr, calls.read_text()


@pytest.mark.parametrize("update", [0, 100])
def test_root_installs_although_the_lists_cannot_be_updated(update: int, tmp_path: Path) -> None:
    """A mirror whose lists have expired, or that cannot be reached, is no reason not to try."""
    code, complaints, calls = _run(tmp_path, update=update)
    assert 0 == code
    assert calls.splitlines()[-1].endswith(" cron gcc")
    assert ("apt-get update failed" in complaints) == (update != 0)


def test_packages_that_cannot_be_installed_are_named(tmp_path: Path) -> None:
    """In one line, after the lists failed as well."""
    code, complaints, _ = _run(tmp_path, update=100, install=100)
    assert 1 == code
    assert "apt-get could not install: cron gcc" == complaints.splitlines()[-1]


def test_an_ordinary_user_reads_the_command_to_type(tmp_path: Path) -> None:
    """Without root nothing is tried, and one line says how to install them."""
    code, complaints, calls = _run(tmp_path, user=1000)
    assert (1, "") == (code, calls)
    (line,) = complaints.splitlines()
    assert line.endswith("sudo apt-get install cron gcc")
