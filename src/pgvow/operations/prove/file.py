"""Check that the dump to prove is the one that its metadata describe."""

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
    """Read the metadata of a dump; raises VerificationFailed if either is missing."""
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

    Yields a function that waits for it, and raises VerificationFailed if the file is not the one
    that was written. Leaving the block ends the reading. Until the function returns, only the
    thread uses ``progress``.
    """
    unwanted = Event()
    started = time.monotonic()
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        reading = pool.submit(
            hash_backup, StoredBackup.at(path), progress, unwanted=unwanted.is_set
        )

        def check() -> None:
            checksum, size = reading.result()
            actual = f"{size:,} bytes, {checksum}, as {path.name}"
            expected = (
                f"{metadata.backup_size_bytes:,} bytes, {metadata.checksum_sha256},"
                f" as {metadata.backup_file}"
            )
            if actual != expected:
                difference = Difference(DifferenceKind.FILE, "checksum", expected, actual)
                cause = "the file is not the one that its metadata describe"
                raise _refuted(path, metadata, difference, cause, started, progress)

        try:
            yield check
        finally:
            unwanted.set()


def contents(path: Path, metadata: Metadata, progress: Progress) -> TableOfContents:
    """Read the table of contents; raises VerificationFailed if it is damaged.

    Raises ArchiveTooNew if only a newer pgvow reads it; nothing is recorded then.
    """
    started = time.monotonic()
    try:
        with open_finished(path) as file:
            return read_toc(file)
    except ArchiveTooNew:
        raise  # that we cannot read it is no evidence about the file
    except ArchiveError as error:
        difference = Difference(
            DifferenceKind.CONTENTS, "the table of contents", "readable", str(error)
        )
        raise _refuted(path, metadata, difference, str(error), started, progress) from error


def _refuted(
    path: Path,
    metadata: Metadata,
    difference: Difference,
    cause: str,
    started: float,
    progress: Progress,
) -> VerificationFailed:
    """Record beside the file that it failed, and return the error to raise."""
    evidence = Evidence(
        level=Level.VERIFIED,
        at=now(),
        seconds=round(time.monotonic() - started, 3),
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
    """Return the time to the second, as records have it."""
    return datetime.now(UTC).replace(microsecond=0)
