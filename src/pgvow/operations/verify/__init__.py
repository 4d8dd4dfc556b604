"""Check one backup, or all of them, against the metadata."""

from __future__ import annotations

import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.adoption import UNCHECKED
from pgvow.archive import ArchiveError, read_toc
from pgvow.errors import (
    AccessDenied,
    Interrupted,
    PgvowError,
    Stalled,
    UnreadableFile,
    lack_of_resources,
)
from pgvow.finished_file import sha256_of
from pgvow.model import Unreadable
from pgvow.operations.verify.hashing import hash_backup
from pgvow.operations.verify.inspect import decode_alone, decode_and_compare
from pgvow.operations.verify.recording import (
    record,
    record_unreadable,
    with_acknowledgement,
)
from pgvow.operations.verify.verification import (
    Check,
    Verification,
    complaint,
    evidence_of,
    missed,
    structure,
)
from pgvow.postgres.binaries import choose_newest, find_installations
from pgvow.postgres.pg_restore_list import complaint_of, listing_complaint, start_listing
from pgvow.progress import Silent
from pgvow.store import (
    MetadataError,
    ProofError,
    StoredBackup,
    backups_in,
    proof_path,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.model import Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.verify.inspect import DeepCheck
    from pgvow.postgres.binaries import Installation
    from pgvow.progress import Progress
    from pgvow.store import Store


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How to verify, and which of many.

    ``deep`` decodes the dump to its last byte as well, and compares every table with the metadata.
    ``pg_bin`` is the directory of PostgreSQL's programs, None: those that are found. Of all backups
    those of ``environment`` are verified, None: of every one.
    """

    pg_bin: Path | None = None
    deep: bool = False
    environment: str | None = None


def verify_backup(backup: StoredBackup, options: VerifyOptions, context: Context) -> Verification:
    """Check that the file is there, complete, unchanged and readable by pg_restore.

    A check that fails is part of the result; raises ToolUnsuitable if there is no pg_restore
    that could read such an archive, AccessDenied if a file may not be read.
    """
    result = _verifier(options, context).verify(backup)
    if isinstance(result.refusal, AccessDenied):
        raise result.refusal
    return result


def _verifier(options: VerifyOptions, context: Context, *, alone: bool = True) -> _Verifier:
    installations = find_installations(pg_bin=options.pg_bin, environ=context.environ)
    installation = choose_newest(installations)
    installation.program("pg_restore")
    return _Verifier(installation, context, deep=options.deep, alone=alone)


@dataclass(frozen=True, slots=True)
class _Verifier:
    """Verifies backups by one pg_restore.

    ``alone``: the backup was named by itself, and may be none of ours.
    """

    installation: Installation
    context: Context
    deep: bool
    alone: bool

    def verify(self, backup: StoredBackup) -> Verification:
        """Check one backup; a file that cannot be read is part of the result."""
        try:
            return _checked(
                backup, self.installation, self.context, deep=self.deep, alone=self.alone
            )
        except (UnreadableFile, AccessDenied) as error:
            return _refused(
                backup, Check("file", passed=False, expected="readable", found=error.cause), error
            )

    def verify_and_record(self, backup: StoredBackup) -> Verification:
        """Check one backup, and record the evidence, or that it cannot be read, beside it."""
        started = time.monotonic()
        with backup.held():
            result = self.verify(backup)
            if result.metadata is None:
                return result
            try:
                backup.proof()
            except ProofError:
                pass  # it is written anew
            except (UnreadableFile, AccessDenied) as error:
                return _with_proof(result, error)
            return _recorded(backup, result, time.monotonic() - started, self.context)


def _refused(backup: StoredBackup, check: Check, refusal: PgvowError) -> Verification:
    metadata = None
    with suppress(PgvowError):
        metadata = backup.metadata()
    return Verification(backup.path, (check,), metadata, None, refusal=refusal)


def _with_proof(result: Verification, error: UnreadableFile | AccessDenied) -> Verification:
    """Add that the proof cannot be read: it may hold a failed check, so it is not replaced."""
    proof, dump = (shlex.quote(str(path)) for path in (proof_path(result.path), result.path))
    error.steps = (
        f"Look at it: ls -ld {proof}",
        f"If it cannot be mended, check anew without it: rm -r {proof} && pgvow verify {dump}",
    )
    check = Check("proof", passed=False, expected="readable", found=error.cause)
    return replace(result, checks=(*result.checks, check), refusal=result.refusal or error)


def _checked(
    backup: StoredBackup,
    installation: Installation,
    context: Context,
    *,
    deep: bool,
    alone: bool,
) -> Verification:
    path, environ = backup.path, context.environ
    try:
        size = backup.size()
    except FileNotFoundError:
        missing = Check("file", passed=False, expected=str(path), found="no such file")
        return Verification(path, (missing,), None, None)
    present = Check("file", passed=True, expected=str(path), found=str(path))
    try:
        metadata = backup.metadata()
    except MetadataError as error:
        broken = Check("metadata", passed=False, expected="complete metadata", found=error.cause)
        result = _without_metadata(backup, size, installation, context, deep=deep)
        if alone and deep and backup.is_foreign:
            return replace(result, checks=(present, *result.checks), unchecked=UNCHECKED)
        return replace(result, checks=(present, broken, *result.checks))
    with (
        backup.local_path() as local,
        start_listing(installation, local, environ) as listing,
    ):
        read = _read(backup, metadata, context.reporter, deep=deep)
        listed = complaint_of(listing)
    unchanged = all(check.passed for check in _bytes(metadata, read))
    judged = complaint(backup, listed, unchanged=unchanged)
    checks = (
        present,
        Check("metadata", passed=True, expected="complete metadata", found="complete metadata"),
        _names_this_file(metadata, backup.name),
        *_bytes(metadata, read),
        structure(installation, judged, metadata.pg_dump_version),
    )
    decoded = _decoded(read.deep, _recorded_facts(read.deep))
    try:
        roles, refusal = _globals(metadata, backup), None
    except (UnreadableFile, AccessDenied) as error:
        refusal = error  # the checks of the dump are still reported
        roles = (Check("globals", passed=False, expected="readable", found=error.cause),)
    every = (*checks, *roles, *decoded)
    return Verification(path, every, metadata, read.size, read.deep, refusal=refusal)


def _without_metadata(
    backup: StoredBackup, size: int, installation: Installation, context: Context, *, deep: bool
) -> Verification:
    """Check a dump by itself: its structure, and with ``deep`` that every byte decodes."""
    with backup.local_path() as local:
        listed = listing_complaint(installation, local, context.environ)
    judged = complaint(backup, listed, unchanged=False)
    made_by = _maker(backup) if backup.is_foreign else None
    checks = (structure(installation, judged, made_by),)
    if not (deep and checks[0].passed):
        return Verification(backup.path, checks, None, size)
    decoded = decode_alone(backup, context.reporter)
    every = (*checks, *_decoded(decoded, ""))
    return Verification(backup.path, every, None, size, decoded)


def _maker(backup: StoredBackup) -> str | None:
    """Return the version of pg_dump in the header of a dump; None if it cannot be read."""
    try:
        with backup.open_dump() as file:
            return read_toc(file).header.pg_dump_version
    except ArchiveError:
        return None


def _names_this_file(metadata: Metadata, name: str) -> Check:
    return Check(
        "backup_file",
        passed=metadata.backup_file == name,
        expected=name,
        found=metadata.backup_file,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """Checksum, size and, if asked for, the decoded contents of one reading of the file."""

    checksum: str
    size: int
    deep: DeepCheck | None


def _read(backup: StoredBackup, metadata: Metadata, progress: Progress, *, deep: bool) -> _Read:
    """Read the file to its end: for the checksum, and beside that to decode it."""
    if not deep:
        return _Read(*hash_backup(backup, progress), None)
    unwanted = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        hashing = pool.submit(hash_backup, backup, Silent(), unwanted=unwanted.is_set)
        try:
            decoded = decode_and_compare(backup, metadata, progress)
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


def _recorded_facts(deep: DeepCheck | None) -> str:
    known = deep is not None and deep.complete
    facts = "rows, fingerprints and digests" if known else "rows (nothing else is recorded)"
    return f", {facts} as recorded"


def _decoded(deep: DeepCheck | None, compared: str) -> tuple[Check, ...]:
    if deep is None:
        return ()
    expected = f"every byte decodes{compared}"
    found = expected if deep.passed else "\n".join(deep.differences)
    return (Check("contents", passed=deep.passed, expected=expected, found=found),)


def _globals(metadata: Metadata, backup: StoredBackup) -> tuple[Check, ...]:
    """Check the roles beside the dump, if they were kept."""
    kept = metadata.globals
    if kept is None:
        return ()
    try:
        file = backup.store.open(kept.file)
    except FileNotFoundError:
        return (Check("globals", passed=False, expected=kept.file, found="no such file"),)
    with file:
        checksum, _ = sha256_of(file)
    return (
        Check(
            "globals",
            passed=checksum == kept.checksum_sha256,
            expected=kept.checksum_sha256,
            found=checksum,
        ),
    )


def verify_and_record(
    backup: StoredBackup, options: VerifyOptions, context: Context
) -> Verification:
    """Verify a backup and keep the level that it reached, or missed, beside it.

    It is not removed meanwhile. Without metadata nothing is recorded; a directory that may only be
    read gives a warning. Raises as ``verify_backup`` does,
    AccessDenied after it was recorded that the file cannot be read.
    """
    result = _verifier(options, context).verify_and_record(backup)
    if isinstance(result.refusal, AccessDenied):
        raise result.refusal
    return result


def _recorded(
    backup: StoredBackup, result: Verification, seconds: float, context: Context
) -> Verification:
    """Keep the outcome beside the dump: a difference, else that a file cannot be read, or a pass.

    A difference is evidence, whatever else cannot be read.
    """
    metadata, now, warn = result.metadata, context.now(), context.reporter.warn
    if metadata is None:
        return result
    with context.reporter.collecting() as warnings:
        if result.unreadable is not None and not any(missed(result)):
            unreadable = Unreadable(now, result.unreadable)
            proof = record_unreadable(backup, metadata, unreadable, warn=warn)
        else:
            proof = record(backup, metadata, evidence_of(result, now, seconds), warn=warn)
    return replace(result, proof=proof, warnings=tuple(warnings))


def verify_all(
    stores: Sequence[Store], options: VerifyOptions, context: Context
) -> tuple[Verification, ...]:
    """Verify the backups of some stores, newest first, and keep the level each has reached.

    One that cannot be read, or whose check ends in no verdict,
    stops no other.
    """
    verifier = _verifier(options, context, alone=False)
    return tuple(
        _verified_alone(verifier, StoredBackup(store, backup.path.name))
        for store in stores
        for backup in backups_in(store)
        if options.environment in (None, backup.environment)
    )


def _verified_alone(verifier: _Verifier, backup: StoredBackup) -> Verification:
    """Verify one of many; an error is part of its result, unless it ends the whole run."""
    try:
        result = verifier.verify_and_record(backup)
        return with_acknowledgement(backup, result, verifier.context.now())
    except (Interrupted, Stalled):
        raise
    except PgvowError as error:
        refusal = error
    except (MemoryError, OSError, RuntimeError) as error:
        lack = lack_of_resources(error)
        if lack is None:
            raise
        refusal = lack
    check = Check("verdict", passed=False, expected="a check to its end", found=refusal.cause)
    return _refused(backup, check, refusal)
