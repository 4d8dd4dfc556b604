"""``pgvow diff``: the changes between two backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, GOOD, WARNING, styled
from pgvow.cli.picking import backup_path, places
from pgvow.cli.report import plain
from pgvow.cli.words import counted, large_objects, moment, number, selected, size
from pgvow.model import table_key
from pgvow.operations.choose_backup import newest_pair
from pgvow.operations.diff import diff_backups
from pgvow.quoted_texts import printable
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pgvow.archive import SequencePosition
    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.diff import BackupDiff, Changed, Changes, Definition
    from pgvow.operations.show.contents import BackupFacts, LargeObjectTotals, ShownTable

_LINES_SHOWN = 40
_ADDED, _GONE, _CHANGED = ("+", GOOD), ("-", BAD), ("~", WARNING)
_Line = tuple[tuple[str, str], str]


def add_diff(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    diff = commands.add_parser(
        "diff",
        description="Show what changed from backup A to the newer B (default: latest): tables,"
        " rows, contents, schema objects, sequences, large objects. Without names: between the last"
        " two of the database that was backed up last. Needs no server. The exit code is 0"
        ' whether anything differs or not; --json says so in "equal".',
    )
    add_backup(diff, "older", "A")
    add_backup(diff, "newer", "B")
    options.add(diff, "env", "output_dir", "database", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Compare two backups; returns the exit code."""
    call = call_of(arguments)
    older, newer = _pair(call)
    with call.terminal.drawing():
        result = diff_backups(StoredBackup.at(older), StoredBackup.at(newer), call.context)
        for warning in result.warnings:
            call.context.reporter.warn(warning)
    report.print(lambda: _object_of(result), lambda: _text(result))
    return 0


def _pair(call: Call) -> tuple[Path, Path]:
    """Return the two backups that were named; the last two without names, and the newest as B."""
    older, newer = call.arguments.older, call.arguments.newer
    if older is None:
        return newest_pair(places(call), call.context)
    return backup_path(call, older), backup_path(call, newer or "latest")


def _text(result: BackupDiff) -> Text:
    """Return a line for each table, object and sequence that changed."""
    text = Text(f"A  {_backup(result.older)}\nB  {_backup(result.newer)}\n")
    if result.equal:
        return text.append("\nNothing changed")
    _section(text, f"Tables ({number(result.tables.unchanged)} unchanged)", _tables(result.tables))
    _section(
        text, f"Schema ({number(result.objects.unchanged)} unchanged)", _objects(result.objects)
    )
    _section(
        text,
        f"Sequences ({number(result.sequences.unchanged)} unchanged)",
        _moved(result.sequences),
    )
    _section(text, "Large objects", _large_objects(result.large_objects))
    text.rstrip()
    return text


def _backup(facts: BackupFacts) -> str:
    known = facts.metadata
    when = f"{moment(known.backup_timestamp)}, " if known else ""
    selection = known.selection if known else ()
    part = f", only a part: {printable(selected(selection))}" if selection else ""
    return f"{printable(str(facts.path))} ({when}{size(facts.size_bytes)}{part})"


def _section(text: Text, heading: str, lines: Iterable[_Line]) -> None:
    shown = list(lines)
    if not shown:
        return
    text.append(f"\n{heading}\n\n")
    for (sign, style), line in shown[:_LINES_SHOWN]:
        text.append("  ").append(styled(sign, style)).append(f" {printable(line)}\n")
    if len(shown) > _LINES_SHOWN:
        text.append(f"  and {number(len(shown) - _LINES_SHOWN)} more (all of them with --json)\n")


def _rows(count: int | None) -> str:
    return "? rows" if count is None else counted(count, "row")


def _tables(changes: Changes[ShownTable]) -> Iterator[_Line]:
    for table in changes.added:
        yield _ADDED, f"{table.key}: {_rows(table.rows)}"
    for table in changes.gone:
        yield _GONE, f"{table.key}: {_rows(table.rows)}"
    for pair in changes.changed:
        yield _CHANGED, f"{pair.before.key}: {', '.join(_how(pair))}"


