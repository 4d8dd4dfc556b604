"""Small file systems, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Make a folder with a file system in memory, such as ``size=2m``; it goes afterwards."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        # Lazily: a server that is just ending may still have a file there.
        subprocess.run(["umount", "--lazy", folder], check=True)
