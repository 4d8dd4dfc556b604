"""``pgvow verify``: check a backup, or all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import settings
from pgvow.cli import options
from pgvow.cli.arguments import Parser, path
from pgvow.cli.configured import directories_of, environment_of
from pgvow.cli.patience import patient
from pgvow.cli.printing import print_result
from pgvow.cli.progress import TerminalProgress
from pgvow.cli.watch import ended
from pgvow.errors import PgvowError, VerificationFailed
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pgvow.cli.watch import Watch
    from pgvow.operations.verify import Verification


def add_verify(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    verify = commands.add_parser(
        "verify",
        help="check one backup",
        description="Check one backup: size, SHA-256, metadata, and that pg_restore can read it.",
    )
    verify.add_argument(
        "file", metavar="FILE", type=path, nargs="?", help="the .dump file; or --all"
    )
    for add in (
        options.add_deep,
        options.add_env,
        options.add_output_dir,
        options.add_patience,
        options.add_report,
        options.add_record,
    ):
        add(verify)


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
            arguments.file,
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
            directories,
            environment=environment_of(arguments),
            pg_bin=pg_bin,
            environ=os.environ,
            progress=timed,
            deep=arguments.deep,
        )
    good = all(result.passed for result in results)
    if not good:
        failures = [failure for result in results for failure in _failures(result)]
        arguments.watch.differs(VerificationFailed.title, failures)
    _record_each(arguments.watch, results)
    print_result(
        arguments,
        lambda: [verification_object(result) for result in results],
        lambda: verifications_text(results, directories),
        good=good,
    )
    return 0 if good else VerificationFailed.exit_code


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
        watch.part(
            directory,
            **ended(VerificationFailed, failures if bad else None),
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
