"""``pgvow history``: the runs, with their outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, FAINT, GOOD, WARNING, errors
from pgvow.cli.report import plain
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import (
    counted,
    duration,
    elapsed,
    moment,
    selected,
    size,
    without_digests,
)
from pgvow.operations.list import ListOptions, list_runs
from pgvow.quoted_texts import printable
from pgvow.runs import Outcome

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from rich.console import RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.runs import Run
    from pgvow.store.history import HistoryContents

_SHOWN = 20
_MARKS = {
    Outcome.SUCCEEDED: ("✓", GOOD),
    Outcome.FAILED: ("✗", BAD),
    Outcome.DIED: ("✗", BAD),
    Outcome.INTERRUPTED: ("!", ""),
    Outcome.RUNNING: ("…", ""),
}
_COLUMNS = (
    Column("Started", drop=3),
    Column("Age", is_right=True),
    Column("Operation", drop=5),
    Column("Database", drop=4),
    Column("Outcome"),
    Column("Took", drop=2, is_right=True),
    Column("Size", is_right=True),
    Column("Why", drop=1, is_below=True),
)


def add_history(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    history = commands.add_parser(
        "history",
        description="Runs, newest first: the last 20, with --json or --since all of them.",
    )
    history.topic(Topic.WHAT).add_argument(
        "--operation", metavar="NAME", help="backup, verify, prove, prune …"
    )
    options.add(history, "failed", "env", "database", "newest", "output_dir", "wide", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show the runs; returns the exit code."""
    call = call_of(arguments)
    directory = call.output_dir
    options = ListOptions(
        environment=call.environment,
        database=arguments.database,
        since=arguments.since,
        operation=arguments.operation,
        failed=arguments.failed,
    )
    history = list_runs(directory, options, call.context)
    if history.broken and report.as_json:  # a list of runs has no place for it
        errors().print(_passed_over(history.broken))
    is_whole = report.as_json or arguments.since is not None
    count = arguments.last or (len(history.runs) if is_whole else _SHOWN)
    shown = history.runs[:count]
    report.print(
        lambda: [plain(run) for run in shown],
        lambda: _text(history, count, call, wide=arguments.wide),
    )
    return 0


def _text(history: HistoryContents, count: int, call: Call, *, wide: bool) -> RenderableType:
    """Return a table, newest first."""
    passed_over = [_passed_over(history.broken)] if history.broken else []
    if not history.runs:
        none = Text(f"No runs are recorded in {printable(str(call.output_dir))}")
        return Group(none, *passed_over)
    now = call.context.clock()
    table = FittedTable(_COLUMNS, [_cells(run, now) for run in history.runs[:count]], is_wide=wide)
    notes = []
    if (left := len(history.runs) - count) > 0:
        notes.append(Text(f"{counted(left, 'older one')}: --last N", style=FAINT))
    return Group(table, *notes, *passed_over)


def _passed_over(broken: int) -> Text:
    lines = counted(broken, "line")
    text = f"! {lines} of the history could not be read (too long, or not a run), and passed over"
    return Text(text, style=WARNING)


def _cells(run: Run, now: datetime) -> list[str | Text]:
    subject = " ".join(part for part in (run.environment, run.database) if part)
    took = duration((run.ended - run.started).total_seconds()) if run.ended else "-"
    if run.selection:
        subject += f" ({selected(run.selection)})"
    outcome = run.outcome if run.exit_code in (None, 0) else f"{run.outcome} ({run.exit_code})"
    mark, style = _MARKS[run.outcome]
    return [
        moment(run.started),
        elapsed((now - run.started).total_seconds()),
        run.operation,
        printable(subject or run.file or "-"),
        Text(f"{mark} {outcome}", style=style),
        took,
        size(run.bytes) if run.bytes is not None else "-",
        printable(without_digests((run.cause or "").split("\n", 1)[0])),
    ]
