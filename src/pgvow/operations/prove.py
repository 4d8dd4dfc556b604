"""Prove a backup: restore it on a server of its own, and compare what came back.

Three outcomes. *Proven*: every table's rows and fingerprint, every sequence, the large objects and
the schema are the backup's. *Differs*: something is not, and it is told. *Cannot be proven here*
(the error CannotBeProven): an extension, a collation or a right is not to be had, which says
nothing of the backup.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from pgvow import __version__
from pgvow.archive import ArchiveError, database_locale, read_toc, roles_named, superusers_named
from pgvow.errors import ConfigurationError, PgvowError, VerificationFailed
from pgvow.model import BackupStatus, Difference, Level, Proof
from pgvow.operations.comparison import compare_database
from pgvow.operations.hashing import hash_file
from pgvow.operations.prove_obstacles import refuse_missing_extensions, restore_difference
from pgvow.operations.prove_place import chosen_place
from pgvow.operations.schema_comparison import compare_schemas
from pgvow.postgres.restoring import RestoreError, restore
from pgvow.postgres.scratch_database import (
    locale_at_hand,
    open_session,
    scratch_database,
    stub_roles,
)
from pgvow.progress import Step
from pgvow.store import LocalStore, load_metadata, write_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pgvow.archive import Entry, TableOfContents
    from pgvow.model import Metadata
    from pgvow.operations.comparison import Comparison
    from pgvow.operations.prove_place import Chosen
    from pgvow.postgres.connection import Session
    from pgvow.postgres.restoring import Tools
    from pgvow.progress import Progress

_MOST_JOBS = 8
_LEAST_JOBS = 2  # a serial pg_restore refills the free space of earlier pages: another order


@dataclass(frozen=True, slots=True)
class ProveOptions:
    """What may be chosen for one proof.

    ``on`` is the connection string of a server to prove it on, instead of a throw-away one;
    ``jobs`` how many workers restore, 2 at least, by default as many as there are processors.
    """

    on: str | None = field(default=None, repr=False)  # there may be a password in it
    jobs: int | None = None

    @property
    def workers(self) -> int:
        """How many workers restore."""
        return max(_LEAST_JOBS, self.jobs or min(os.cpu_count() or 1, _MOST_JOBS))


@dataclass(frozen=True, slots=True)
class ProofResult:
    """What was found out of one backup, and where it is written."""

    path: Path
    metadata: Metadata
    proof: Proof
    proof_path: Path
    warnings: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether what came back is what was there."""
        return self.proof.level is Level.PROVEN


