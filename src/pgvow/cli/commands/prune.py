"""``pgvow prune``: remove the backups that no rule keeps."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING
from pgvow.cli.recording import recording_of
from pgvow.cli.report import plain
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import counted, namer, none_in, size
from pgvow.errors import ConfigurationError
from pgvow.operations.prune import PruneOptions
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.operations import prune_directories
from pgvow.quoted_texts import printable
from pgvow.retention import RetentionRules
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.prune import PruneResult
    from pgvow.retention import Verdict

_TEXT = """\
Remove the backups that no rule keeps. Rules count good backups alone, for each database apart, and
backups of a part (-t, -n …) among those of the same part alone. The newest proven and the newest
verified backup of each are never removed, nor is one that is damaged, that somebody is reading, or
that pgvow did not make. Without any rule nothing is removed.
"""


def add_prune(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    prune = commands.add_parser("prune", description=_TEXT)
    options.add(prune, "keep")
    prune.topic(Topic.WHAT).add_argument(
        "--database", metavar="NAME", help="only the backups of this database"
    )
    prune.topic(Topic.WHAT).add_argument(
        "--dry-run", action="store_true", help="say what would happen, and remove nothing"
    )
    options.add(prune, "env", "output_dir", "report", "record")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Prune the directories; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.PRUNE)) as current:
        environment, directories = call.environment, call.directories
        options = PruneOptions(
            output_dir=directories[0],
            rules_of=_rules(call),
            environment=environment,
            database=arguments.database,
            dry_run=arguments.dry_run,
        )
        result = prune_directories(call.context, current, options, directories)
        report.print(
            lambda: _object(result, dry_run=options.dry_run),
            lambda: _text(result, directories, dry_run=options.dry_run),
            good=not result.refused,
        )
    return current.exit_code


def _rules(call: Call) -> Callable[[str], RetentionRules]:
    """Return the rules typed, or those of the settings; raises ConfigurationError without any."""
    typed: dict[str, Any] = {
        rule.name: getattr(call.arguments, f"keep_{rule.name}")
        for rule in fields(RetentionRules)
        if getattr(call.arguments, f"keep_{rule.name}") is not None
    }
    if typed:
        rules = RetentionRules(**typed)
        return lambda _: rules
    configuration, environment = call.context.configuration, call.environment
    named = [environment] if environment else [None, *configuration.environments]
    if not any(configuration.retention_of(name).rules for name in named):
        raise ConfigurationError(
            "there are no rules of what to keep, so nothing is removed",
            steps=[
                "Say what to keep: pgvow prune --keep-daily 7 --keep-weekly 4 --dry-run",
                "Or for good, in pgvow.toml:  [retention]  keep_daily = 7  keep_weekly = 4",
            ],
        )
    return lambda name: configuration.retention_of(name).rules


def _object(result: PruneResult, *, dry_run: bool) -> dict[str, Any]:
    """Return the object of ``--json``: each backup with the reasons of its verdict, and totals."""
    return {
        "dry_run": dry_run,
        "backups": [_verdict(verdict) for verdict in result.verdicts],
        "removed": [plain(backup.path) for backup in result.removed],
        "left": [{"path": plain(left.path), "reason": left.reason} for left in result.left],
        "finished": result.finished,
        "freed_bytes": result.freed_bytes,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    backup = verdict.backup
    return {
        "path": plain(backup.path),
        "environment": backup.environment,
        "database": backup.database,
        "timestamp": plain(backup.timestamp),
        "size_bytes": backup.size_bytes,
        "level": backup.trusted,
        "selection": list(backup.selection),
        "keep": verdict.keep,
        "reasons": list(verdict.reasons),
    }


_COLUMNS = (
    Column(""),
    Column("Backup"),
    Column("Size", is_right=True),
    Column("Why", drop=1, is_below=True),
)


def _text(result: PruneResult, directories: Sequence[Path], *, dry_run: bool) -> RenderableType:
    """Return a table of all backups, newest first, and a last line with the totals."""
    if not result.verdicts and not result.finished:
        return none_in(directories)
    name_of = namer([verdict.backup.path for verdict in result.verdicts])
    rows = [
        [
            Text("keep", style=GOOD) if verdict.keep else "remove",
            name_of(verdict.backup.path),
            "-" if verdict.backup.size_bytes is None else size(verdict.backup.size_bytes),
            printable("; ".join(verdict.reasons)),
        ]
        for verdict in result.verdicts
    ]
    return Group(FittedTable(_COLUMNS, rows), Text(), *_outcome(result, dry_run=dry_run))


def _outcome(result: PruneResult, *, dry_run: bool) -> Iterator[Text]:
    if dry_run:
        count = counted(len(result.to_remove), "backup")
        freed = sum(backup.size_bytes or 0 for backup in result.to_remove)
        yield Text(f"{count} would be removed, {size(freed)}; nothing was: --dry-run")
        return
    for stem in result.finished:
        yield Text(f"finished the removal of {printable(stem)}, which an earlier run had begun")
    for left in result.left:
        yield Text(f"! {printable(left.path.name)} is left: {printable(left.reason)}", WARNING)
    style = BAD if result.refused and not result.removed else ""
    yield Text(
        f"{counted(len(result.removed), 'backup')} removed, {size(result.freed_bytes)} freed", style
    )
