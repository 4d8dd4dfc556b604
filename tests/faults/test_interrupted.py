"""Ctrl-C ends a run at any point, even if a failure there would only be a warning."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.held import held
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.mark.parametrize("name", ["pg_dumpall", "pg_dump", "pg_restore"])
def test_an_interrupt_while_roles_are_dumped_exits_130(
    name: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Roles that cannot be kept are a warning; an interruption meanwhile ends the run: 130."""
    tools = held(server.bin, tmp_path, name)
    run = Commands(tmp_path, settings_for(server, database, bin_dir=tools.bin)).start()
    wait_until(tools.started.exists)
    children = psutil.Process(run.pid).children()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=600)
    assert run.returncode == 130, err
    assert [] == left_in(tmp_path / "db/backups")
    assert [] == [child for child in children if child.is_running()]


@pytest.mark.skipif(sys.platform != "linux", reason="who handles what is told by /proc")
def test_an_interrupt_during_imports_exits_without_traceback(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """From the first import on: no traceback, and no library goes on half imported."""
    tools = held(server.bin, tmp_path)  # or a run could be done before the signal comes
    commands = Commands(tmp_path, settings_for(server, database, bin_dir=tools.bin))
    chance = random.Random(4)
    for _ in range(12):
        run = commands.start("--quiet")
        wait_until(lambda pid=run.pid: handles_sigterm(pid))
        time.sleep(chance.uniform(0, 0.25))
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=600)
        assert 130 == run.returncode, err
        # Or "Nothing done", as long as the command line has not been read.
        assert err.startswith(("✗ Backup failed: Interrupted", "✗ Nothing done: Interrupted"))
    assert not list(tmp_path.rglob("*.partial"))


def handles_sigterm(pid: int) -> bool:
    """Whether our handlers are in place; one for SIGINT is there before, Python's own."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
