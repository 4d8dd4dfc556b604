"""Programs of the system that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest

# Debian puts there what only administrators are expected to start.
_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def system_program(name: str, *, package: str) -> str:
    """Find a program; skips if there is none, and fails under CI."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        complaint = f"no {name} on this machine: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(complaint)
        pytest.skip(complaint)
    return found
