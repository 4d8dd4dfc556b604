"""Run the reading commands on one file, in this process, and print codes, seconds and memory.

Usage: ``python -m tests.support.read_hostile FILE COMMAND...``
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from pgvow.cli import main

_ARGUMENTS = {
    "show": ("show", "FILE"),
    "diff": ("diff", "FILE", "FILE"),
    "extract": ("extract", "FILE", "--table", "t"),
    "verify": ("verify", "FILE"),
    "deep": ("verify", "--deep", "FILE"),
    "prove": ("prove", "FILE"),
    "salvage": ("salvage", "FILE", "--output", "FILE.saved"),
}


def _run(file: str, command: str) -> dict[str, float]:
    argv = [word.replace("FILE", file) for word in _ARGUMENTS[command]]
    started = time.monotonic()
    code = main(argv)
    return {"code": code, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    runs = {command: _run(sys.argv[1], command) for command in sys.argv[2:]}
    # Not ru_maxrss, which begins with that of the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    measured = {"runs": runs, "megabytes": int(peak[1]) / 1024 if peak else None}
    sys.stdout.write(f"\n{json.dumps(measured)}\n")
