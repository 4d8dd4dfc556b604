"""``pgvow show``: the contents of a backup, or the code in it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, add_backup
from pgvow.cli.call import call_of
from pgvow.cli.console import BAD, FAINT, WARNING, styled
from pgvow.cli.picking import backup_path, named_object, named_rows
from pgvow.cli.recovery_words import recovery_rows
from pgvow.cli.report import plain
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import counted, large_objects, loosened_lines, moment, number, part_rows, size
from pgvow.model import table_key
from pgvow.operations.show import code_in_backup, show_backup
from pgvow.quoted_texts import printable
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pgvow.archive import Header
    from pgvow.cli.report import Report
    from pgvow.operations.show import CodeObject, ShownBackup
    from pgvow.operations.show.contents import ShownTable

_TABLES_SHOWN = 40
_NAMES_SHOWN = 8
_DEFAULT_LEVEL = -1


def add_show(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    show = commands.add_parser(
        "show",
        description="Show what is in a backup, and how to restore it with PostgreSQL's own tools."
        " Needs no server. Rows and sizes come from the metadata, or, for a .dump without any,"
        " from reading it.",
    )
    add_backup(show)
    show.topic(Topic.WHAT).add_argument(
        "--code",
        action="store_true",
        help="list its functions, triggers, event triggers, rules, checks, generated columns and"
        " extensions by owner, instead: what a restore runs",
    )
    options.add(show, "env", "output_dir", "database", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show a backup; returns the exit code."""
    call = call_of(arguments)
    path, context = backup_path(call, arguments.file), call.context
    if arguments.code:
        with call.terminal.drawing():
            code = code_in_backup(StoredBackup.at(path), context)
        code_object = {"path": str(path), "code": plain(code)}
        report.print(lambda: code_object, lambda: _code_text(code))
        return 0
    with call.terminal.drawing():
        result = show_backup(StoredBackup.at(path), context)
    typed = arguments.file
    report.print(
        lambda: {**_object(result), **named_object(typed, path)},
        lambda: _text(result, named_rows(typed, path)),
    )
    return 0


def _text(result: ShownBackup, named: Sequence[tuple[str, str]]) -> RenderableType:
    """Return the facts, the tables, the objects, and the commands that restore it."""
    return Group(
        _summary(result, named), *_tables(result.tables), _objects(result), _restore(result)
    )


def _summary(result: ShownBackup, named: Sequence[tuple[str, str]]) -> Text:
    text = Text()
    facts = result.facts
    if facts.complaint:
        text.append(styled("!", WARNING)).append(f" {printable(facts.complaint)}:")
        text.append(" rows and sizes are from reading the archive\n\n")
    for cause in result.unreadable:
        text.append(styled("✗", BAD)).append(f" unreadable: {printable(cause)}\n\n")
    for name, value in _lines(result, named):
        text.append(f"{name + ':':<15}{printable(value)}\n")
    if result.proof and result.proof.broken_rules:
        text.append("\nThe source breaks its own rules, and a restore needs --rescue:\n")
        text.append("\n".join(loosened_lines(result.proof.broken_rules)) + "\n")
    return text


