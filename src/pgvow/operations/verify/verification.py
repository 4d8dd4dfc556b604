"""The result of verifying a backup: its checks, that of its structure, and the evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.archive import ArchiveError, ArchiveTooNew, OtherFormat, read_toc
from pgvow.errors import AccessDenied, ToolUnsuitable, UnreadableFile, VerificationFailed
from pgvow.model import Difference, DifferenceKind, Evidence, Level
from pgvow.postgres.binaries import install_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.errors import PgvowError
    from pgvow.model import Metadata, Proof
    from pgvow.operations.verify.inspect import DeepCheck
    from pgvow.postgres.binaries import Installation
    from pgvow.store import StoredBackup

_ARCHIVE = "the archive"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: the expected value and the one found."""

    name: str
    passed: bool
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The checks of one backup. ``passed`` only if every check passed.

    ``proof`` is all its evidence by now, None if that could not be recorded.
    ``refusal`` is the error for which it came to no verdict: no evidence against the data.
    ``acknowledged``, of one of many: since when a person knows of the fault, and their note.
    ``unchecked``, of a dump that is none of ours: the facts that no check of it can show.
    """

    path: Path
    checks: tuple[Check, ...]
    metadata: Metadata | None
    size_bytes: int | None
    deep: DeepCheck | None = None
    proof: Proof | None = None
    warnings: tuple[str, ...] = ()
    refusal: PgvowError | None = None
    acknowledged: str | None = None
    unchecked: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a check did not pass, and no person knows of that."""
        return not self.passed and self.acknowledged is None

    @property
    def unreadable(self) -> str | None:
        """Why a file of the backup cannot be read, if that is so: a state of that file."""
        is_of_file = isinstance(self.refusal, (UnreadableFile, AccessDenied))
        return self.refusal.cause if self.refusal and is_of_file else None

    @property
    def no_verdict(self) -> str | None:
        """Why the check did not end, if that is no evidence of the backup at all."""
        return self.refusal.cause if self.refusal and self.unreadable is None else None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def check(self, name: str) -> Check | None:
        """Return a check by its name; None if it was not reached."""
        return next((check for check in self.checks if check.name == name), None)


def structure(installation: Installation, complaint: str | None, made_by: str | None) -> Check:
    """Return the check of the structure, which fails for a complaint.

    ``made_by`` is the version of pg_dump, None if it is not to be believed. Raises ToolUnsuitable
    if the pg_restore at hand is only too old for the archive.
    """
    expected = "pg_restore --list succeeds"
    if complaint is None:
        return Check("structure", passed=True, expected=expected, found=expected)
    if made_by is not None:
        _refuse_too_old(installation, made_by, complaint)
    return Check("structure", passed=False, expected=expected, found=complaint)


def complaint(backup: StoredBackup, listed: str | None, *, unchanged: bool) -> str | None:
    """Judge the table of contents by our own reader too, which takes the custom format alone.

    pg_restore --list, whose complaint ``listed`` is, accepts a tar, and an archive of "-5 entries".
    Raises ArchiveTooNew if the file is the one that was written; in one that was changed since, the
    version is no more than a damaged byte.
    """
    try:
        with backup.open_dump() as file:
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


def _refuse_too_old(installation: Installation, made_by: str, complaint: str) -> None:
    """Raise ToolUnsuitable if the archive is only too new for the pg_restore at hand."""
    version = re.match("[0-9]+", made_by)  # 19beta1 is one as well
    major = int(version[0]) if version else 0
    if "unsupported version" not in complaint or installation.major >= major:
        return
    raise ToolUnsuitable(
        f"pg_restore {installation.version} cannot read an archive of"
        f" pg_dump {made_by}: {complaint}",
        facts={"pg_restore": f"{installation.version} in {installation.bin}"},
        steps=install_steps(major),
    )


def evidence_of(result: Verification, at: datetime, seconds: float) -> Evidence:
    """Return the evidence: if decoding alone failed, it is not against the lower level."""
    others = {difference.name for difference in missed(result)} - {_ARCHIVE}
    decoded = result.deep is not None and not others
    return Evidence(
        level=Level.DECODED if decoded else Level.VERIFIED,
        at=at,
        seconds=round(seconds, 3),
        tables=len(result.deep.tables) if result.deep else 0,
        rows=result.deep.rows if result.deep else 0,
        differences=tuple(missed(result)),
        pgvow_version=__version__,
    )


def missed(result: Verification) -> Iterator[Difference]:
    """Yield the checks that failed on evidence; a file that cannot be read is none."""
    for check in result.checks:
        is_unreadable = result.refusal is not None and check.found == result.refusal.cause
        if not check.passed and check.name != "contents" and not is_unreadable:
            yield Difference(DifferenceKind.FILE, check.name, check.expected, check.found)
    for difference in result.deep.differences if result.deep else ():
        yield Difference(DifferenceKind.CONTENTS, _ARCHIVE, "as recorded", difference)


def exit_code(results: Sequence[Verification]) -> int:
    """Return the exit code of all: a backup that failed comes before one without a verdict.

    One whose fault is acknowledged has failed as it did before, and counts for nothing.
    """
    if any(result.failed and result.no_verdict is None for result in results):
        return VerificationFailed.exit_code
    return next(
        (result.refusal.status for result in results if result.refusal and result.failed), 0
    )
