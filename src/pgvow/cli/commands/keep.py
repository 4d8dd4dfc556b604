"""``pgvow keep``: keep a backup from pruning and removal, or let it go again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD
from pgvow.cli.picking import backup_path
from pgvow.cli.recording import recording_of
from pgvow.cli.report import plain
from pgvow.operations.notes import NoteOptions, keep_backup
from pgvow.operations.recorded import recorded
from pgvow.quoted_texts import printable
from pgvow.runs import Operation
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.context import Context
    from pgvow.operations.notes import Noted

_TEXT = """\
Keep a backup: neither prune nor remove takes it, up to the day named with --until, or for ever. It
still counts for the rules, so no other backup goes or stays because of it. A second keep takes the
place of the first.
"""


def add_keep(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    keep = commands.add_parser("keep", description=_TEXT)
    add_backup(keep)
    options.add(keep, "note")
    keep.topic(Topic.WHAT).add_argument(
        "--release", action="store_true", help="keep it no longer: the rules decide again"
    )
    options.add(keep, "env", "output_dir", "database", "report", "record")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Keep a backup, or let it go again; returns the exit code."""
    wanted = NoteOptions(arguments.until, arguments.note, withdraw=arguments.release)
    result = noted(call_of(arguments), Operation.KEEP, keep_backup, wanted)
    report.print(lambda: noted_object(result), lambda: _text(result))
    return 0


def noted(
    call: Call,
    operation: Operation,
    change: Callable[[StoredBackup, NoteOptions, Context], Noted],
    options: NoteOptions,
) -> Noted:
    """Change the notes of the backup that was named, as a recorded run."""
    with recorded(call.context, recording_of(call, operation)) as current:
        path = backup_path(call, call.arguments.file)
        current.note_file(path)
        return change(StoredBackup.at(path), options, call.context)


def noted_object(result: Noted) -> dict[str, Any]:
    """Return the object of ``--json``."""
    backup = result.backup
    return {
        "path": str(backup.path),
        "environment": backup.environment,
        "database": backup.database,
        "changed": result.changed,
        "notes": plain(backup.notes),
    }


def _text(result: Noted) -> Text:
    name, keep = printable(result.backup.path.name), result.backup.notes.keep
    if not result.changed:
        return Text(f"{name} was not kept")
    if keep is None:
        return Text.assemble(("✓", GOOD), f" {name} is kept no longer: the rules decide")
    return Text.assemble(("✓", GOOD), f" {name} is {printable(str(keep))}")
