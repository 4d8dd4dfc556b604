"""``pgvow backup``: make a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD, mark, styled
from pgvow.cli.options import is_parallel, selection
from pgvow.cli.recording import patience_of, recording_of
from pgvow.cli.report import plain
from pgvow.cli.words import part_rows, short_digest, size
from pgvow.engine import DumpOptions
from pgvow.model import Compress
from pgvow.operations.backup import BackupOptions
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.verbs import back_up
from pgvow.outside import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.backup import BackupResult
    from pgvow.operations.recorded.verbs import BackedUp

_TABLES_SHOWN = 8


def add_backup(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    backup = commands.add_parser("backup", description="Make a backup.")
    options.add(backup, *options.OF_COMMAND["backup"])


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Make a backup; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.BACKUP)) as current:
        settings = call.load_settings()
        options, patience = _options(call.arguments), patience_of(call)
        with call.terminal.drawing():
            done = back_up(call.context, current, settings, options, patience)
        report.print(lambda: _object(done), lambda: _text(done))
    return current.exit_code


def _options(arguments: argparse.Namespace) -> BackupOptions:
    return BackupOptions(
        output_dir=arguments.output_dir,
        space_factor=arguments.space_factor,
        lock_wait_timeout=arguments.lock_wait_timeout,
        with_globals=not arguments.no_globals,
        inspect=not arguments.no_inspect,
        dump=DumpOptions(
            parallel=is_parallel(arguments),
            jobs=arguments.jobs,
            compress=arguments.compress or Compress(),
            selection=selection(arguments),
            statistics=arguments.statistics,
        ),
    )


def _text(done: BackedUp) -> Text:
    text, pruned = backup_text(done.result), done.pruned
    if pruned is not None and pruned.removed:
        freed = size(pruned.freed_bytes)
        text.append(f"\nPruned: {len(pruned.removed)} removed, {freed} freed")
    return text


def _object(done: BackedUp) -> dict[str, Any]:
    pruned = done.pruned
    if pruned is None:
        return _backup_object(done.result)
    removed = [plain(backup.path) for backup in pruned.removed]
    return {**_backup_object(done.result), "pruned": removed}


def backup_text(result: BackupResult) -> Text:
    """Return the report of the contract."""
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
        *(("Dead run", f"{dead.stem}: {dead.action}") for dead in result.recovered),
    ]
    text = Text.assemble(styled("✓", GOOD), " Backup created successfully\n\n")
    for name, value in rows:
        text.append(f"{name + ':':<12} {printable(value)}\n")
    return (
        text.append(f"{'Verified:':<12} ").append(mark(good=True)).append(" Integrity check passed")
    )


def tables_line(counts: Mapping[str, int]) -> str:
    """Write the number of tables and the rows of the largest, those with most rows first."""
    if not counts:
        return "0"
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{rows} {name}" for name, rows in largest[:_TABLES_SHOWN]]
    if len(counts) > len(shown):
        shown.append(f"and {len(counts) - len(shown)} more")
    return f"{len(counts)} ({', '.join(shown)})"


def _backup_object(result: BackupResult) -> dict[str, Any]:
    """Return the object of ``--json``: paths, the metadata, duration and warnings."""
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
