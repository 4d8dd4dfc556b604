"""Backup, check, proof, restore and pruning as recorded runs; an outcome for each database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.errors import (
    BackupFailed,
    CannotBeProven,
    NoVerdict,
    PgvowError,
    RestoreFailed,
    VerificationFailed,
)
from pgvow.operations.backup import make_backup
from pgvow.operations.prove import prove_backup
from pgvow.operations.prune import PruneOptions, prune, together
from pgvow.operations.recorded import fields_of_end, patient
from pgvow.operations.remove import remove_backups
from pgvow.operations.restore import restore_backup
from pgvow.operations.restore.beside import restore_beside
from pgvow.operations.restore.rescue import LOOSENED
from pgvow.operations.sheet import SheetOptions, recovery_sheet
from pgvow.operations.sheet.pages import write_page
from pgvow.operations.verify import verify_all, verify_and_record
from pgvow.operations.verify.verification import exit_code
from pgvow.store import DirectoryStore, StoredBackup
from pgvow.store.backups import directories
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pgvow.operations.backup import BackupOptions, BackupResult
    from pgvow.operations.context import Context
    from pgvow.operations.prove import ProofResult, ProveOptions
    from pgvow.operations.prune import NotRemoved, PruneResult
    from pgvow.operations.recorded import RecordedRun
    from pgvow.operations.remove import Removal, RemoveOptions
    from pgvow.operations.restore import RestoreOptions, RestoreResult
    from pgvow.operations.restore.beside import BesideResult
    from pgvow.operations.restore.beside_plan import BesideOptions
    from pgvow.operations.verify import VerifyOptions
    from pgvow.operations.verify.verification import Verification
    from pgvow.postgres.watchdog import Patience
    from pgvow.settings import Settings


@dataclass(frozen=True, slots=True)
class BackupAndPruning:
    """A backup that was made; ``pruned`` is None unless the settings prune after it."""

    result: BackupResult
    pruned: PruneResult | None


def back_up(
    context: Context,
    run: RecordedRun,
    settings: Settings,
    options: BackupOptions,
    patience: Patience,
) -> BackupAndPruning:
    """Make a backup between its hooks, and prune after it; raises the errors of a backup."""
    run.note(
        environment=settings.environment,
        database=settings.connection.dbname,
        selection=options.dump.selection,
    )
    run.begin_work()
    with patient(context, patience, BackupFailed):
        result = make_backup(settings, options, context)
    run.note_backup(result.backup.path, result.metadata, result.backup.level)
    return BackupAndPruning(
        result, prune_after(context, run, options.output_dir, settings.environment)
    )


def verify_file(
    context: Context,
    run: RecordedRun,
    path: Path,
    options: VerifyOptions,
    patience: Patience,
) -> Verification:
    """Verify one backup; the run fails if a check does."""
    run.note_file(path)
    with patient(context, patience, PgvowError):
        result = verify_and_record(StoredBackup.at(path), options, context)
    level = result.proof.level if result.proof is not None else None
    run.note_backup(result.path, result.metadata, level)
    if not result.passed:
        run.fail(VerificationFailed, _failures([result]))
    return result


def verify_directories(
    context: Context,
    run: RecordedRun,
    directories: Sequence[Path],
    options: VerifyOptions,
    patience: Patience,
) -> tuple[Verification, ...]:
    """Verify the backups of some directories; see ``verify_file``."""
    with patient(context, patience, PgvowError):
        stores = [DirectoryStore(directory) for directory in directories]
        results = verify_all(stores, options, context)
    if code := exit_code(results):
        is_failure = code == VerificationFailed.exit_code
        title = VerificationFailed.title if is_failure else NoVerdict.title
        run.fail_with(code, title, _failures(results))
    _add_parts(run, results)
    return results


def prove_file(
    context: Context, run: RecordedRun, path: Path, options: ProveOptions, patience: Patience
) -> ProofResult:
    """Prove one backup; the run fails if something differs. Raises CannotBeProven."""
    run.note_file(path)
    with patient(context, patience, PgvowError):
        result = prove_backup(StoredBackup.at(path), options, context)
    run.note_backup(result.path, result.metadata, result.level)
    if not result.proven:
        run.fail(VerificationFailed, [str(each) for each in result.evidence.differences])
    sheet_after(context, path.parent)
    return result


def sheet_after(context: Context, directory: Path) -> None:
    """Write the recovery sheet anew after a proof, if the settings say so; errors are warnings."""
    section = context.configuration.recovery_sheet
    if not section.after_proof or section.output is None:
        return
    try:
        places = directories(context.configuration, directory)
        sheet = recovery_sheet(places, SheetOptions(), context)
        write_page(sheet, section.format, section.output)
    except PgvowError as error:
        context.reporter.insist(f"the recovery sheet was not written: {error.cause}")


def restore_file(
    context: Context,
    run: RecordedRun,
    settings: Settings,
    path: Path,
    options: RestoreOptions,
    patience: Patience,
) -> RestoreResult:
    """Restore one backup; a run that could not compare ends with the code of CannotBeProven.

    One with something loosened ends with 14.
    """
    run.note(environment=settings.environment, database=options.database, file=path.name)
    with patient(context, patience, RestoreFailed):
        result = restore_backup(settings, StoredBackup.at(path), options, context)
    if result.not_compared is not None:
        run.exit_code = CannotBeProven.exit_code
    elif result.rescue.loosened:
        run.exit_code = LOOSENED
    return result


def restore_file_beside(
    context: Context,
    run: RecordedRun,
    settings: Settings,
    path: Path,
    options: BesideOptions,
    patience: Patience,
) -> BesideResult:
    """Copy tables into a living database; see ``restore_file``."""
    run.note(environment=settings.environment, database=options.database, file=path.name)
    with patient(context, patience, RestoreFailed):
        done = restore_beside(settings, StoredBackup.at(path), options, context)
    run.exit_code = 0 if done.result.not_compared is None else CannotBeProven.exit_code
    return done


def _failures(results: Sequence[Verification]) -> list[str]:
    return [
        f"{result.path.name}: {check.name}: {check.expected} expected, {check.found} found"
        for result in results
        if result.failed
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
        bad = [result for result in group if result.failed]
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


def remove_named(
    context: Context, run: RecordedRun, dumps: Sequence[Path], options: RemoveOptions
) -> tuple[Removal, ...]:
    """Remove the backups with these dumps; each of several has an outcome of its own."""
    if len(dumps) == 1:
        run.note_file(dumps[0])
    removed = remove_backups(dumps, options, context)
    if options.dry_run:
        run.note(removed=0)
        return removed
    run.note(removed=len(removed), freed=sum(each.size_bytes for each in removed))
    for each in removed if len(dumps) > 1 else ():
        run.add_part(
            each.backup.path.parent,
            **fields_of_end(PgvowError, None),
            environment=each.backup.environment,
            database=each.backup.database,
            selection=each.backup.selection,
            file=each.backup.path.name,
            removed=1,
            freed=each.size_bytes,
        )
    return removed


def prune_directories(
    context: Context, run: RecordedRun, options: PruneOptions, directories: Sequence[Path]
) -> PruneResult:
    """Prune each directory by the same options, and return the results as one.

    The run fails if a backup could not be removed; one that is in use is a warning.
    """
    results = []
    for directory in directories:
        result = prune(replace(options, output_dir=directory), context)
        _add_pruned(run, directory, result)
        results.append(result)
    whole = together(results)
    run.note(environment=options.environment, removed=len(whole.removed), freed=whole.freed_bytes)
    for reason in _reasons(left for left in whole.left if left.is_busy):
        context.reporter.keep(reason)  # the result shows it
    if whole.refused:
        run.fail(PgvowError, _reasons(whole.refused))
    return whole


def prune_after(
    context: Context, run: RecordedRun, directory: Path, environment: str
) -> PruneResult | None:
    """Prune an environment after a backup, if the settings say so; errors are warnings."""
    section = context.configuration.retention_of(environment)
    if not section.prune_after_backup:
        return None
    warn = context.reporter.insist
    if not section.rules:
        warn("prune_after_backup without any keep_… in [retention] prunes nothing")
        return None
    wanted = PruneOptions(directory, lambda _: section.rules, environment)
    try:
        result = prune(wanted, context)
    except PgvowError as error:
        warn(f"nothing was pruned: {error.cause}")
        return None
    for reason in _reasons(result.left):
        warn(f"not pruned: {reason}")
    run.note(removed=len(result.removed), freed=result.freed_bytes)
    return result


def _add_pruned(run: RecordedRun, directory: Path, result: PruneResult) -> None:
    """Add an outcome for each database: a backup that could not be removed is its alarm alone."""
    for group in result.groups:
        removed, refused = result.of(group)
        database, environment = group
        run.add_part(
            directory,
            **fields_of_end(PgvowError, _reasons(refused) if refused else None),
            environment=environment or None,
            database=database or None,
            removed=len(removed),
            freed=result.freed_of.get(group, 0),
        )


def _reasons(all_left: Iterable[NotRemoved]) -> list[str]:
    return [f"{left.path.name}: {left.reason}" for left in all_left]
