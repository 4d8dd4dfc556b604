"""A temporary folder is gone, whenever a signal comes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pgvow.temporary_folder import temporary_folder
from tests.support.commands import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

_CHILD = """
from pgvow.signals import StopSignals
from pgvow.temporary_folder import temporary_folder
StopSignals().obey()
print("ready", flush=True)
while True:
    with temporary_folder("kept-by-nobody-") as folder:
        (folder / "a").mkdir()
"""


def test_no_signal_leaves_a_folder(tmp_path: Path) -> None:
    """Thirty processes that make folders all the time, each stopped somewhere: none is left."""
    chance = random.Random(7)
    for _ in range(30):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            env={**clean_environment(), "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert child.stdout is not None
        assert b"ready\n" == child.stdout.readline()
        time.sleep(chance.random() / 50)
        os.kill(child.pid, signal.SIGTERM)
        child.communicate(timeout=60)
    assert [] == list(tmp_path.iterdir())


def _fail_in(folder: Path) -> None:
    (folder / "file").touch()
    raise KeyError


def test_an_error_leaves_no_folder_either() -> None:
    """The folder goes with the block, however that ends, and what is in it."""
    stack = ExitStack()
    folder = stack.enter_context(temporary_folder("pgvow-test-"))
    with pytest.raises(KeyError), stack:
        _fail_in(folder)
    assert not folder.exists()
