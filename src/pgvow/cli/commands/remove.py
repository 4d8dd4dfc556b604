"""``pgvow remove``: remove backups by their names."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import BACKUP_HELP, Topic, backup_name
from pgvow.cli.call import call_of
from pgvow.cli.console import errors
from pgvow.cli.picking import backup_path
from pgvow.cli.recording import recording_of
from pgvow.cli.report import plain
from pgvow.cli.words import counted, size
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.operations import remove_named
from pgvow.operations.remove import RemoveOptions, is_confirmed, named_removals
from pgvow.quoted_texts import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.context import Context
    from pgvow.operations.remove import Removal

_TEXT = """\
Remove the backups that are named, each with all its files. The newest proven and the newest good
backup of a database, and the only one, go only if the full name is typed again: a terminal asks
for it. One that is kept (pgvow keep) stays, and so does one that is being read.
"""


def add_remove(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    remove = commands.add_parser("remove", description=_TEXT)
    remove.add_argument("names", metavar="NAME", type=backup_name, nargs="+", help=BACKUP_HELP)
    what = remove.topic(Topic.WHAT)
    what.add_argument(
        "--confirm",
        metavar="NAME",
        action="append",
        default=[],
        help="the full name of a last good backup, typed again; may be repeated",
    )
    what.add_argument("--even-kept", action="store_true", help="also those that are kept")
    what.add_argument(
        "--dry-run", action="store_true", help="say what would happen, and remove nothing"
    )
    options.add(remove, "env", "output_dir", "database", "report", "record")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Remove the backups; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.REMOVE)) as current:
        dumps = [backup_path(call, name) for name in arguments.names]
        options = RemoveOptions(
            frozenset(arguments.confirm),
            even_kept=arguments.even_kept,
            dry_run=arguments.dry_run,
        )
        if sys.stdin.isatty():
            options = _confirmed(dumps, options, call.context)
        removed = remove_named(call.context, current, dumps, options)
        report.print(
            lambda: _object(removed, dry_run=options.dry_run),
            lambda: _text(removed, dry_run=options.dry_run),
        )
    return current.exit_code


def _confirmed(dumps: Sequence[Path], options: RemoveOptions, context: Context) -> RemoveOptions:
    """Ask for the full name of each last good backup that was not confirmed."""
    for removal in named_removals(dumps, options, context):
        is_kept = removal.kept is not None and not options.even_kept
        if not removal.last_good or is_kept or is_confirmed(removal, options):
            continue
        name = printable(removal.backup.path.name)
        errors().print(Text(f"{name} is the {', '.join(removal.last_good)}."))
        errors().print("Type its full name to remove it: ", end="")
        typed = sys.stdin.readline().strip()
        options = replace(options, confirmed=options.confirmed | {typed})
    return options


def _object(removed: Sequence[Removal], *, dry_run: bool) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {
        "dry_run": dry_run,
        "removed": [
            {
                "path": plain(each.backup.path),
                "environment": each.backup.environment,
                "database": each.backup.database,
                "timestamp": plain(each.backup.timestamp),
                "level": each.backup.trusted,
                "selection": list(each.backup.selection),
                "files": list(each.files),
                "size_bytes": each.size_bytes,
                "reasons": list(each.reasons),
                "kept": each.kept,
            }
            for each in removed
        ],
        "freed_bytes": 0 if dry_run else sum(each.size_bytes for each in removed),
    }


def _text(removed: Sequence[Removal], *, dry_run: bool) -> Text:
    """Return a line for each backup with the reasons for which it may go, and the total."""
    text = Text()
    for each in removed:
        backup = each.backup
        subject = " ".join(part for part in (backup.environment, backup.database) if part)
        text.append(f"{'would remove' if dry_run else 'removed'} {printable(backup.path.name)}")
        text.append(f"  {printable(subject)}, {counted(len(each.files), 'file')}")
        text.append(f", {size(each.size_bytes)}\n")
        for reason in (*each.reasons, *((each.kept,) if each.kept else ())):
            text.append(f"  {printable(reason)}\n", "dim")
    total = size(sum(each.size_bytes for each in removed))
    count = counted(len(removed), "backup")
    if dry_run:
        return text.append(f"{count} would be removed, {total}; nothing was: --dry-run")
    return text.append(f"{count} removed, {total} freed")
