"""Check one backup against what its metadata says."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.archive import ArchiveError, ArchiveTooNew, OtherFormat, read_toc
from pgvow.errors import AccessDenied, PgvowError, ToolUnsuitable, UnreadableFile
from pgvow.file_errors import reading, refusals
from pgvow.model import Difference, DifferenceKind, Evidence, Level
from pgvow.operations.verify.hashing import hash_file
from pgvow.operations.verify.recording import record, record_unreadable
from pgvow.postgres.binaries import choose_newest, find_installations, install_steps
from pgvow.postgres.listing import complaint_of, listing_complaint, start_listing
from pgvow.progress import Silent
from pgvow.store import (
    LocalStore,
    MetadataError,
    being_read,
    load_metadata,
    sha256_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pgvow.model import Metadata, Proof
    from pgvow.operations.verify.deep import DeepCheck
    from pgvow.postgres.binaries import Installation
    from pgvow.progress import Progress


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what it should be, what it is."""

    name: str
    passed: bool
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was looked at in one backup. ``passed`` only where every check passed.

    ``proof`` is all that has been shown of it by now, None where that could not be kept.
    ``unreadable`` is why the file cannot be read, if it cannot: no evidence against its data.
    """

    path: Path
    checks: tuple[Check, ...]
    metadata: Metadata | None
    size_bytes: int | None
    deep: DeepCheck | None = None
    proof: Proof | None = None
    warnings: tuple[str, ...] = ()
    unreadable: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def check(self, name: str) -> Check | None:
        """Find a check by its name; None where it was not reached."""
        return next((check for check in self.checks if check.name == name), None)


def verify_backup(
    path: Path,
    *,
    pg_bin: Path | None,
    environ: Mapping[str, str],
    progress: Progress,
    deep: bool = False,
) -> Verification:
    """Check that the file is there, complete, unchanged and readable by pg_restore.

    ``deep`` decodes it to the last byte as well, and compares every table with the metadata.

    A check that fails is part of the result; raises ToolUnsuitable where there is no pg_restore
    that could read such an archive, AccessDenied where a file cannot be read.
    """
    installation = choose_newest(find_installations(pg_bin=pg_bin, environ=environ))
    installation.program("pg_restore")
    try:
        return _checked(path, installation, environ, progress, deep=deep)
    except UnreadableFile as error:
        return _unreadable(path, error.cause)


def _unreadable(path: Path, cause: str) -> Verification:
    check = Check("file", passed=False, expected="readable", found=cause)
    metadata = None
    with suppress(PgvowError, ValueError):  # "." has no name that metadata could go by
        metadata = load_metadata(path)
    return Verification(path, (check,), metadata, None, unreadable=cause)


def _checked(
    path: Path,
    installation: Installation,
    environ: Mapping[str, str],
    progress: Progress,
    *,
    deep: bool,
) -> Verification:
    with refusals("read", path):
        is_file = path.is_file()
        found = "not a regular file" if path.exists() else "no such file"
    if not is_file and found == "not a regular file":
        return _unreadable(path, f"cannot read {path}: it is {found}")
    if not is_file:
        missing = Check("file", passed=False, expected=str(path), found=found)
        return Verification(path, (missing,), None, None)
    present = Check("file", passed=True, expected=str(path), found=str(path))
    try:
        metadata = load_metadata(path)
    except MetadataError as error:
        broken = Check("metadata", passed=False, expected="complete metadata", found=error.cause)
        listed = listing_complaint(installation, path, environ)
        complaint = _complaint(path, listed, unchanged=False)
        structure = _structure(installation, complaint, None)
        return Verification(path, (present, broken, structure), None, path.stat().st_size)
    with reading(path), start_listing(installation, path, environ) as listing:
        read = _read(path, metadata, progress, deep=deep)
        listed = complaint_of(listing)
    unchanged = all(check.passed for check in _bytes(metadata, read))
    complaint = _complaint(path, listed, unchanged=unchanged)
    checks = (
        present,
        Check("metadata", passed=True, expected="complete metadata", found="complete metadata"),
        _names_this_file(metadata, path),
        *_bytes(metadata, read),
        _structure(installation, complaint, metadata),
        *_globals(metadata, path),
        *_decoded(read.deep),
    )
    return Verification(path, checks, metadata, path.stat().st_size, read.deep)


def _names_this_file(metadata: Metadata, path: Path) -> Check:
    return Check(
        "backup_file",
        passed=metadata.backup_file == path.name,
        expected=path.name,
        found=metadata.backup_file,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What one reading of the file found."""

    checksum: str
    size: int
    deep: DeepCheck | None


def _read(path: Path, metadata: Metadata, progress: Progress, *, deep: bool) -> _Read:
    """Read the file to its end: for the checksum, and beside that to decode it."""
    if not deep:
        return _Read(*hash_file(path, progress), None)
    unwanted = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        hashing = pool.submit(hash_file, path, Silent(), unwanted=unwanted.is_set)
        # Loaded while the file is hashed already: a twentieth of a second.
        from pgvow.operations.verify.deep import decode_and_compare  # noqa: PLC0415

        try:
            decoded = decode_and_compare(path, metadata, progress)
            checksum, size = hashing.result()
        finally:
            unwanted.set()
    return _Read(checksum, size, decoded)


def _bytes(metadata: Metadata, read: _Read) -> tuple[Check, Check]:
    return (
        Check(
            "size",
            passed=read.size == metadata.backup_size_bytes,
            expected=f"{metadata.backup_size_bytes:,} bytes",
            found=f"{read.size:,} bytes",
        ),
        Check(
            "checksum",
            passed=read.checksum == metadata.checksum_sha256,
            expected=metadata.checksum_sha256,
            found=read.checksum,
        ),
    )


