"""A signal that comes while a child is forked is not lost."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import os, signal, subprocess, sys
from pgvow.postgres.process import RunningTool

class Stopped(BaseException):
    pass

def stop(signum, frame):
    raise Stopped

signal.signal(signal.SIGTERM, stop)
# What a hook raises after a fork, Python ignores: a handler that raises there does nothing.
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM) or list(range(9)))
try:
    with RunningTool([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ,
              stdout=subprocess.DEVNULL) as tool:
        print("went on")
except Stopped:
    print("stopped")
"""


def test_a_signal_at_the_fork_is_delivered_after_it() -> None:
    """SIGTERM during the fork ends the run, and the child with it."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert ("stopped\n", "", 0) == (done.stdout, done.stderr, done.returncode)
