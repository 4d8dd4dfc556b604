"""Each command: options, the operation, its rendering, the exit code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import settings
from pgvow.cli.commands.config import config
from pgvow.cli.commands.diff import diff
from pgvow.cli.commands.extract import extract
from pgvow.cli.commands.notify import notify
from pgvow.cli.commands.prove import prove
from pgvow.cli.commands.prune import prune, prune_after_backup
from pgvow.cli.commands.restore import restore
from pgvow.cli.commands.schedule import schedule
from pgvow.cli.commands.show import show
from pgvow.cli.commands.status import history, status
from pgvow.cli.configured import directories_of, environment_of
from pgvow.cli.options import is_parallel, selection
from pgvow.cli.patience import patient
from pgvow.cli.printing import print_result
from pgvow.cli.progress import TerminalProgress
from pgvow.cli.watch import ended
from pgvow.errors import BackupFailed, NoVerdict, PgvowError, VerificationFailed
from pgvow.operations.verify.verification import exit_code
from pgvow.store import DirectoryStore, StoredBackup, backups_in
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from pgvow.cli.watch import Watch
    from pgvow.model import Backup
    from pgvow.operations.verify.verification import Verification


def backup(arguments: argparse.Namespace) -> int:
    """Make a backup."""
    from pgvow.engine import DumpOptions  # noqa: PLC0415
    from pgvow.model import Compress  # noqa: PLC0415
    from pgvow.operations.backup import BackupOptions, make_backup  # noqa: PLC0415

    chosen = settings.load(
        env=arguments.env,
        environ=os.environ,
        directory=Path(),
        environments=arguments.configuration.environments,
    )
    options = BackupOptions(
        output_dir=arguments.output_dir,
        space_factor=arguments.space_factor,
        lock_wait_timeout=arguments.lock_wait_timeout,
        with_globals=not arguments.no_globals,
        inspect=not arguments.no_inspect,
        dump=DumpOptions(
            parallel=is_parallel(arguments),
            jobs=arguments.jobs,
            compress=arguments.compress or Compress(),
            selection=selection(arguments),
            statistics=arguments.statistics,
        ),
    )
    watch = arguments.watch
    watch.found(
        environment=chosen.environment,
        database=chosen.connection.dbname,
        selection=options.dump.selection,
    )
    watch.before()
    with (
        TerminalProgress(quiet=arguments.quiet) as progress,
        patient(arguments, progress, BackupFailed) as timed,
    ):
        result = make_backup(chosen, options, environ=os.environ, progress=timed)
    watch.about(result.backup.path, result.metadata, result.backup.level)
    pruned = prune_after_backup(arguments, chosen.environment)
    if arguments.quiet and not arguments.json:
        return 0  # what draws text is slow to load
    from rich.console import Group  # noqa: PLC0415

    from pgvow.cli.render.backup import backup_object, backup_text  # noqa: PLC0415
    from pgvow.cli.render.prune import outcome_object, outcome_text  # noqa: PLC0415

    print_result(
        arguments,
        lambda: {**backup_object(result), **outcome_object(pruned)},
        lambda: Group(backup_text(result), *outcome_text(pruned)),
    )
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check one backup."""
    from pgvow.operations.verify import verify_and_record  # noqa: PLC0415

    pg_bin = settings.load_pg_bin(environ=os.environ, directory=Path())
    if arguments.all:
        return _verify_all(arguments, pg_bin)
    arguments.watch.begins(arguments.file)
    with (
        TerminalProgress(quiet=arguments.quiet) as progress,
        patient(arguments, progress, PgvowError) as timed,
    ):
        result = verify_and_record(
            StoredBackup.at(arguments.file),
            pg_bin=pg_bin,
            environ=os.environ,
            progress=timed,
            deep=arguments.deep,
        )
    arguments.watch.about(result.path, result.metadata, result.proof and result.proof.level)
    if not result.passed:
        arguments.watch.differs(VerificationFailed.title, _failures(result))
    elif arguments.quiet and not arguments.json:
        return 0  # what draws text is slow to load
    from pgvow.cli.render.verify import verification_object, verification_text  # noqa: PLC0415

    print_result(
        arguments,
        lambda: verification_object(result),
        lambda: verification_text(result),
        good=result.passed,
    )
    return 0 if result.passed else VerificationFailed.exit_code


