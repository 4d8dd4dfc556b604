"""A temporary folder that no signal leaves behind."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder for the block, and remove it after it; raises OSError if it cannot be made.

    Between making it and noting that it is to be removed, and while it is removed, signals wait.
    """
    with SignalsKeptBack() as signals:
        folder = tempfile.TemporaryDirectory(prefix=prefix)
    try:
        signals.deliver()
        yield Path(folder.name)
    finally:
        with SignalsKeptBack() as signals:
            folder.cleanup()
        signals.deliver()
