"""Read a file for its checksum, and tell how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.progress import Step
from pgvow.store import sha256_file

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.progress import Progress


def hash_file(path: Path, progress: Progress) -> tuple[str, int]:
    """Return SHA-256 in hexadecimal and size in bytes."""
    total = path.stat().st_size
    done = 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        progress.update(Step("checksum", done, total))

    return sha256_file(path, on_bytes=read)