def _failures(result: Verification) -> list[str]:
    return [
        f"{result.path.name}: {check.name}: {check.expected} expected, {check.found} found"
        for check in result.checks
        if not check.passed
    ]


def _verify_all(arguments: argparse.Namespace, pg_bin: Path | None) -> int:
    from pgvow.cli.render.verify import verification_object, verifications_text  # noqa: PLC0415
    from pgvow.operations.verify import verify_all  # noqa: PLC0415

    directories = directories_of(arguments)
    with (
        TerminalProgress(quiet=arguments.quiet) as progress,
        patient(arguments, progress, PgvowError) as timed,
    ):
        results = verify_all(
            [DirectoryStore(directory) for directory in directories],
            environment=environment_of(arguments),
            pg_bin=pg_bin,
            environ=os.environ,
            progress=timed,
            deep=arguments.deep,
        )
    code = exit_code(results)
    if code:
        failures = [failure for result in results for failure in _failures(result)]
        is_failure = code == VerificationFailed.exit_code
        title = VerificationFailed.title if is_failure else NoVerdict.title
        arguments.watch.differs(title, failures)
    _record_each(arguments.watch, results)
    print_result(
        arguments,
        lambda: [verification_object(result) for result in results],
        lambda: verifications_text(results, directories),
        good=not code,
    )
    return code


def _record_each(watch: Watch, results: Sequence[Verification]) -> None:
    """Leave word of each database apart: a damaged file of one is no alarm of another."""
    found: dict[tuple[Path, str | None, str | None, tuple[str, ...]], list[Verification]] = {}
    for result in results:
        selection = result.metadata.selection if result.metadata else ()
        subject = (result.path.parent, *_names(result), selection)
        found.setdefault(subject, []).append(result)
    for (directory, environment, database, selection), its in found.items():
        failures = [failure for result in its for failure in _failures(result)]
        bad = [result for result in its if not result.passed]
        lacks = [one.refusal for one in bad if one.refusal and one.no_verdict is not None]
        error = type(lacks[0]) if bad and len(lacks) == len(bad) else VerificationFailed
        watch.part(
            directory,
            **ended(error, failures if bad else None),
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


def list_backups(arguments: argparse.Namespace) -> int:
    """List the backups of every directory, or of one."""
    from pgvow.cli.render.listing import listing_object, listing_text  # noqa: PLC0415

    chosen = environment_of(arguments)
    directories = directories_of(arguments)
    selection_of = arguments.configuration.selection_of
    found = [
        backup
        for directory in directories
        for backup in backups_in(DirectoryStore(directory))
        if chosen is None or backup.environment == chosen
    ]
    backups = sorted(found, key=_made_at, reverse=True)
    print_result(
        arguments,
        lambda: listing_object(backups, selection_of),
        lambda: listing_text(backups, directories, selection_of),
    )
    return 0


def _made_at(backup: Backup) -> float:
    return backup.timestamp.timestamp() if backup.timestamp else float("-inf")


def doctor(arguments: argparse.Namespace) -> int:
    """Check everything a backup needs."""
    from pgvow.cli.render.doctor import ExaminationText, examination_object  # noqa: PLC0415
    from pgvow.operations.health.doctor import examine  # noqa: PLC0415

    result = examine(
        env=arguments.env,
        output_dir=arguments.output_dir,
        environ=os.environ,
        directory=Path(),
        configuration=arguments.configuration,
        unreadable=arguments.unreadable,
    )
    print_result(
        arguments,
        lambda: examination_object(result),
        lambda: ExaminationText(result),
        good=result.exit_code == 0,
    )
    return result.exit_code


def demo(arguments: argparse.Namespace) -> int:
    """Show it all on a throw-away server."""
    from pgvow.cli.demo import run_demo  # noqa: PLC0415

    return run_demo(arguments)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "backup": backup,
    "verify": verify,
    "list": list_backups,
    "restore": restore,
    "prove": prove,
    "prune": prune,
    "status": status,
    "history": history,
    "notify": notify,
    "config": config,
    "schedule": schedule,
    "show": show,
    "extract": extract,
    "diff": diff,
    "doctor": doctor,
    "demo": demo,
}
