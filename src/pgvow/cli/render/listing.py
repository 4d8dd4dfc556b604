"""How a directory of backups looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pgvow.cli.console import BAD, GOOD, WARNING, printable
from pgvow.cli.render.as_json import plain
from pgvow.cli.render.units import duration, moment, size
from pgvow.model import BackupStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from pgvow.model import Backup, Proof


def listing_text(backups: Sequence[Backup], directory: Path) -> RenderableType:
    """Render a table, newest first."""
    if not backups:
        return Text(f"No backups in {printable(str(directory))}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Timestamp", "Environment", "Database"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("File", overflow="fold")
    for backup in backups:
        table.add_row(
            moment(backup.timestamp) if backup.timestamp else "?",
            backup.environment or "?",
            printable(backup.database or "?"),
            size(backup.size_bytes) if backup.size_bytes is not None else "-",
            _status(backup),
            printable(backup.path.name),
        )
    return table


def _status(backup: Backup) -> Text:
    if backup.status is BackupStatus.OK:
        return _reached(backup.proof)
    style = WARNING if backup.status is BackupStatus.METADATA_MISSING else BAD
    return Text(f"✗ {backup.status.value}", style=style)


def _reached(proof: Proof | None) -> Text:
    """Name the level beyond being listed, and how long the restore took that showed it."""
    if proof is None:
        return Text("✓ ok", style=GOOD)
    if proof.differences:
        return Text(f"✗ {proof.level.value}, proof failed", style=BAD)
    return Text(f"✓ {proof.level.value}, restored in {duration(proof.restore_seconds)}", style=GOOD)


def listing_object(backups: Sequence[Backup]) -> list[dict[str, Any]]:
    """Return what ``--json`` prints: an array, newest first."""
    return [
        {
            "timestamp": plain(backup.timestamp),
            "environment": backup.environment,
            "database": backup.database,
            "size_bytes": backup.size_bytes,
            "status": backup.status.value,
            "path": str(backup.path),
            "complaint": backup.complaint,
            "metadata": plain(backup.metadata),
            "proof": plain(backup.proof),
        }
        for backup in backups
    ]
