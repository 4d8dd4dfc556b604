"""The dump that is proven: the one its metadata describe, or there is nothing to prove."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.archive import ArchiveError, ArchiveTooNew, read_toc
from pgvow.errors import AccessDenied, PgvowError, VerificationFailed
from pgvow.finished_file import open_finished, size_of
from pgvow.model import Difference, DifferenceKind, Evidence, Level
from pgvow.operations.verify.hashing import hash_backup
from pgvow.operations.verify.recording import record, record_unreadable
from pgvow.store import StoredBackup, load_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Metadata
    from pgvow.progress import Progress


def described(path: Path, progress: Progress) -> Metadata:
    """Read the metadata of a dump; raises VerificationFailed without a dump or metadata."""
    try:
        size_of(path)
    except FileNotFoundError:
        raise VerificationFailed("no such file", facts={"File": str(path)}) from None
    except AccessDenied as error:
        with suppress(PgvowError):
            record_unreadable(
                StoredBackup.at(path), load_metadata(path), error.cause, warn=progress.warn
            )
        raise
    return load_metadata(path)


@contextmanager
def checked_aside(
    path: Path, metadata: Metadata, progress: Progress
) -> Iterator[Callable[[], None]]:
    """Take the file's checksum in a thread while the block does something else.

    Gives a function that waits for it, and raises VerificationFailed where the file is not the one
    that was written. Leaving the block ends the reading. ``progress`` is the thread's meanwhile.
    """
    unwanted = Event()
    started = time.monotonic()
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        reading = pool.submit(
            hash_backup, StoredBackup.at(path), progress, unwanted=unwanted.is_set
        )

        def check() -> None:
            checksum, size = reading.result()
            _compare(path, metadata, checksum, size, time.monotonic() - started, progress)

        try:
            yield check
        finally:
            unwanted.set()


def _compare(
    path: Path, metadata: Metadata, checksum: str, size: int, seconds: float, progress: Progress
) -> None:
    found = f"{size:,} bytes, {checksum}, as {path.name}"
    expected = (
        f"{metadata.backup_size_bytes:,} bytes, {metadata.checksum_sha256},"
        f" as {metadata.backup_file}"
    )
    if found != expected:
        difference = Difference(DifferenceKind.FILE, "checksum", expected, found)
        raise _refuted(
            path,
            metadata,
            difference,
            "the file is not the one that its metadata describe",
            seconds=seconds,
            progress=progress,
        )


def contents(path: Path, metadata: Metadata, progress: Progress) -> TableOfContents:
    """Read the table of contents; raises VerificationFailed where it is damaged.

    Raises ArchiveTooNew if only a newer pgvow reads it; nothing is recorded then.
    """
    started = time.monotonic()
    try:
        with open_finished(path) as file:
            return read_toc(file)
    except ArchiveTooNew:
        raise  # nothing is shown of the file by our not being able to read it
    except ArchiveError as error:
        difference = Difference(
            DifferenceKind.CONTENTS, "the table of contents", "readable", str(error)
        )
        seconds = time.monotonic() - started
        raise _refuted(
            path, metadata, difference, str(error), seconds=seconds, progress=progress
        ) from error


def _refuted(
    path: Path,
    metadata: Metadata,
    difference: Difference,
    cause: str,
    *,
    seconds: float,
    progress: Progress,
) -> VerificationFailed:
    """Keep beside the file that it failed, and return the error to raise."""
    evidence = Evidence(
        level=Level.VERIFIED,
        at=now(),
        seconds=round(seconds, 3),
        differences=(difference,),
        pgvow_version=__version__,
    )
    record(StoredBackup.at(path), metadata, evidence, warn=progress.warn)
    return VerificationFailed(
        cause,
        facts={"File": str(path), "Expected": difference.expected, "Found": difference.found},
        steps=[f"See what is wrong with it: pgvow verify --deep {path}"],
    )


def now() -> datetime:
    """The moment, to the second, as records have it."""
    return datetime.now(UTC).replace(microsecond=0)
