"""``pgvow backup``: make a backup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD, mark, styled
from pgvow.cli.options import selection
from pgvow.cli.recording import patience_of, recording_of
from pgvow.cli.report import plain
from pgvow.cli.words import duration, elapsed, part_rows, short_digest, size
from pgvow.engine import DumpOptions, is_parallel
from pgvow.model import Compress
from pgvow.operations.backup import BackupOptions
from pgvow.operations.recorded import recorded
from pgvow.operations.recorded.operations import back_up
from pgvow.quoted_texts import printable
from pgvow.runs import Operation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.backup import BackupResult
    from pgvow.operations.recorded.operations import BackupAndPruning

_TABLES_SHOWN = 8
_CONTRACT_SPACE_FACTOR = 2.0
_MINUTES_SHOWN = 90
_HOURS_SHOWN = 12
_WEEK = 7


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
        # The contract's report is as it is: others may read it line by line.
        comparison = comparison_of(done.result, call.context.now())
        rows = [] if "contract" in arguments else [("Took", took(done.result, comparison))]
        report.print(lambda: _object(done, comparison), lambda: _text(done, rows))
    return current.exit_code


def _space_factor(arguments: argparse.Namespace) -> float | None:
    """Return the factor that was set; without one ``backup_db.py`` has the contract's."""
    factor: float | None = arguments.space_factor
    return _CONTRACT_SPACE_FACTOR if factor is None and "contract" in arguments else factor


def _options(arguments: argparse.Namespace) -> BackupOptions:
    return BackupOptions(
        output_dir=arguments.output_dir,
        space_factor=_space_factor(arguments),
        lock_wait_timeout=arguments.lock_wait_timeout,
        with_globals=not arguments.no_globals,
        inspect=not arguments.no_inspect,
        dump=DumpOptions(
            parallel=is_parallel(arguments.engine, arguments.jobs),
            jobs=arguments.jobs,
            compress=arguments.compress or Compress(),
            selection=selection(arguments),
            statistics=arguments.statistics,
        ),
    )


def _text(done: BackupAndPruning, rows: Sequence[tuple[str, str]]) -> Text:
    text, pruned = backup_text(done.result, rows), done.pruned
    if pruned is not None and pruned.removed:
        freed = size(pruned.freed_bytes)
        text.append(f"\nPruned: {len(pruned.removed)} removed, {freed} freed")
    return text


def _object(done: BackupAndPruning, comparison: SizeComparison) -> dict[str, Any]:
    pruned = done.pruned
    made = {**_backup_object(done.result), **plain(comparison)}
    if pruned is None:
        return made
    return {**made, "pruned": [plain(backup.path) for backup in pruned.removed]}


def backup_text(result: BackupResult, more: Sequence[tuple[str, str]] = ()) -> Text:
    """Return the report of the contract, with further rows."""
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
        *more,
        *(("Dead run", f"{dead.stem}: {dead.action}") for dead in result.recovered),
    ]
    text = Text.assemble(styled("✓", GOOD), " Backup created successfully\n\n")
    for name, value in rows:
        text.append(f"{name + ':':<12} {printable(value)}\n")
    return (
        text.append(f"{'Verified:':<12} ").append(mark(good=True)).append(" Integrity check passed")
    )


@dataclass(frozen=True, slots=True)
class SizeComparison:
    """A backup's size beside the database's and the last backup's, as keys of ``--json``.

    ``size_ratio`` is a share of the database's size, ``growth`` one of the last backup's: 0.003 is
    0.3 % more. None if there is nothing to compare with.
    """

    database_size_bytes: int | None
    size_ratio: float | None
    compared_with: str | None
    compared_age_seconds: float | None
    growth: float | None


def comparison_of(result: BackupResult, now: datetime) -> SizeComparison:
    """Compare a backup's size with the database's and with the last backup's."""
    metadata, last = result.metadata, result.last
    size_bytes, database = metadata.backup_size_bytes, metadata.database_size_bytes
    whole = bool(database) and not metadata.selection
    return SizeComparison(
        database_size_bytes=database,
        size_ratio=round(size_bytes / database, 4) if whole and database else None,
        compared_with=last.backup_file if last else None,
        compared_age_seconds=(now - last.backup_timestamp).total_seconds() if last else None,
        growth=round(size_bytes / last.backup_size_bytes - 1, 4) if last else None,
    )


def took(result: BackupResult, comparison: SizeComparison) -> str:
    """Write duration and sizes: ``5.3 s, 16 % of the database's size, +0.3 % since yesterday``."""
    parts = [duration(result.seconds)]
    if comparison.size_ratio is not None:
        percent = 100 * comparison.size_ratio
        shown = f"{percent:.0f}" if percent >= 1 else f"{percent:.1f}"
        parts.append(f"{shown} % of the database's size")
    if comparison.growth is not None and result.last is not None:
        moment = result.metadata.backup_timestamp
        change = f"{100 * comparison.growth:+.1f} %".replace("-0.0 ", "+0.0 ")
        parts.append(f"{change} since {since(result.last.backup_timestamp, moment)}")
    return ", ".join(parts)


def since(before: datetime, now: datetime) -> str:
    """Write a timestamp as seen from a later one: ``3 h ago``, ``yesterday``, ``last week``.

    Days and weeks are those of the calendar, in the time zone of this machine.
    """
    age = now - before
    if age < timedelta(minutes=1):
        return f"{elapsed(age.total_seconds())} ago"
    if age < timedelta(hours=_HOURS_SHOWN):
        minutes = round(age.total_seconds() / 60)
        return f"{minutes} min ago" if minutes < _MINUTES_SHOWN else f"{minutes // 60} h ago"
    then, today = before.astimezone().date(), now.astimezone().date()
    days = (today - then).days
    if days <= 1:
        return "yesterday" if days else f"{round(age.total_seconds() / 3600)} h ago"
    weeks = (today - timedelta(today.weekday()) - then + timedelta(then.weekday())).days // 7
    return "last week" if weeks == 1 and days >= _WEEK else f"{days} days ago"


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
