"""Prove a backup: restore it on a server of its own, and compare what came back.

Three outcomes. *Proven*: every table's rows and fingerprint, every sequence, the large objects and
the schema are the backup's. *Differs*: something is not, and it is told. *Cannot be proven here*
(the error CannotBeProven): an extension, a collation or a right is not to be had, which says
nothing of the backup.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgvow import __version__
from pgvow.errors import AccessDenied, ConfigurationError, PgvowError, UnreadableFile
from pgvow.model import BackupStatus, Evidence, Level, is_partial, level_reached
from pgvow.operations.prove.evidence import translated
from pgvow.operations.prove.file import checked_aside, contents, described, now
from pgvow.operations.prove.place import ProveOptions, chosen_place, require_space
from pgvow.operations.prove.run import Run, restore_and_compare
from pgvow.operations.verify.recording import record, record_unreadable
from pgvow.store import DirectoryStore, StoredBackup, backups_in, being_read, proof_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pgvow.model import Backup, Metadata, Proof
    from pgvow.operations.prove.place import Chosen
    from pgvow.operations.prove.run import Outcome
    from pgvow.progress import Progress

__all__ = ["ProofResult", "ProveOptions", "newest_backup", "prove_backup"]


@dataclass(frozen=True, slots=True)
class ProofResult:
    """What was found out of one backup.

    ``proof`` is all that has been shown of it by now, None where that could not be written.
    """

    path: Path
    metadata: Metadata
    evidence: Evidence
    proof: Proof | None
    warnings: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether what came back is what was there."""
        return self.evidence.passed

    @property
    def level(self) -> Level | None:
        """The highest level that the backup has ever reached."""
        return level_reached(self.metadata, self.proof)

    @property
    def proof_path(self) -> Path:
        """Where the proof is kept."""
        return proof_path(self.path)


def newest_backup(
    directories: Sequence[Path],
    environment: str | None,
    selection_of: Callable[[str | None], tuple[str, ...]],
) -> Path:
    """Find the newest backup in some directories that is of a whole database.

    ``selection_of`` an environment is what counts as its whole. Raises ConfigurationError if there
    is none.
    """
    found = [
        backup
        for directory in directories
        for backup in backups_in(DirectoryStore(directory))
        if backup.status is BackupStatus.OK and environment in (None, backup.environment)
    ]
    whole = [one for one in found if not is_partial(one.selection, selection_of(one.environment))]
    if whole:
        return max(whole, key=_made_at).path
    of = f" of environment {environment}" if environment else ""
    where = ", ".join(map(str, directories))
    raise ConfigurationError(
        f"there is no backup{of} of a whole database in {where}, only of parts"
        if found
        else f"there is no backup{of} in {where}",
        facts={"Directory": where},
        steps=[
            "See what there is: pgvow list",
            "Make one: pgvow backup",
            *(["Prove a part by its name: pgvow prove FILE"] if found else []),
        ],
    )


def _made_at(backup: Backup) -> float:
    return backup.timestamp.timestamp() if backup.timestamp else 0.0


def prove_backup(
    path: Path,
    options: ProveOptions,
    *,
    pg_bin: Path | None,
    environ: Mapping[str, str],
    progress: Progress,
    between: Callable[[str], None] | None = None,
) -> ProofResult:
    """Verify, restore and compare one backup, and write what came of it beside it.

    ``between`` is called with the connection string of the restored database, before anything is
    compared, which then waits for the whole restore. Differences are part of the result. Raises
    VerificationFailed where the file is not the one its metadata describe, CannotBeProven, and what
    a server or a tool refuses otherwise.
    """
    with being_read(path):
        metadata = described(path, progress)
        try:
            toc = contents(path, metadata, progress)
            run = Run(path, metadata, toc, options, progress, between)
            evidence = _shown(run, pg_bin, environ)
        except (UnreadableFile, AccessDenied) as error:
            if error.facts.get("File") == str(path):  # and not a file on another disk
                record_unreadable(StoredBackup.at(path), metadata, error.cause, warn=progress.warn)
            raise
        proof = record(StoredBackup.at(path), metadata, evidence, warn=run.warn)
    return ProofResult(path, metadata, evidence, proof, tuple(run.warnings))


def _shown(run: Run, pg_bin: Path | None, environ: Mapping[str, str]) -> Evidence:
    started = time.monotonic()
    with ExitStack() as stack:
        check = stack.enter_context(checked_aside(run.path, run.metadata, run.progress))
        chosen = stack.enter_context(
            chosen_place(run.toc, run.options, pg_bin=pg_bin, environ=environ)
        )
        check()
        try:
            require_space(chosen, run.metadata, warn=run.warn)
            outcome = restore_and_compare(run, chosen)
        except psycopg.Error as error:
            raise translated(error, chosen).with_facts(_facts(run, chosen)) from error
        except PgvowError as error:
            raise error.with_facts(_facts(run, chosen)) from None
    return _evidence(chosen, outcome, time.monotonic() - started)


def _facts(run: Run, chosen: Chosen) -> dict[str, str]:
    return {"Backup": str(run.path), "Server": chosen.description}


def _evidence(chosen: Chosen, outcome: Outcome, seconds: float) -> Evidence:
    compared = outcome.comparison
    return Evidence(
        level=Level.PROVEN,
        at=now(),
        seconds=round(seconds, 3),
        tables=compared.tables if compared else 0,
        rows=compared.rows if compared else 0,
        differences=outcome.differences,
        server_version=chosen.version,
        restore_seconds=round(outcome.restore_seconds, 3),
        pgvow_version=__version__,
    )
