"""``pgvow acknowledge``: a fault that a person knows of raises no alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import BACKUP_HELP, Topic, backup_name
from pgvow.cli.call import call_of
from pgvow.cli.commands.keep import noted, noted_object
from pgvow.cli.console import GOOD
from pgvow.operations.notes import NoteOptions, acknowledge_fault
from pgvow.quoted_texts import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.notes import Noted

_TEXT = """\
Note that you know of the fault of a backup. The backup stays as bad as it is, is never counted as
good, and status shows the fault with your note; but it raises no alarm, sends no notification, and
fails no verify --all. Another fault of the same backup does, and so does this one if a check passed
meanwhile.
"""


def add_acknowledge(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    acknowledge = commands.add_parser("acknowledge", description=_TEXT)
    acknowledge.add_argument("file", metavar="NAME", type=backup_name, help=BACKUP_HELP)
    options.add(acknowledge, "note")
    acknowledge.topic(Topic.WHAT).add_argument(
        "--withdraw", action="store_true", help="take it back: the fault raises its alarm again"
    )
    options.add(acknowledge, "env", "output_dir", "database", "report", "record")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Acknowledge a fault, or take that back; returns the exit code."""
    wanted = NoteOptions(arguments.until, arguments.note, withdraw=arguments.withdraw)
    result = noted(call_of(arguments), Operation.ACKNOWLEDGE, acknowledge_fault, wanted)
    report.print(lambda: noted_object(result), lambda: _text(result))
    return 0


def _text(result: Noted) -> Text:
    name, known = printable(result.backup.path.name), result.backup.notes.acknowledged
    if not result.changed:
        return Text(f"no fault of {name} was acknowledged")
    if known is None:
        return Text.assemble(("✓", GOOD), f" the fault of {name} raises its alarm again")
    fault = printable(known.fault.partition(": ")[0])
    return Text.assemble(("✓", GOOD), f" {name} ({fault}): {printable(str(known))}")
