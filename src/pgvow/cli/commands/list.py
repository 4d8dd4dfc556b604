"""``pgvow list``: list the backups of every directory, or of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, FAINT, GOOD, WARNING
from pgvow.cli.report import plain
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import counted, duration, elapsed, moment, namer, none_in, size
from pgvow.model import BackupStatus, Level, is_partial
from pgvow.operations.list import ListOptions, list_backups
from pgvow.quoted_texts import printable
from pgvow.retention import acknowledged

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.model import Backup
    from pgvow.operations.context import Context

_COLUMNS = (
    Column("Timestamp", drop=4),
    Column("Age", is_right=True),
    Column("Environment", drop=2),
    Column("Database", drop=3),
    Column("Size", is_right=True),
    Column("Status"),
    Column("Note", drop=1),
    Column("File", drop=9, is_below=True),
)
_FAILED = {
    Level.VERIFIED: "verification failed",
    Level.DECODED: "deep verification failed",
    Level.PROVEN: "proof failed",
}


def add_list(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    listing = commands.add_parser("list", description="List backups, newest first.")
    options.add(listing, *options.OF_COMMAND["list"])


def run(arguments: argparse.Namespace, report: Report) -> int:
    """List the backups; returns the exit code."""
    call = call_of(arguments)
    directories = call.directories
    options = ListOptions(
        environment=call.environment,
        database=arguments.database,
        since=arguments.since,
        last=arguments.last,
        level=Level(arguments.level) if arguments.level else None,
    )
    backups = list_backups(directories, options, call.context)
    report.print(
        lambda: _object(backups, call.context.configuration.selection_of),
        lambda: listing_text(backups, directories, call.context, wide=arguments.wide),
    )
    return 0


def listing_text(
    backups: Sequence[Backup],
    directories: Sequence[Path],
    context: Context,
    *,
    wide: bool = False,
) -> RenderableType:
    """Return a table, newest first, and the total."""
    if not backups:
        return none_in(directories)
    name_of, now = namer([backup.path for backup in backups]), context.clock()
    selection_of = context.configuration.selection_of
    rows = [
        [
            *_cells(each, now, part=is_partial(each.selection, selection_of(each.environment))),
            name_of(each.path),
        ]
        for each in backups
    ]
    return Group(FittedTable(_COLUMNS, rows, is_wide=wide), Text(), _total(backups))


def _cells(backup: Backup, now: datetime, *, part: bool) -> Sequence[str | Text]:
    made = backup.timestamp
    return [
        moment(made) if made else "?",
        elapsed((now - made).total_seconds()) if made else "?",
        backup.environment or "?",
        printable(backup.database or "?"),
        size(backup.size_bytes) if backup.size_bytes is not None else "-",
        Text(_status(backup, part=part), _style(backup, part=part)),
        _detail(backup, now),
    ]


def _total(backups: Sequence[Backup]) -> Text:
    whole = sum(backup.size_bytes or 0 for backup in backups)
    return Text(f"{counted(len(backups), 'backup')}, {size(whole)}", FAINT)


def _style(backup: Backup, *, part: bool) -> str:
    if backup.status is BackupStatus.OK:
        good = WARNING if part or (backup.proof and backup.proof.broken_rules) else GOOD
        return BAD if backup.proof and backup.proof.failed else good
    return WARNING if backup.status is BackupStatus.METADATA_MISSING else BAD


def _status(backup: Backup, *, part: bool) -> str:
    """Name the level reached, or the failure."""
    if backup.status is not BackupStatus.OK:
        return f"✗ {backup.status.value}"
    proof = backup.proof
    if proof and proof.failed:
        return f"✗ {_FAILED[proof.failed.level]}"
    mark = "! only a part" if part else "✓ ok"
    shown = f"{mark}, {backup.level.value}" if backup.level else mark
    return f"{shown}, with broken rules" if proof and proof.broken_rules else shown


def _detail(backup: Backup, now: datetime) -> str:
    """Name the level before a failure, the time of a restore, and the notes of people."""
    known = acknowledged(backup, now)
    is_adopted = backup.metadata is not None and backup.metadata.adopted is not None
    parts = [
        backup.notes.kept(now),
        None if known is None else str(known),
        "adopted" if is_adopted else None,
        _shown(backup),
    ]
    return printable("; ".join(part for part in parts if part))


def _shown(backup: Backup) -> str:
    proof, level = backup.proof, backup.level
    if backup.status is not BackupStatus.OK or proof is None:
        return ""
    if proof.failed:
        return f"{level.value if level else 'listed'} before"
    if proof.restore_seconds is not None:
        return f"restored in {duration(proof.restore_seconds)}"
    return ""


def _object(
    backups: Sequence[Backup],
    selection_of: Callable[[str | None], tuple[str, ...]],
) -> list[dict[str, Any]]:
    """Return the array of ``--json``, newest first.

    ``partial``: neither the whole database nor the selection that the settings name.
    """
    return [
        {
            "timestamp": plain(backup.timestamp),
            "environment": backup.environment,
            "database": backup.database,
            "size_bytes": backup.size_bytes,
            "status": backup.status.value,
            "level": plain(backup.level),
            "trusted": plain(backup.trusted),
            "restore_seconds": backup.proof.restore_seconds if backup.proof else None,
            "directory": str(backup.path.parent),
            "path": str(backup.path),
            "selection": list(backup.selection),
            "partial": is_partial(backup.selection, selection_of(backup.environment)),
            "complaint": backup.complaint,
            "notes": plain(backup.notes),
            "metadata": plain(backup.metadata),
            "proof": plain(backup.proof),
        }
        for backup in backups
    ]
