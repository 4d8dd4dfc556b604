"""Processes of our own Python, to be locked out, bound or killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def environment() -> dict[str, str]:
    """Return an environment in which a child has our import path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def command(code: str, *args: object) -> list[str]:
    """Return the command that runs a piece of code; ``args`` are its ``sys.argv[1:]``."""
    return [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(
        argv, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )


def start(argv: list[str]) -> subprocess.Popen[str]:
    """Start a command that says a line when it is ready, and wait for that line."""
    child = subprocess.Popen(
        argv, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    """Kill a child as ``kill -9`` does, and wait until it is gone."""
    child.kill()
    child.communicate(timeout=600)
