"""How a directory of backups looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pgvow.cli.console import BAD, GOOD, WARNING, printable
from pgvow.cli.render.as_json import plain
from pgvow.cli.render.units import duration, moment, size
from pgvow.model import BackupStatus, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderableType

    from pgvow.model import Backup

_IN_THE_NAME = ("Environment", "Database", "Timestamp")
_GAP = 2
_FAILED = {
    Level.VERIFIED: "verification failed",
    Level.DECODED: "deep verification failed",
    Level.PROVEN: "proof failed",
}


def listing_text(backups: Sequence[Backup], directory: Path) -> RenderableType:
    """Render a table, newest first."""
    if not backups:
        return Text(f"No backups in {printable(str(directory))}")
    return _Listing([_cells(backup) for backup in backups])


def _cells(backup: Backup) -> dict[str, Text]:
    return {
        "Timestamp": Text(moment(backup.timestamp) if backup.timestamp else "?"),
        "Environment": Text(backup.environment or "?"),
        "Database": Text(printable(backup.database or "?")),
        "Size": Text(size(backup.size_bytes) if backup.size_bytes is not None else "-"),
        "Status": _status(backup),
        "File": Text(printable(backup.path.name)),
    }


class _Listing:
    """A table that leaves out, on a narrow terminal, what the file's name says as well.

    A name that is broken in two can neither be read nor copied.
    """

    def __init__(self, rows: Sequence[Mapping[str, Text]]) -> None:
        self._rows = rows
        self._widths = {
            heading: max(len(heading), *(row[heading].cell_len for row in rows))
            for heading in rows[0]
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        table = Table(box=None, pad_edge=False, header_style="bold")
        headings = self._headings(options.max_width)
        for heading in headings:
            table.add_column(
                heading,
                justify="right" if heading == "Size" else "left",
                no_wrap=heading != "File",
                overflow="fold" if heading == "File" else "ellipsis",
            )
        for row in self._rows:
            table.add_row(*(row[heading] for heading in headings))
        yield table

    def _headings(self, width: int) -> list[str]:
        shown = dict(self._widths)
        for dispensable in _IN_THE_NAME:
            if sum(shown.values()) + _GAP * (len(shown) - 1) <= width:
                break
            del shown[dispensable]
        return list(shown)


def _status(backup: Backup) -> Text:
    if backup.status is BackupStatus.OK:
        return _reached(backup)
    style = WARNING if backup.status is BackupStatus.METADATA_MISSING else BAD
    return Text(f"✗ {backup.status.value}", style=style)


def _reached(backup: Backup) -> Text:
    """Name the level reached, the time a restore took where it was measured, and a failure."""
    proof, level = backup.proof, backup.level
    reached = level.value if level else "listed"
    if proof and proof.failed:
        return Text(f"✗ {_FAILED[proof.failed.level]} ({reached} before)", style=BAD)
    text = f"✓ ok, {reached}" if level else "✓ ok"
    if proof and proof.restore_seconds is not None:
        text += f", restored in {duration(proof.restore_seconds)}"
    return Text(text, style=GOOD)


def listing_object(backups: Sequence[Backup]) -> list[dict[str, Any]]:
    """Return what ``--json`` prints: an array, newest first."""
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
            "path": str(backup.path),
            "complaint": backup.complaint,
            "metadata": plain(backup.metadata),
            "proof": plain(backup.proof),
        }
        for backup in backups
    ]
