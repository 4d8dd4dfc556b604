"""How a restore looks that was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.console import GOOD, WARNING, mark, printable, styled
from pgvow.cli.render.as_json import plain
from pgvow.cli.render.parts import part_rows
from pgvow.cli.render.units import duration, moment
from pgvow.postgres.databases import dropdb

if TYPE_CHECKING:
    from pgvow.operations.restore import RestoreResult


def restored_text(result: RestoreResult) -> Text:
    """Say what was restored, how long it took, and what the comparison found."""
    good = result.not_compared is None
    text = (
        Text.assemble(styled("✓", GOOD), " Backup restored\n\n")
        if good
        else Text.assemble(styled("!", WARNING), " Backup restored, but not compared\n\n")
    )
    for name, value in _rows(result):
        text.append(f"{name + ':':<12} {printable(value)}\n")
    text.append(f"{'Compared:':<12} ").append(mark(good=good)).append(f" {_compared(result)}")
    if result.kept_as is not None:
        command = printable(dropdb(result.kept_as))
        text.append(f"\n\nWhen the old database is no longer needed: {command}")
    return text


def _rows(result: RestoreResult) -> list[tuple[str, str]]:
    metadata = result.metadata
    made = f"{metadata.database_name} ({metadata.environment}), {moment(metadata.backup_timestamp)}"
    rows = [
        ("Backup", f"{result.file} of {made}"),
        *part_rows(metadata),
        ("Database", result.database),
        ("Server", f"PostgreSQL {result.server.version}, pg_restore {result.pg_restore}"),
        ("Objects", f"{result.entries:,}"),
        ("Took", f"{duration(result.seconds)} (restoring {duration(result.restore_seconds)})"),
    ]
    if result.kept_as is not None:
        ended = f", {result.ended} sessions ended" if result.ended else ""
        rows.append(("Replaced", f"the old one is kept as {result.kept_as}{ended}"))
    return rows


def _compared(result: RestoreResult) -> str:
    found = result.comparison
    if found is None:
        return printable(f"Not possible here: {result.not_compared}")
    what = f"{found.tables:,} tables, {found.rows:,} rows: nothing differs"
    if not found.reordered:
        return what
    return f"{what} (in another order: {printable(', '.join(found.reordered))})"


def restored_object(result: RestoreResult) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    found = result.comparison
    return {
        "ok": result.not_compared is None,
        "file": str(result.file),
        "database": result.database,
        "metadata": plain(result.metadata),
        "selection": list(result.metadata.selection),
        "postgresql_version": result.server.version,
        "pg_restore_version": result.pg_restore,
        "entries": result.entries,
        "comparison": None if found is None else {**plain(found), "equal": found.equal},
        "not_compared": result.not_compared,
        "kept_as": result.kept_as,
        "sessions": plain(result.sessions),
        "sessions_ended": result.ended,
        "restore_seconds": round(result.restore_seconds, 3),
        "seconds": round(result.seconds, 3),
        "warnings": list(result.warnings),
    }
