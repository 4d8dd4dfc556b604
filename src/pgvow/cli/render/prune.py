"""How it looks what was kept and what was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pgvow.cli.console import BAD, GOOD, WARNING, printable
from pgvow.cli.render.as_json import plain
from pgvow.cli.render.places import namer, none_in
from pgvow.cli.render.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from pgvow.operations.prune import PruneResult
    from pgvow.retention import Verdict


def pruned_object(result: PruneResult, *, dry_run: bool) -> dict[str, Any]:
    """What was decided of each backup, why, and what came of it."""
    return {
        "dry_run": dry_run,
        "backups": [_verdict(verdict) for verdict in result.verdicts],
        "removed": [plain(backup.path) for backup in result.removed],
        "left": [{"path": plain(left.path), "reason": left.reason} for left in result.left],
        "finished": result.finished,
        "freed_bytes": result.freed_bytes,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    backup = verdict.backup
    return {
        "path": plain(backup.path),
        "environment": backup.environment,
        "database": backup.database,
        "timestamp": plain(backup.timestamp),
        "size_bytes": backup.size_bytes,
        "level": backup.trusted,
        "selection": list(backup.selection),
        "keep": verdict.keep,
        "reasons": list(verdict.reasons),
    }


def pruned_text(
    result: PruneResult, directories: Sequence[Path], *, dry_run: bool
) -> RenderableType:
    """Render a table of all backups, newest first, and a last line of what was done."""
    if not result.verdicts and not result.finished:
        return none_in(directories)
    name_of = namer([verdict.backup.path for verdict in result.verdicts])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("Backup", overflow="fold")
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for verdict in result.verdicts:
        backup = verdict.backup
        table.add_row(
            Text("keep", style=GOOD) if verdict.keep else Text("remove"),
            Text(name_of(backup.path)),
            Text(size(backup.size_bytes) if backup.size_bytes is not None else "-"),
            Text(printable("; ".join(verdict.reasons))),
        )
    return Group(table, Text(), *_outcome(result, dry_run=dry_run))


def outcome_object(result: PruneResult | None) -> dict[str, Any]:
    """What a backup says of the pruning after it; nothing where there was none."""
    if result is None:
        return {}
    return {"pruned": pruned_object(result, dry_run=False)["removed"]}


def outcome_text(result: PruneResult | None) -> Iterator[Text]:
    """One line for a backup that was pruned after; none where nothing was removed."""
    if result is not None and result.removed:
        yield Text(f"Pruned: {len(result.removed)} removed, {size(result.freed_bytes)} freed")


def _outcome(result: PruneResult, *, dry_run: bool) -> Iterator[Text]:
    if dry_run:
        count = len(result.to_remove)
        freed = sum(backup.size_bytes or 0 for backup in result.to_remove)
        yield Text(f"{count} would be removed, {size(freed)}; nothing was: --dry-run")
        return
    for stem in result.finished:
        yield Text(f"finished the removal of {printable(stem)}, which an earlier run had begun")
    for left in result.left:
        yield Text(f"! {printable(left.path.name)} is left: {printable(left.reason)}", WARNING)
    style = BAD if result.refused and not result.removed else ""
    yield Text(f"{len(result.removed)} removed, {size(result.freed_bytes)} freed", style)