def _structure(
    installation: Installation, complaint: str | None, metadata: Metadata | None
) -> Check:
    expected = "pg_restore --list succeeds"
    if complaint is None:
        return Check("structure", passed=True, expected=expected, found=expected)
    if metadata is not None:
        _refuse_too_old(installation, metadata, complaint)
    return Check("structure", passed=False, expected=expected, found=complaint)


def _complaint(path: Path, listed: str | None, *, unchanged: bool) -> str | None:
    """Judge the table of contents by our own reader too, which takes the custom format alone.

    pg_restore --list, whose complaint ``listed`` is, accepts a tar, and an archive of "-5 entries".
    Raises ArchiveTooNew if the file is the one that was written; in one that was changed since, the
    version is no more than a damaged byte.
    """
    try:
        with refusals("read", path), path.open("rb") as file:
            read_toc(file)
    except ArchiveTooNew as error:
        if unchanged:
            raise
        return listed or error.cause
    except OtherFormat as error:
        return "\n".join([error.cause, *error.steps])
    except ArchiveError as error:
        return listed or error.cause
    return listed


def _refuse_too_old(installation: Installation, metadata: Metadata, complaint: str) -> None:
    """Tell a damaged archive from one that is only too new for the pg_restore at hand."""
    version = re.match("[0-9]+", metadata.pg_dump_version)  # 19beta1 is one as well
    made_by = int(version[0]) if version else 0
    if "unsupported version" not in complaint or installation.major >= made_by:
        return
    raise ToolUnsuitable(
        f"pg_restore {installation.version} cannot read an archive of"
        f" pg_dump {metadata.pg_dump_version}: {complaint}",
        facts={"pg_restore": f"{installation.version} in {installation.bin}"},
        steps=install_steps(made_by),
    )


def _decoded(deep: DeepCheck | None) -> tuple[Check, ...]:
    if deep is None:
        return ()
    what = "rows, fingerprints and digests" if deep.complete else "rows (nothing else is recorded)"
    expected = f"every byte decodes, {what} as recorded"
    found = expected if deep.passed else "\n".join(deep.differences)
    return (Check("contents", passed=deep.passed, expected=expected, found=found),)


def _globals(metadata: Metadata, path: Path) -> tuple[Check, ...]:
    """Check the roles that were kept beside the dump, where they were."""
    kept = metadata.globals
    if kept is None:
        return ()
    file = path.with_name(kept.file)
    if not file.is_file() and file.exists():
        raise UnreadableFile(
            f"cannot read {file}: it is not a regular file", facts={"File": str(file)}
        )
    if not file.is_file():
        return (Check("globals", passed=False, expected=kept.file, found="no such file"),)
    checksum, _ = sha256_file(file)
    return (
        Check(
            "globals",
            passed=checksum == kept.checksum_sha256,
            expected=kept.checksum_sha256,
            found=checksum,
        ),
    )


def verify_and_record(
    path: Path,
    *,
    pg_bin: Path | None,
    environ: Mapping[str, str],
    progress: Progress,
    deep: bool = False,
) -> Verification:
    """Verify a backup and keep the level that it reached, or missed, beside it.

    Nobody removes it meanwhile. Where it has no metadata there is nothing to keep; where the
    directory may only be read, that is a warning. Raises what ``verify_backup`` raises.
    """
    started = time.monotonic()
    with being_read(path):
        result = verify_backup(path, pg_bin=pg_bin, environ=environ, progress=progress, deep=deep)
        if result.metadata is None:
            return result
        warnings: list[str] = []
        if result.unreadable is not None:
            proof = record_unreadable(
                path, result.metadata, result.unreadable, warn=warnings.append
            )
        else:
            evidence = _evidence(result, time.monotonic() - started)
            proof = record(path, result.metadata, evidence, warn=warnings.append)
    for warning in warnings:
        progress.warn(warning)
    return replace(result, proof=proof, warnings=tuple(warnings))


def _evidence(result: Verification, seconds: float) -> Evidence:
    """Tell what was shown: where decoding alone failed, that the lower level was missed is not."""
    missed = {check.name for check in result.checks if not check.passed}
    decoded = result.deep is not None and missed <= {"contents"}
    return Evidence(
        level=Level.DECODED if decoded else Level.VERIFIED,
        at=datetime.now(UTC).replace(microsecond=0),
        seconds=round(seconds, 3),
        tables=len(result.deep.tables) if result.deep else 0,
        rows=result.deep.rows if result.deep else 0,
        differences=tuple(_missed(result)),
        pgvow_version=__version__,
    )


def _missed(result: Verification) -> Iterator[Difference]:
    for check in result.checks:
        if not check.passed and check.name != "contents":
            yield Difference(DifferenceKind.FILE, check.name, check.expected, check.found)
    for difference in result.deep.differences if result.deep else ():
        yield Difference(DifferenceKind.CONTENTS, "the archive", "as recorded", difference)


def verify_all(
    directories: Sequence[Path],
    *,
    environment: str | None = None,
    pg_bin: Path | None,
    environ: Mapping[str, str],
    progress: Progress,
    deep: bool = False,
) -> tuple[Verification, ...]:
    """Verify every backup of some directories, newest first, and keep the level each has reached.

    With ``environment`` only its own. One that may not be read (AccessDenied) fails alone.
    """

    def verified(path: Path) -> Verification:
        try:
            return verify_and_record(
                path, pg_bin=pg_bin, environ=environ, progress=progress, deep=deep
            )
        except AccessDenied as error:
            return _unreadable(path, error.cause)

    return tuple(
        verified(backup.path)
        for directory in directories
        for backup in LocalStore(directory).list()
        if environment in (None, backup.environment)
    )