@dataclass(frozen=True, slots=True)
class _Run:
    """One proof under way."""

    path: Path
    metadata: Metadata
    toc: TableOfContents
    options: ProveOptions
    progress: Progress
    between: Callable[[str], None]
    warnings: list[str]

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.progress.warn(message)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a restore and its comparison came to; ``comparison`` is None where it did not end."""

    differences: tuple[Difference, ...]
    comparison: Comparison | None
    restore_seconds: float


def newest_backup(directory: Path, environment: str | None) -> Path:
    """Find the newest whole backup of a directory; raises ConfigurationError without any."""
    for backup in LocalStore(directory).list():
        if backup.status is BackupStatus.OK and environment in (None, backup.environment):
            return backup.path
    of = f" of environment {environment}" if environment else ""
    raise ConfigurationError(
        f"there is no backup{of} in {directory}",
        facts={"Directory": str(directory)},
        steps=["See what there is: pgvow list", "Make one: pgvow backup"],
    )


def prove_backup(
    path: Path,
    options: ProveOptions,
    *,
    pg_bin: Path | None,
    environ: Mapping[str, str],
    progress: Progress,
    between: Callable[[str], None] = lambda _: None,
) -> ProofResult:
    """Verify, restore and compare one backup, and write what came of it beside it.

    ``between`` is called with the connection string of the restored database, before anything is
    compared. Differences are part of the result. Raises VerificationFailed where the file is not
    the one its metadata describe, CannotBeProven, and what a server or a tool refuses otherwise.
    """
    started = time.monotonic()
    metadata = _verified(path, progress)
    run = _Run(path, metadata, _contents(path), options, progress, between, [])
    with ExitStack() as stack:
        chosen = stack.enter_context(
            chosen_place(run.toc, on=options.on, pg_bin=pg_bin, environ=environ)
        )
        try:
            outcome = _restore_and_compare(run, chosen)
        except psycopg.Error as error:
            raise PgvowError(str(error).strip(), facts=_facts(run, chosen)) from error
        except PgvowError as error:
            raise error.with_facts(_facts(run, chosen)) from None
    proof = _proof(run, chosen, outcome, time.monotonic() - started)
    return ProofResult(path, metadata, proof, write_proof(path, proof), tuple(run.warnings))


def _verified(path: Path, progress: Progress) -> Metadata:
    """Make sure that the file is the one that was written; raises VerificationFailed."""
    if not path.is_file():
        raise VerificationFailed("no such file", facts={"File": str(path)})
    metadata = load_metadata(path)
    checksum, size = hash_file(path, progress)
    found = (path.name, size, checksum)
    if found != (metadata.backup_file, metadata.backup_size_bytes, metadata.checksum_sha256):
        raise VerificationFailed(
            "the file is not the one that its metadata describe",
            facts={
                "File": str(path),
                "Expected": f"{metadata.backup_size_bytes:,} bytes, {metadata.checksum_sha256}",
                "Found": f"{size:,} bytes, {checksum}",
            },
            steps=[f"See what is wrong with it: pgvow verify --deep {path}"],
        )
    return metadata


def _contents(path: Path) -> TableOfContents:
    try:
        with path.open("rb") as file:
            return read_toc(file)
    except ArchiveError as error:
        raise VerificationFailed(str(error), facts={"File": str(path)}) from error


def _facts(run: _Run, chosen: Chosen) -> dict[str, str]:
    return {"Backup": str(run.path), "Server": chosen.description}


def _restore_and_compare(run: _Run, chosen: Chosen) -> _Outcome:
    encoding = run.toc.encoding
    with ExitStack() as stack:
        session = stack.enter_context(open_session(chosen.tools.place, chosen.database))
        refuse_missing_extensions(session, run.toc)
        superusers = superusers_named(run.toc) if chosen.is_throwaway else ()
        stack.enter_context(stub_roles(session, roles_named(run.toc), superusers=superusers))
        locale, lacking = locale_at_hand(
            session, encoding=encoding, locale=database_locale(run.toc)
        )
        if lacking:
            run.warn(f"the source's collation is not to be had here, proving with C: {lacking}")

        def database() -> str:
            made = scratch_database(session, chosen.tools.place, encoding=encoding, locale=locale)
            return stack.enter_context(made)

        return _fill_and_compare(run, chosen, session, database, lacking)


def _fill_and_compare(
    run: _Run,
    chosen: Chosen,
    session: Session,
    database: Callable[[], str],
    lacking: str | None,
) -> _Outcome:
    entries = _wanted(run.toc, session)
    restored = database()
    started = time.monotonic()
    error = _restore(run, chosen.tools, restored, entries)
    seconds = time.monotonic() - started
    if error is None:
        run.between(chosen.tools.place.conninfo(restored))
        comparison = _compare(run, chosen.tools, restored)
        error = _restore(run, chosen.tools, reference := database(), entries, schema_only=True)
    if error is not None:
        difference = restore_difference(error, run.toc, lacking=lacking)
        return _Outcome((difference,), None, seconds)
    run.progress.update(Step("comparing schemas"))
    schema = tuple(compare_schemas(chosen.tools, restored, reference, entries))
    return _Outcome((*comparison.differences, *schema), comparison, seconds)


def _restore(
    run: _Run,
    tools: Tools,
    dbname: str,
    entries: tuple[Entry, ...],
    *,
    schema_only: bool = False,
) -> RestoreError | None:
    phase = "restoring the schema again" if schema_only else "restoring"
    started = time.monotonic()

    def tick() -> None:
        run.progress.update(Step(phase, detail=f"{time.monotonic() - started:.0f} s"))

    return restore(
        tools,
        run.path,
        dbname,
        entries=entries,
        jobs=run.options.workers,
        schema_only=schema_only,
        tick=tick,
    )


def _compare(run: _Run, tools: Tools, dbname: str) -> Comparison:
    with ExitStack() as stack:
        first, *more = (
            stack.enter_context(open_session(tools.place, dbname))
            for _ in range(run.options.workers)
        )
        return compare_database(first, run.metadata, run.path, progress=run.progress, more=more)


def _wanted(toc: TableOfContents, session: Session) -> tuple[Entry, ...]:
    """Return what is restored: all but what is known to fail, and harmless where it does.

    The schema ``public`` is there already, and only the owner of an extension, who is a superuser,
    may comment on it.
    """
    above = session.info.parameter_status("is_superuser") == "on"
    return tuple(
        entry
        for entry in toc.entries
        if not (entry.desc == "SCHEMA" and entry.tag == "public" and "CREATE" in entry.defn)
        and not (entry.desc == "COMMENT" and entry.tag.startswith("EXTENSION ") and not above)
    )


def _proof(run: _Run, chosen: Chosen, outcome: _Outcome, seconds: float) -> Proof:
    compared = outcome.comparison
    return Proof(
        proved_at=datetime.now(UTC).replace(microsecond=0),
        level=Level.VERIFIED if outcome.differences else Level.PROVEN,
        backup_file=run.path.name,
        checksum_sha256=run.metadata.checksum_sha256,
        server_version=chosen.version,
        seconds=round(seconds, 3),
        restore_seconds=round(outcome.restore_seconds, 3),
        tables=compared.tables if compared else 0,
        rows=compared.rows if compared else 0,
        differences=outcome.differences,
        pgvow_version=__version__,
    )
