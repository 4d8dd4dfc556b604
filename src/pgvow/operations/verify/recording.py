"""Record the evidence of a check beside its backup, for ``list`` and for retention."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.retention import acknowledged
from pgvow.store import backup_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pgvow.model import Difference, Evidence, Metadata, Proof, Unreadable
    from pgvow.operations.verify.verification import Verification
    from pgvow.store import StoredBackup

# The first of very many are enough; the file stays small.
_MOST_KEPT = 10_000


def with_acknowledgement(backup: StoredBackup, result: Verification, now: datetime) -> Verification:
    """Add since when a person knows of the fault that a check showed, if they do."""
    has_fault = not result.passed and result.no_verdict is None
    if not has_fault or backup.notes().acknowledged is None:
        return result
    listed = backup_in(backup.store, backup.name)
    known = acknowledged(listed, now) if listed is not None else None
    return result if known is None else replace(result, acknowledged=str(known))


def record(
    backup: StoredBackup, metadata: Metadata, evidence: Evidence, *, warn: Callable[[str], None]
) -> Proof | None:
    """Add evidence to the proof beside a dump; returns None if it cannot be written.

    A directory that may only be read leads to a warning: the evidence holds all the same. Nothing
    is written beside a dump without metadata: it may not be ours.
    """
    if not backup.has_metadata:
        return None
    kept = tuple(map(_writable, evidence.differences[:_MOST_KEPT]))
    try:
        return backup.add_evidence(metadata.checksum_sha256, replace(evidence, differences=kept))
    except PgvowError as error:
        warn(f"the outcome is not kept beside the backup: {error.cause}")
        return None


def record_unreadable(
    backup: StoredBackup,
    metadata: Metadata,
    unreadable: Unreadable,
    *,
    warn: Callable[[str], None],
) -> Proof | None:
    """Record beside a dump that it cannot be read; None as for ``record``."""
    if not backup.has_metadata:
        return None
    unreadable = replace(unreadable, cause=_text(unreadable.cause))
    try:
        return backup.mark_unreadable(metadata.checksum_sha256, unreadable)
    except PgvowError as error:
        warn(f"the outcome is not kept beside the backup: {error.cause}")
        return None


def _writable(difference: Difference) -> Difference:
    """Escape the characters that JSON cannot carry: undecodable bytes of a name, and NUL."""
    return replace(
        difference,
        name=_text(difference.name),
        expected=_text(difference.expected),
        found=_text(difference.found),
    )


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0") or "nothing"
