"""Read a file for its checksum, and tell how far it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgvow.progress import Phase, Step
from pgvow.store import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pgvow.progress import Progress


class _UnwantedError(Exception):
    """Nobody waits for the checksum any more."""


def hash_file(
    path_or_fd: Path | int, progress: Progress, *, unwanted: Callable[[], bool] = lambda: False
) -> tuple[str, int]:
    """Return SHA-256 in hexadecimal and size in bytes.

    For a thread beside others: it ends where the result has become ``unwanted``.
    """
    total = os.stat(path_or_fd).st_size  # noqa: PTH116 - may be a descriptor
    done = 0

    def read(count: int) -> None:
        nonlocal done
        if unwanted():
            raise _UnwantedError
        done += count
        progress.update(Step(Phase.CHECKSUM, done, total))

    return sha256_file(path_or_fd, on_bytes=read)
