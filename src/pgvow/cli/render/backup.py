"""How a backup that was made looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.console import GOOD, mark, printable, styled
from pgvow.cli.render.as_json import plain
from pgvow.cli.render.parts import part_rows
from pgvow.cli.render.units import short_digest, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.operations.backup import BackupResult

_TABLES_SHOWN = 8


def backup_text(result: BackupResult) -> Text:
    """Render the report of the contract."""
    metadata = result.metadata
    rows = [
        ("Backup File", str(result.backup.path)),
        ("Metadata", str(result.metadata_path)),
        *([("Globals", str(result.globals_path))] if result.globals_path else []),
        ("Size", size(metadata.backup_size_bytes)),
        ("Environment", metadata.environment),
        ("Database", metadata.database_name),
        *part_rows(metadata),
        ("Tables", tables_line(metadata.table_counts)),
        ("Checksum", short_digest(metadata.checksum_sha256)),
        *(("Dead run", f"{one.stem}: {one.action}") for one in result.recovered),
    ]
    text = Text.assemble(styled("✓", GOOD), " Backup created successfully\n\n")
    for name, value in rows:
        text.append(f"{name + ':':<12} {printable(value)}\n")
    return (
        text.append(f"{'Verified:':<12} ").append(mark(good=True)).append(" Integrity check passed")
    )


def tables_line(counts: Mapping[str, int]) -> str:
    """Say how many tables there are and what is in them: the largest first, and not all."""
    if not counts:
        return "0"
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{rows} {name}" for name, rows in largest[:_TABLES_SHOWN]]
    more = len(counts) - len(shown)
    if more:
        shown.append(f"and {more} more")
    return f"{len(counts)} ({', '.join(shown)})"


def backup_object(result: BackupResult) -> dict[str, Any]:
    """Return what ``--json`` prints: paths, the metadata, and how it went."""
    return {
        "ok": True,
        "backup_path": str(result.backup.path),
        "metadata_path": str(result.metadata_path),
        "globals_path": str(result.globals_path) if result.globals_path else None,
        "metadata": plain(result.metadata),
        "selection": list(result.metadata.selection),
        "seconds": round(result.seconds, 3),
        "warnings": list(result.warnings),
        "recovered": plain(result.recovered),
    }