def _how(pair: Changed[ShownTable]) -> Iterator[str]:
    before, after = pair.before, pair.after
    if before.rows != after.rows:
        yield f"{number(before.rows)} → {_rows(after.rows)}"
    if before.bytes != after.bytes and before.bytes is not None and after.bytes is not None:
        yield f"{size(before.bytes)} → {size(after.bytes)}"
    if before.rows == after.rows and before.bytes == after.bytes:
        yield "same size, other contents"


def _objects(changes: Changes[Definition]) -> Iterator[_Line]:
    for definition in changes.added:
        yield _ADDED, _object(definition)
    for definition in changes.gone:
        yield _GONE, _object(definition)
    for pair in changes.changed:
        yield _CHANGED, f"{_object(pair.before)}{_owners(pair)}"


def _object(definition: Definition) -> str:
    kind, schema, name = definition.identity
    return f"{kind} {schema}.{name}" if schema else f"{kind} {name}"


def _owners(pair: Changed[Definition]) -> str:
    before, after = (
        ", ".join(sorted({owner for _, owner, _, _ in definition.statements}))
        for definition in (pair.before, pair.after)
    )
    return "" if before == after else f": owner {before} → {after}"


def _moved(changes: Changes[SequencePosition]) -> Iterator[_Line]:
    for sequence in changes.added:
        yield _ADDED, f"{_sequence(sequence)}: {_position(sequence)}"
    for sequence in changes.gone:
        yield _GONE, f"{_sequence(sequence)}: {_position(sequence)}"
    for pair in changes.changed:
        yield (
            _CHANGED,
            f"{_sequence(pair.before)}: {_position(pair.before)} → {_position(pair.after)}",
        )


def _sequence(sequence: SequencePosition) -> str:
    return table_key(sequence.schema, sequence.name)


def _position(sequence: SequencePosition) -> str:
    return f"{sequence.last_value}" if sequence.is_called else f"{sequence.last_value} (not called)"


def _large_objects(changed: Changed[LargeObjectTotals | None] | None) -> Iterator[_Line]:
    if changed is None:
        return
    before, after = large_objects(changed.before), large_objects(changed.after)
    same = " (same size, other contents)" if before == after else ""
    yield _CHANGED, f"{before} → {after}{same}"


def _object_of(result: BackupDiff) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {
        "equal": result.equal,
        "older": _backup_object(result.older),
        "newer": _backup_object(result.newer),
        "tables": _changes(result.tables, _table_object),
        "objects": _changes(result.objects, _definition_object),
        "sequences": _changes(result.sequences, plain),
        "large_objects": plain(result.large_objects),
        "warnings": list(result.warnings),
    }


def _backup_object(facts: BackupFacts) -> dict[str, Any]:
    known = facts.metadata
    return {
        "path": str(facts.path),
        "database_name": known.database_name if known else facts.toc.header.database,
        "backup_timestamp": plain(known.backup_timestamp) if known else None,
        "selection": list(known.selection) if known else None,
        "size_bytes": facts.size_bytes,
        "postgresql_version": facts.toc.header.server_version,
        "pg_dump_version": facts.toc.header.pg_dump_version,
        "facts_from": facts.origin.value,
        "complaint": facts.complaint,
    }


def _changes(changes: Changes[Any], as_object: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "added": [as_object(item) for item in changes.added],
        "gone": [as_object(item) for item in changes.gone],
        "changed": [
            {"before": as_object(pair.before), "after": as_object(pair.after)}
            for pair in changes.changed
        ],
        "unchanged": changes.unchanged,
    }


def _table_object(table: ShownTable) -> dict[str, Any]:
    return {"table": table.key, **plain(table)}


def _definition_object(definition: Definition) -> dict[str, Any]:
    return {
        **definition.identity._asdict(),
        "definitions": [
            {"statement": statement, "owner": owner, "tablespace": tablespace, "table_am": am}
            for statement, owner, tablespace, am in definition.statements
        ],
    }
