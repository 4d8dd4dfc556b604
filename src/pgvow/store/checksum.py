"""The SHA-256 of a file, in bounded memory (T018, T054)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pgvow.file_errors import refusals
from pgvow.finished_file import Positioned, open_finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECE = 1 << 20


def sha256_file(
    path_or_fd: Path | int, on_bytes: Callable[[int], None] | None = None
) -> tuple[str, int]:
    """Return a file's SHA-256 in hexadecimal and its size in bytes, as read.

    A descriptor is read from the file's start, and its position stays where it was. ``on_bytes``
    is told the length of every piece. A path is that of a finished backup's file: raises what
    ``open_finished`` raises, and PgvowError if it is missing.
    """
    if isinstance(path_or_fd, int):
        with refusals("read", f"/dev/fd/{path_or_fd}"):
            return _sha256(Positioned(path_or_fd), on_bytes)
    with refusals("read", path_or_fd), open_finished(path_or_fd) as file:
        return _sha256(file.raw, on_bytes)


def _sha256(file: Positioned, on_bytes: Callable[[int], None] | None) -> tuple[str, int]:
    digest = hashlib.sha256(usedforsecurity=False)
    piece = memoryview(bytearray(PIECE))
    size = 0
    while count := file.readinto(piece):
        digest.update(piece[:count])
        size += count
        if on_bytes is not None:
            on_bytes(count)
    return digest.hexdigest(), size