def _lines(result: ShownBackup, named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    facts, header = result.facts, result.facts.toc.header
    return [
        ("File", str(facts.path)),
        *named,
        ("Database", result.database),
        *part_rows(facts.metadata),
        ("Environment", result.environment or "unknown"),
        ("Moment", moment(result.moment) if result.moment else f"{header.created}, local time"),
        ("Size", size(facts.size_bytes)),
        ("Server", f"PostgreSQL {header.server_version}"),
        ("Made by", f"pg_dump {header.pg_dump_version}"),
        ("Format", f"{header.version_text}, {compression(header)}, {facts.toc.encoding}"),
        ("Level", _level(result)),
        *_recovery(result),
        *_notes(result),
        ("Large objects", large_objects(facts.large_objects)),
        ("Sequences", _sequences(result)),
        ("Extensions", _names(result.extensions)),
        ("Roles", _names(result.roles)),
        ("Globals", result.globals_file.name if result.globals_file else "none beside it"),
    ]


def compression(header: Header) -> str:
    """Write how the rows are compressed; from format 1.15 on the level is not recorded."""
    if not header.level:
        return "not compressed" if header.compression == "none" else header.compression
    level = "default" if header.level == _DEFAULT_LEVEL else str(header.level)
    return f"{header.compression}, level {level}"


def _level(result: ShownBackup) -> str:
    """Name the level reached, with time and server, unless that was at its making."""
    proof, level = result.proof, result.level
    text = level.value if level else "listed"
    if proof and proof.passed and proof.level is level:
        last = proof.passed[-1]
        on = f", on PostgreSQL {last.server_version}" if last.server_version else ""
        text += f", {moment(last.at)}{on}"
    if proof and proof.failed:
        text += f"; not {proof.failed.level.value} on {moment(proof.failed.at)}"
    return text


def _recovery(result: ShownBackup) -> list[tuple[str, str]]:
    """Return the recovery that the last proof measured; nothing without one."""
    passed = result.proof.passed if result.proof else ()
    return list(recovery_rows(passed[-1])) if passed else []


def _notes(result: ShownBackup) -> list[tuple[str, str]]:
    """Return what people noted, whether or not it still holds; nothing without notes."""
    notes = result.notes
    keep = notes.complaint if notes.complaint is not None else notes.keep
    rows = [("Kept", keep), ("Known fault", notes.acknowledged)]
    return [(name, str(value)) for name, value in rows if value is not None]


def _sequences(result: ShownBackup) -> str:
    return _names(
        [
            f"{table_key(sequence.schema, sequence.name)} {sequence.last_value}"
            for sequence in result.facts.sequences
        ]
    )


def _names(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = list(names[:_NAMES_SHOWN])
    if len(names) > len(shown):
        shown.append(f"and {number(len(names) - len(shown))} more")
    return f"{number(len(names))} ({', '.join(shown)})"


_COLUMNS = (
    Column("Table"),
    Column("Rows", is_right=True),
    Column("As text", drop=2, is_right=True),
    Column("On the server", drop=1, is_right=True),
)


def _tables(tables: Sequence[ShownTable]) -> list[RenderableType]:
    rows = sum(table.rows or 0 for table in tables)
    count = number(len(tables))
    heading = Text(f"Tables with rows of their own in it: {count}, {counted(rows, 'row')}\n")
    if not tables:
        return [heading]
    shown = [
        [
            printable(table.key),
            number(table.rows),
            _size(table.bytes),
            _size(table.size_bytes),
        ]
        for table in tables[:_TABLES_SHOWN]
    ]
    left = len(tables) - _TABLES_SHOWN
    rest = [Text(f"  and {number(left)} more (all of them with --json)")] if left > 0 else []
    return [heading, FittedTable(_COLUMNS, shown, indent="  "), *rest]


def _size(count: int | None) -> str:
    return "-" if count is None else size(count)


def _objects(result: ShownBackup) -> Text:
    text = Text("\nObjects\n\n")
    for kind, count in result.objects.items():
        text.append(f"  {number(count):>6}  {printable(kind)}\n")
    return text


def _restore(result: ShownBackup) -> Text:
    needed = result.restore.pg_restore
    text = Text("To restore it with PostgreSQL's own tools alone")
    text.append(f", pg_restore {needed} or newer, of the new server's own version:\n\n")
    for command in result.restore.commands:
        text.append(f"  {printable(command)}\n")
    if result.roles and not result.globals_file:
        text.append(
            styled("\n  The roles above must exist; or add --no-owner --no-privileges\n", FAINT)
        )
    text.rstrip()
    return text


def _object(result: ShownBackup) -> dict[str, Any]:
    """Return the object of ``--json``."""
    facts, header = result.facts, result.facts.toc.header
    return {
        "path": str(facts.path),
        "database_name": result.database,
        "environment": result.environment,
        "selection": list(facts.metadata.selection) if facts.metadata else None,
        "backup_timestamp": plain(result.moment),
        "archive_created": f"{header.created}",
        "size_bytes": facts.size_bytes,
        "postgresql_version": header.server_version,
        "pg_dump_version": header.pg_dump_version,
        "format_version": header.version_text,
        "compression": header.compression.value,
        "compression_level": header.level,
        "encoding": facts.toc.encoding,
        "facts_from": facts.origin.value,
        "complaint": facts.complaint,
        "unreadable": list(result.unreadable),
        "level": plain(result.level),
        "proof": plain(result.proof),
        "notes": plain(result.notes),
        "tables": [{"table": table.key, **plain(table)} for table in result.tables],
        "objects": dict(result.objects),
        "large_objects": plain(facts.large_objects),
        "sequences": plain(facts.sequences),
        "roles": list(result.roles),
        "extensions": list(result.extensions),
        "globals_path": plain(result.globals_file),
        "restore": {
            "pg_restore_major": result.restore.pg_restore,
            "commands": list(result.restore.commands),
        },
    }


def _code_text(code: Sequence[CodeObject]) -> Text:
    """Return the objects by owner, marked if only a superuser can restore them."""
    if not code:
        return Text("There is no code in it: no function, trigger, rule, check or extension.")
    text = Text()
    for owner, objects in groupby(code, key=lambda each: each.owner):
        text.append(f"{printable(owner) or 'no owner of its own'}\n", "bold")
        for each in objects:
            text.append(f"  {each.kind:<17} {printable(each.name)}")
            if each.needs_superuser:
                text.append(styled("  restored by a superuser", FAINT))
            text.append("\n")
    text.rstrip()
    return text
