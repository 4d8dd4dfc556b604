"""Prove a backup: restore it on a server of its own, and compare the database with it.

There are three outcomes. *Proven*: every table's rows and fingerprint, every sequence, the large
objects and the schema are the backup's. *Differs*: something is not, and the differences are
listed. *Cannot be proven here* (the error CannotBeProven): the server lacks an extension, a
collation or a right, which is no evidence about the backup.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

import psycopg

from pgvow import __version__
from pgvow.archive import ArchiveError, ArchiveTooNew, read_toc
from pgvow.errors import (
    AccessDenied,
    PgvowError,
    UnreadableFile,
    VerificationFailed,
)
from pgvow.model import (
    Difference,
    DifferenceKind,
    Evidence,
    Level,
    Unreadable,
    level_reached,
)
from pgvow.operations.core import foreign
from pgvow.operations.prove.measured import recovery_needs, recovery_time
from pgvow.operations.prove.run import ProofRequest, restore_and_compare
from pgvow.operations.prove.server import ProveOptions, proof_server
from pgvow.operations.prove.verdict import translated
from pgvow.operations.verify.hashing import hash_backup
from pgvow.operations.verify.recording import record, record_unreadable
from pgvow.store import (
    StoredBackup,
    proof_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pgvow.archive import TableOfContents
    from pgvow.model import Metadata, Proof
    from pgvow.operations.context import Context
    from pgvow.operations.core.compare import ComparedDatabase
    from pgvow.operations.core.stages import RetriedEntry
    from pgvow.operations.prove.server import ProofServer
    from pgvow.postgres.server import Address

__all__ = ["ProofResult", "ProveOptions", "prove_backup"]


@dataclass(frozen=True, slots=True)
class ProofResult:
    """The evidence of one proof.

    ``proof`` is the record of all checks of the backup, None if it could not be written.
    ``address`` is that of the server named with ``on``, None for a throw-away one. ``retried``
    entries were refused at first.
    """

    path: Path
    metadata: Metadata
    evidence: Evidence
    proof: Proof | None
    address: Address | None
    warnings: tuple[str, ...]
    retried: tuple[RetriedEntry, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether the restored database is the backup's."""
        return self.evidence.passed

    @property
    def level(self) -> Level | None:
        """The highest level that the backup has ever reached."""
        return level_reached(self.metadata, self.proof)

    @property
    def proof_path(self) -> Path:
        """The path of the proof's file."""
        return proof_path(self.path)


def prove_backup(
    backup: StoredBackup,
    options: ProveOptions,
    context: Context,
    *,
    between: Callable[[str], None] | None = None,
) -> ProofResult:
    """Verify, restore and compare one backup, and write the proof beside it.

    A dump without metadata is compared with its own rows, and nothing is written beside it.

    ``between`` is called with the connection string of the restored database before anything is
    compared; the comparison then waits for the whole restore. Differences are part of the result.
    Raises VerificationFailed if the file is not the one that its metadata describe, CannotBeProven,
    and the errors of servers and tools.
    """
    reporter = context.reporter
    with backup.held(), reporter.collecting() as warnings:
        metadata = described(backup, context)
        try:
            toc = contents(backup, metadata, context)
            with backup.at_hand() as fetched:
                request = ProofRequest(fetched, metadata, toc, options, reporter, between)
                evidence, address, retried = _shown(request, context)
        except (UnreadableFile, AccessDenied) as error:
            if error.facts.get("File") == str(backup.path):  # and not a file on another disk
                unreadable = Unreadable(context.now(), error.cause)
                record_unreadable(backup, metadata, unreadable, warn=reporter.warn)
            raise
        proof = record(backup, metadata, evidence, warn=reporter.warn)
    return ProofResult(backup.path, metadata, evidence, proof, address, tuple(warnings), retried)


