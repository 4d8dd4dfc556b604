"""``pgvow prune``: remove the backups that no rule keeps."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgvow.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pgvow.cli.arguments import Parser
    from pgvow.cli.watch import Watch
    from pgvow.operations.prune import Left, PruneResult
    from pgvow.retention import Rules

_TEXT = """\
Remove the backups that no rule keeps. Rules count good backups alone, for each database apart, and
backups of a part (-t, -n …) among those of the same part alone. The newest proven and the newest
verified backup of each are never removed, nor is one that is damaged, that somebody is reading, or
that pgvow did not make. Without any rule nothing is removed.
"""


def add_prune(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prune = commands.add_parser(
        "prune", help="remove the backups that no rule keeps", description=_TEXT
    )
    options.add(prune, "keep")
    prune.add_argument("--database", metavar="NAME", help="only the backups of this database")
    prune.add_argument(
        "--dry-run", action="store_true", help="say what would happen, and remove nothing"
    )
    options.add(prune, "env", "output_dir", "report", "record")


def prune(arguments: argparse.Namespace) -> int:
    """Prune a directory."""
    from pgvow.cli.configured import directories_of, environment_of  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415 - --help loads no libraries
    from pgvow.cli.render.prune import pruned_object, pruned_text  # noqa: PLC0415
    from pgvow.errors import PgvowError  # noqa: PLC0415
    from pgvow.operations.prune import PruneOptions, together  # noqa: PLC0415
    from pgvow.operations.prune import prune as prune_directory  # noqa: PLC0415

    chosen = environment_of(arguments)
    directories = directories_of(arguments)
    wanted = PruneOptions(
        output_dir=directories[0],
        rules_of=_rules(arguments, chosen),
        environment=chosen,
        database=arguments.database,
        dry_run=arguments.dry_run,
    )
    results = []
    for directory in directories:
        done = prune_directory(replace(wanted, output_dir=directory), now=datetime.now(UTC))
        _record_each(arguments.watch, directory, done)
        results.append(done)
    result = together(results)
    arguments.watch.found(environment=chosen, removed=len(result.removed), freed=result.freed_bytes)
    print_result(
        arguments,
        lambda: pruned_object(result, dry_run=wanted.dry_run),
        lambda: pruned_text(result, directories, dry_run=wanted.dry_run),
        good=not result.refused,
    )
    for busy in _told([left for left in result.left if left.is_busy]):
        arguments.watch.warn(busy)
    if result.refused:
        arguments.watch.differs(PgvowError.title, _told(result.refused))
    return PgvowError.exit_code if result.refused else 0


def _record_each(watch: Watch, directory: Path, result: PruneResult) -> None:
    """Leave word of each database apart: what could not be removed is its alarm alone."""
    from pgvow.cli.watch import ended  # noqa: PLC0415
    from pgvow.errors import PgvowError  # noqa: PLC0415

    for group in result.groups:
        removed, refused = result.of(group)
        database, environment = group
        watch.part(
            directory,
            **ended(PgvowError, _told(refused) if refused else None),
            environment=environment or None,
            database=database or None,
            removed=len(removed),
            freed=result.freed_of.get(group, 0),
        )


def prune_after_backup(arguments: argparse.Namespace, environment: str) -> PruneResult | None:
    """Prune an environment's backups where the settings say so; what fails is a warning."""
    from pgvow.errors import PgvowError  # noqa: PLC0415
    from pgvow.operations.prune import PruneOptions  # noqa: PLC0415
    from pgvow.operations.prune import prune as prune_directory  # noqa: PLC0415

    section = arguments.configuration.retention_of(environment)
    if not section.prune_after_backup:
        return None
    if not section.rules:
        _warn(arguments, "prune_after_backup without any keep_… in [retention] prunes nothing")
        return None
    wanted = PruneOptions(arguments.output_dir, lambda _: section.rules, environment)
    try:
        result = prune_directory(wanted, now=datetime.now(UTC))
    except PgvowError as error:
        _warn(arguments, f"nothing was pruned: {error.cause}")
        return None
    for told in _told(result.left):
        _warn(arguments, f"not pruned: {told}")
    arguments.watch.found(removed=len(result.removed), freed=result.freed_bytes)
    return result


def _warn(arguments: argparse.Namespace, message: str) -> None:
    from pgvow.cli.console import WARNING, errors, printable, styled  # noqa: PLC0415

    arguments.watch.warn(message)
    errors().print(styled("!", WARNING), printable(message))


def _told(all_left: Sequence[Left]) -> list[str]:
    return [f"{left.path.name}: {left.reason}" for left in all_left]


def _rules(arguments: argparse.Namespace, chosen: str | None) -> Callable[[str], Rules]:
    """The rules typed, or those of the settings file; raises ConfigurationError without any."""
    from pgvow.errors import ConfigurationError  # noqa: PLC0415
    from pgvow.retention import Rules  # noqa: PLC0415

    typed: dict[str, Any] = {
        rule.name: getattr(arguments, f"keep_{rule.name}")
        for rule in fields(Rules)
        if getattr(arguments, f"keep_{rule.name}") is not None
    }
    if typed:
        rules = Rules(**typed)
        return lambda _: rules
    configuration = arguments.configuration
    named = [chosen] if chosen else [None, *configuration.environments]
    if not any(configuration.retention_of(name).rules for name in named):
        raise ConfigurationError(
            "there are no rules of what to keep, so nothing is removed",
            steps=[
                "Say what to keep: pgvow prune --keep-daily 7 --keep-weekly 4 --dry-run",
                "Or for good, in pgvow.toml:  [retention]  keep_daily = 7  keep_weekly = 4",
            ],
        )
    return lambda name: configuration.retention_of(name).rules
