"""Read a file for its checksum, with progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.file_errors import refusals
from pgvow.finished_file import sha256_of
from pgvow.progress import Phase, Step
from pgvow.store import rewound

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from pgvow.progress import Progress
    from pgvow.store import StoredBackup


class _UnwantedError(Exception):
    """Raised in the hashing thread to cancel it."""


def hash_backup(
    backup: StoredBackup, progress: Progress, *, unwanted: Callable[[], bool] = lambda: False
) -> tuple[str, int]:
    """Return SHA-256 and size of a backup's dump; see ``hash_file``."""
    with refusals("read", backup.path), backup.open_dump() as file:
        return hash_file(file, progress, unwanted=unwanted)


def hash_file(
    file: BinaryIO, progress: Progress, *, unwanted: Callable[[], bool] = lambda: False
) -> tuple[str, int]:
    """Return SHA-256 in hexadecimal and size in bytes of an open file.

    In a thread beside others it ends once the result has become ``unwanted``.
    """
    total = rewound(file)
    done = 0

    def read(count: int) -> None:
        nonlocal done
        if unwanted():
            raise _UnwantedError
        done += count
        progress.update(Step(Phase.CHECKSUM, done, total))

    return sha256_of(file, on_bytes=read)
