"""Recorded pruning: of several directories, or after a backup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.operations.prune import PruneOptions, prune, together
from pgvow.operations.recorded import fields_of_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.operations.prune import Left, PruneResult
    from pgvow.operations.recorded import RecordedRun


def prune_directories(
    context: Context, run: RecordedRun, options: PruneOptions, directories: Sequence[Path]
) -> PruneResult:
    """Prune each directory by the same options, and return the results as one.

    The run fails if a backup could not be removed; one that is in use is a warning.
    """
    results = []
    for directory in directories:
        result = prune(replace(options, output_dir=directory), now=context.clock())
        _add_parts(run, directory, result)
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
        result = prune(wanted, now=context.clock())
    except PgvowError as error:
        warn(f"nothing was pruned: {error.cause}")
        return None
    for reason in _reasons(result.left):
        warn(f"not pruned: {reason}")
    run.note(removed=len(result.removed), freed=result.freed_bytes)
    return result


def _add_parts(run: RecordedRun, directory: Path, result: PruneResult) -> None:
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


def _reasons(all_left: Iterable[Left]) -> list[str]:
    return [f"{left.path.name}: {left.reason}" for left in all_left]
