"""``pgvow list``: list the backups of every directory, or of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.segment import Segment

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING
from pgvow.cli.report import plain
from pgvow.cli.words import duration, moment, namer, none_in, size
from pgvow.model import BackupStatus, Level, is_partial
from pgvow.operations.list import list_backups
from pgvow.outside import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderableType

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.model import Backup

_IN_THE_NAME = ("Environment", "Database", "Timestamp")
_GAP = "  "
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
    selection_of = call.context.configuration.selection_of
    backups = list_backups(directories, call.environment)
    report.print(
        lambda: _object(backups, selection_of),
        lambda: listing_text(backups, directories, selection_of),
    )
    return 0


def listing_text(
    backups: Sequence[Backup],
    directories: Sequence[Path],
    selection_of: Callable[[str | None], tuple[str, ...]],
) -> RenderableType:
    """Return a table, newest first; ``selection_of`` an environment is as the settings have it."""
    if not backups:
        return none_in(directories)
    partial = [is_partial(each.selection, selection_of(each.environment)) for each in backups]
    name_of = namer([backup.path for backup in backups])
    return _Listing(
        [
            {**_cells(each), "Status": _status(each, part=part), "File": name_of(each.path)}
            for each, part in zip(backups, partial, strict=True)
        ],
        [_style(each, part=part) for each, part in zip(backups, partial, strict=True)],
    )


def _cells(backup: Backup) -> dict[str, str]:
    return {
        "Timestamp": moment(backup.timestamp) if backup.timestamp else "?",
        "Environment": backup.environment or "?",
        "Database": printable(backup.database or "?"),
        "Size": size(backup.size_bytes) if backup.size_bytes is not None else "-",
    }


class _Listing:
    """A table that leaves out, on a narrow terminal, the columns that the file's name repeats.

    A name that is broken in two can neither be read nor copied. Laid out here, for 10,000 rows
    took rich's own table three seconds.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]], styles: Sequence[str]) -> None:
        self._rows = rows
        self._styles = styles
        self._widths = {
            heading: max(_width(heading), *(_width(row[heading]) for row in rows))
            for heading in rows[0]
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        headings = self._headings(options.max_width)
        bold = console.get_style("bold")
        yield Segment(self._line({heading: heading for heading in headings}, headings), bold)
        yield Segment.line()
        at = headings.index("Status")
        for row, style in zip(self._rows, self._styles, strict=True):
            yield Segment(self._line(row, headings[:at]) + _GAP)
            yield Segment(self._padded(row, "Status"), console.get_style(style))
            yield Segment(_GAP + self._line(row, headings[at + 1 :]))
            yield Segment.line()

    def _line(self, row: Mapping[str, str], headings: Sequence[str]) -> str:
        return _GAP.join(self._padded(row, heading) for heading in headings)

    def _padded(self, row: Mapping[str, str], heading: str) -> str:
        text = row[heading]
        space = " " * (self._widths[heading] - _width(text))
        if heading == "File":  # the last: nothing stands behind it
            return text
        return space + text if heading == "Size" else text + space

    def _headings(self, width: int) -> list[str]:
        shown = dict(self._widths)
        for dispensable in _IN_THE_NAME:
            if sum(shown.values()) + len(_GAP) * (len(shown) - 1) <= width:
                break
            del shown[dispensable]
        return list(shown)


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _style(backup: Backup, *, part: bool) -> str:
    if backup.status is BackupStatus.OK:
        good = WARNING if part else GOOD
        return BAD if backup.proof and backup.proof.failed else good
    return WARNING if backup.status is BackupStatus.METADATA_MISSING else BAD


def _status(backup: Backup, *, part: bool) -> str:
    """Name the level reached, the time of a restore if it was measured, and a failure."""
    if backup.status is not BackupStatus.OK:
        return f"✗ {backup.status.value}"
    proof, level = backup.proof, backup.level
    reached = level.value if level else "listed"
    if proof and proof.failed:
        return f"✗ {_FAILED[proof.failed.level]} ({reached} before)"
    mark = "! only a part" if part else "✓ ok"
    text = f"{mark}, {reached}" if level else mark
    if proof and proof.restore_seconds is not None:
        text += f", restored in {duration(proof.restore_seconds)}"
    return text


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
            "metadata": plain(backup.metadata),
            "proof": plain(backup.proof),
        }
        for backup in backups
    ]
