"""Recorded verifications, with an outcome for each database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.errors import NoVerdict, PgvowError, VerificationFailed
from pgvow.operations.recorded import fields_of_end, patient
from pgvow.operations.verify import verify_all, verify_and_record
from pgvow.operations.verify.verification import exit_code
from pgvow.store import DirectoryStore, StoredBackup
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.operations.recorded import RecordedRun
    from pgvow.operations.verify.verification import Verification
    from pgvow.postgres.silence import Patience


def verify_file(
    context: Context,
    run: RecordedRun,
    path: Path,
    patience: Patience,
    *,
    pg_bin: Path | None,
    deep: bool,
) -> Verification:
    """Verify one backup; the run fails if a check does."""
    run.note_file(path)
    with patient(context, patience, PgvowError):
        result = verify_and_record(
            StoredBackup.at(path),
            pg_bin=pg_bin,
            environ=context.environ,
            progress=context.reporter,
            deep=deep,
        )
    level = result.proof.level if result.proof is not None else None
    run.note_backup(result.path, result.metadata, level)
    if not result.passed:
        run.fail(VerificationFailed, _failures([result]))
    return result


def verify_directories(
    context: Context,
    run: RecordedRun,
    directories: Sequence[Path],
    patience: Patience,
    *,
    environment: str | None,
    pg_bin: Path | None,
    deep: bool,
) -> tuple[Verification, ...]:
    """Verify every backup of some directories, or those of an environment; see ``verify_file``."""
    with patient(context, patience, PgvowError):
        results = verify_all(
            [DirectoryStore(directory) for directory in directories],
            environment=environment,
            pg_bin=pg_bin,
            environ=context.environ,
            progress=context.reporter,
            deep=deep,
        )
    if code := exit_code(results):
        is_failure = code == VerificationFailed.exit_code
        title = VerificationFailed.title if is_failure else NoVerdict.title
        run.fail_with(code, title, _failures(results))
    _add_parts(run, results)
    return results


def _failures(results: Sequence[Verification]) -> list[str]:
    return [
        f"{result.path.name}: {check.name}: {check.expected} expected, {check.found} found"
        for result in results
        for check in result.checks
        if not check.passed
    ]


def _add_parts(run: RecordedRun, results: Sequence[Verification]) -> None:
    """Add an outcome for each database: a damaged file of one is no alarm of another."""
    by_subject: dict[tuple[Path, str | None, str | None, tuple[str, ...]], list[Verification]] = {}
    for result in results:
        selection = result.metadata.selection if result.metadata else ()
        subject = (result.path.parent, *_names(result), selection)
        by_subject.setdefault(subject, []).append(result)
    for (directory, environment, database, selection), group in by_subject.items():
        bad = [result for result in group if not result.passed]
        lacks = [each.refusal for each in bad if each.refusal and each.no_verdict is not None]
        error = type(lacks[0]) if bad and len(lacks) == len(bad) else VerificationFailed
        run.add_part(
            directory,
            **fields_of_end(error, _failures(group) if bad else None),
            environment=environment,
            database=database,
            selection=selection,
            file=bad[0].path.name if bad else None,
        )


def _names(result: Verification) -> tuple[str | None, str | None]:
    """Return environment and database by the metadata, else by the file's name, if it has ours."""
    if result.metadata is not None:
        return result.metadata.environment, result.metadata.database_name
    stem = parse_stem(result.path.name.removesuffix(DUMP))
    return (stem.environment, stem.database) if stem else (None, None)
