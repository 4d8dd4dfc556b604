"""``pgvow history``: the runs, with their outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING, errors
from pgvow.cli.report import plain
from pgvow.cli.words import duration, moment, selected, size
from pgvow.operations.list import list_runs
from pgvow.outside import printable
from pgvow.runs import Outcome

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.runs import Run

_SHOWN = 20
_STYLES = {Outcome.SUCCEEDED: GOOD, Outcome.FAILED: BAD, Outcome.DIED: BAD}


def add_history(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    history = commands.add_parser("history", description="Runs, newest first.")
    history.topic(Topic.WHAT).add_argument(
        "--last", metavar="N", type=options.count, help="so many (default: 20; with --json all)"
    )
    history.topic(Topic.WHAT).add_argument(
        "--operation", metavar="NAME", help="backup, verify, prove, prune …"
    )
    options.add(history, "env", "output_dir", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show the runs; returns the exit code."""
    call = call_of(arguments)
    directory = call.output_dir
    history = list_runs(directory, operation=arguments.operation, environment=call.environment)
    if history.broken and report.as_json:  # a list of runs has no place for it
        errors().print(_passed_over(history.broken))
    count = arguments.last or (len(history.runs) if report.as_json else _SHOWN)
    shown = history.runs[:count]
    report.print(
        lambda: [plain(run) for run in shown],
        lambda: _text(shown, len(history.runs), history.broken, directory),
    )
    return 0


def _text(runs: Sequence[Run], total: int, broken: int, directory: Path) -> RenderableType:
    """Return a table, newest first."""
    passed_over = [_passed_over(broken)] if broken else []
    if not runs:
        none = Text(f"No runs are recorded in {printable(str(directory))}")
        return Group(none, *passed_over)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Started", "Operation", "Database", "Outcome"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Took", "Size"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for run in runs:
        table.add_row(*_cells(run))
    notes = []
    if total > len(runs):
        notes.append(Text(f"{total - len(runs)} older ones: --last N", style="dim"))
    return Group(table, *notes, *passed_over)


def _passed_over(broken: int) -> Text:
    lines = "1 line" if broken == 1 else f"{broken} lines"
    text = f"! {lines} of the history could not be read (too long, or not a run), and passed over"
    return Text(text, style=WARNING)


def _cells(run: Run) -> list[Text]:
    subject = " ".join(part for part in (run.environment, run.database) if part)
    took = duration((run.ended - run.started).total_seconds()) if run.ended else "-"
    if run.selection:
        subject += f" ({selected(run.selection)})"
    outcome = run.outcome if run.exit_code in (None, 0) else f"{run.outcome} ({run.exit_code})"
    return [
        Text(moment(run.started)),
        Text(run.operation),
        Text(printable(subject or run.file or "-")),
        Text(outcome, style=_STYLES.get(run.outcome, "")),
        Text(took),
        Text(size(run.bytes) if run.bytes is not None else "-"),
        Text(printable((run.cause or "").split("\n", 1)[0])),
    ]