def _shown(
    request: ProofRequest, context: Context
) -> tuple[Evidence, Address | None, tuple[RetriedEntry, ...]]:
    started = time.monotonic()
    with ExitStack() as stack:
        check = stack.enter_context(checked_aside(request.backup, request.metadata, context))
        server = stack.enter_context(proof_server(request.toc, request.options, context))
        check()
        facts = {"Backup": str(request.backup.path), "Server": server.description}
        try:
            compared = restore_and_compare(request, server)
        except psycopg.Error as error:
            raise translated(error, server).with_facts(facts) from error
        except PgvowError as error:
            raise error.with_facts(facts) from None
    seconds = time.monotonic() - started
    evidence = _evidence(server, compared, context.now(), seconds)
    time_taken = recovery_time(request, compared, throwaway=server.is_throwaway)
    evidence = replace(evidence, recovery=time_taken, needs=recovery_needs(request))
    return evidence, server.address, tuple(compared.filled.filling.retried)


def _evidence(
    server: ProofServer, compared: ComparedDatabase, at: datetime, seconds: float
) -> Evidence:
    rows = compared.comparison
    loosening = compared.filled.filling.loosening
    broken = loosening.loosened if loosening and not compared.differences else ()
    return Evidence(
        level=Level.PROVEN,
        at=at,
        seconds=round(seconds, 3),
        tables=rows.tables if rows else 0,
        rows=rows.rows if rows else 0,
        differences=compared.differences,
        server_version=server.version,
        restore_seconds=round(compared.filled.seconds, 3),
        pgvow_version=__version__,
        broken_rules=tuple(each.shown for each in broken),
    )


def described(backup: StoredBackup, context: Context) -> Metadata:
    """Return the metadata of a dump, made of itself if it has none.

    Raises VerificationFailed if it is missing or does not decode.
    """
    try:
        backup.size()
    except FileNotFoundError:
        raise VerificationFailed("no such file", facts={"File": str(backup.path)}) from None
    except AccessDenied as error:
        with suppress(PgvowError):
            unreadable = Unreadable(context.now(), error.cause)
            record_unreadable(backup, backup.metadata(), unreadable, warn=context.reporter.warn)
        raise
    return foreign.described(backup, context)


@contextmanager
def checked_aside(
    backup: StoredBackup, metadata: Metadata, context: Context
) -> Iterator[Callable[[], None]]:
    """Take the file's checksum in a thread while the block does something else.

    Yields a function that waits for it, and raises VerificationFailed if the file is not the one
    that was written. Leaving the block ends the reading. Until the function returns, only the
    thread uses the context's reporter.
    """
    unwanted = Event()
    started = time.monotonic()
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        reading = pool.submit(hash_backup, backup, context.reporter, unwanted=unwanted.is_set)

        def check() -> None:
            checksum, size = reading.result()
            actual = f"{size:,} bytes, {checksum}, as {backup.name}"
            expected = (
                f"{metadata.backup_size_bytes:,} bytes, {metadata.checksum_sha256},"
                f" as {metadata.backup_file}"
            )
            if actual != expected:
                difference = Difference(DifferenceKind.FILE, "checksum", expected, actual)
                cause = "the file is not the one that its metadata describe"
                raise _refuted(backup, metadata, difference, cause, started, context)

        try:
            yield check
        finally:
            unwanted.set()


def contents(backup: StoredBackup, metadata: Metadata, context: Context) -> TableOfContents:
    """Read the table of contents; raises VerificationFailed if it is damaged.

    Raises ArchiveTooNew if only a newer pgvow reads it; nothing is recorded then.
    """
    started = time.monotonic()
    try:
        with backup.open_dump() as file:
            return read_toc(file)
    except ArchiveTooNew:
        raise  # that we cannot read it is no evidence about the file
    except ArchiveError as error:
        difference = Difference(
            DifferenceKind.CONTENTS, "the table of contents", "readable", str(error)
        )
        raise _refuted(backup, metadata, difference, str(error), started, context) from error


def _refuted(
    backup: StoredBackup,
    metadata: Metadata,
    difference: Difference,
    cause: str,
    started: float,
    context: Context,
) -> VerificationFailed:
    """Record beside the file that it failed, and return the error to raise."""
    evidence = Evidence(
        level=Level.VERIFIED,
        at=context.now(),
        seconds=round(time.monotonic() - started, 3),
        differences=(difference,),
        pgvow_version=__version__,
    )
    record(backup, metadata, evidence, warn=context.reporter.warn)
    return VerificationFailed(
        cause,
        facts={
            "File": str(backup.path),
            "Expected": difference.expected,
            "Found": difference.found,
        },
        steps=[f"See what is wrong with it: pgvow verify --deep {backup.path}"],
    )
