"""The recovery sheet as a page: plain text, Markdown or HTML, of the same blocks.

Names of databases, extensions, roles and files come from outside: each format has one function that
every text goes through.
"""

from __future__ import annotations

import html
import re
import shlex
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.durable import write_whole
from pgvow.formats import counted, duration, moment, size
from pgvow.operations.sheet.commands import CommandKind
from pgvow.quoted_texts import printable
from pgvow.settings.options import SheetFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pgvow.operations.sheet import MeasuredTime, RecoverySheet, SheetBackup, SourceSheet
    from pgvow.operations.sheet.commands import SheetCommand
    from pgvow.recovery import NeededExtension, RecoveryNeeds

_COLUMNS = 100
_NAMES_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, of the sheet (1), a source (2) or a part of one (3)."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or more."""

    text: str


@dataclass(frozen=True, slots=True)
class LabelledValues:
    """Labels and values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ShellLine:
    """One command, to be typed as it stands; ``as_root`` changes the prompt alone."""

    text: str
    as_root: bool


Block = Heading | Paragraph | LabelledValues | ShellLine


def page(sheet: RecoverySheet, page_format: SheetFormat) -> str:
    """Write the sheet in a format."""
    return _WRITERS[page_format](list(blocks(sheet)))


def write_page(sheet: RecoverySheet, page_format: SheetFormat, path: Path) -> None:
    """Write the sheet into a file for its owner only, in the place of an older one, in one step.

    Raises AccessDenied, NoSpace and PgvowError.
    """
    data = page(sheet, page_format).encode("utf-8", "backslashreplace")
    write_whole(path, data)


def blocks(sheet: RecoverySheet) -> Iterator[Block]:
    """Yield the contents of the sheet, in plain English."""
    yield Heading(1, "Recovery sheet")
    yield Paragraph(
        f"Made by pgvow {sheet.pgvow_version} at {moment(sheet.made)}. Keep a copy where it can be"
        " read when this machine is gone. Each command is one line for a shell."
    )
    for source in sheet.sources:
        yield from _source(source)
    yield Heading(2, "Who checks that this will work")
    for sentence in sheet.checks:
        yield Paragraph(f"{sentence}.")


def _source(source: SourceSheet) -> Iterator[Block]:
    environment = source.environment or "no environment"
    yield Heading(2, f"{environment}: {source.database}" if source.database else environment)
    if source.complaint is not None:
        yield Paragraph(f"No way back is known: {source.complaint}.")
    yield LabelledValues(tuple(_facts(source)))
    if source.newest is not None and source.proven is not None and source.proven != source.newest:
        yield Paragraph(
            "The newest backup has not been proven itself. If it does not come back, take the"
            " proven one: write its path into the commands."
        )
    yield from _kinds(source.without_pgvow, "without pgvow", _WITHOUT)
    yield from _kinds(source.with_pgvow, "with pgvow", _WITH)


_WITHOUT = (
    "The tools find the server by PGHOST, PGPORT and PGUSER; by default it is the one on this"
    " machine."
)
_WITH = (
    "First install PostgreSQL and have a server, as above, and pgvow by the README of its"
    " repository; set the variables named above to that server."
)


def _kinds(commands: Sequence[SheetCommand], title: str, first: str) -> Iterator[Block]:
    if not commands:
        return
    yield Heading(3, f"Back {title}")
    yield Paragraph(first)
    for command in commands:
        note = command.note
        if printable(command.line) != command.line:
            note += " Characters that cannot be printed are escaped here: --json has the command."
        if note.strip():
            yield Paragraph(note.strip())
        yield ShellLine(command.line, command.kind is CommandKind.INSTALL)


def _facts(source: SourceSheet) -> Iterator[tuple[str, str]]:
    if source.newest is not None:
        yield from _backup("Backup", source.newest)
        yield "Of", _contents(source)
        if source.proven is None:
            yield "Proven", "no backup that is here"
        elif source.proven.path == source.newest.path:
            yield "Proven", "this one is"
        else:
            yield from _backup("Proven", source.proven)
        yield "Time", _time(source.time, source.newest.path)
    if source.needs is not None:
        yield from _needs(source.needs)
    if source.globals_path is not None:
        yield "Roles in", str(source.globals_path)
    if source.checked:
        yield "Checked", "; ".join(source.checked)
    for sentence in source.secrets:
        yield "Access", sentence
    if source.newest is not None:
        yield "Encryption", "none: whoever may read the directory may read the data"


def _backup(label: str, backup: SheetBackup) -> Iterator[tuple[str, str]]:
    level = backup.level or "listed"
    yield label, f"{backup.path} ({moment(backup.timestamp)}, {size(backup.size_bytes)}, {level})"
    yield f"{label} SHA-256", backup.checksum_sha256


def _contents(source: SourceSheet) -> str:
    tables = counted(source.tables, "table")
    return f"PostgreSQL {source.postgresql_version}, {tables}, {counted(source.rows, 'row')}"


def _time(time: MeasuredTime | None, path: Path) -> str:
    if time is None:
        command = shlex.join(["pgvow", "prove", str(path)])
        return f"not measured: nobody knows how long it takes. Measure it: {command}"
    measured = time.measured
    database = size(measured.database_bytes) if measured.database_bytes else "the database"
    place = (
        "on a server of its own, without fsync" if measured.throwaway else "on a server of yours"
    )
    return (
        f"about {duration(time.expected_seconds)}, compared and all, on a machine like that of the"
        f" proof: there {database} took {duration(measured.estimated_seconds)} at"
        f" {moment(time.at)}, with {counted(measured.jobs, 'worker')},"
        f" {counted(measured.processors, 'processor')}, {place}"
    )


def _needs(needs: RecoveryNeeds) -> Iterator[tuple[str, str]]:
    icu = ", built with ICU" if needs.icu else ""
    yield "Server", f"PostgreSQL {needs.postgresql_major} or newer{icu}"
    locale = ", ".join(f"{name} {value}" for name, value in needs.locale.items())
    yield "Encoding", f"{needs.encoding}, {locale}" if locale else needs.encoding
    room = size(needs.database_bytes) if needs.database_bytes else "an unknown size"
    yield "Disk", f"{room} for the database, {size(needs.dump_bytes)} for the dump"
    above = _names(needs.superuser_for)
    yield "Superuser", f"needed, for {above}" if needs.superuser else "only for the roles"
    if needs.extensions:
        yield "Extensions", _names([_extension(each) for each in needs.extensions])
    if needs.preload_libraries:
        yield "Preloaded", _names(needs.preload_libraries)
    if needs.tablespaces:
        yield (
            "Tablespaces",
            _names([f"{each.name} in {each.location or '?'}" for each in needs.tablespaces]),
        )
    named = [role.name for role in needs.roles if role.archive]
    yield "Roles", _names(named) or "none"
    if missing := [role.name for role in needs.roles if not role.globals]:
        yield "Roles not kept", _names(missing)


def _extension(extension: NeededExtension) -> str:
    version = f" {extension.version}" if extension.version else ""
    origin = "comes with PostgreSQL" if extension.contrib else "does not come with PostgreSQL"
    return f"{extension.name}{version} ({origin})"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown


def _text(parts: Sequence[Block]) -> str:
    lines: list[str] = []
    for part in parts:
        match part:
            case Heading(level, text):
                marks = {1: "=", 2: "-"}.get(level)
                shown = printable(text)
                lines += ["", shown, *([marks * len(shown)] if marks else []), ""]
            case Paragraph(text):
                lines += textwrap.wrap(printable(text), _COLUMNS, break_long_words=False)
            case LabelledValues(rows):
                widest = max((len(label) for label, _ in rows), default=0) + 2
                for label, value in rows:
                    first = f"{label + ':':<{widest}}"
                    lines += _hanging(first + printable(value), widest)
            case ShellLine(text, as_root):
                lines.append(f"  {'#' if as_root else '$'} {printable(text)}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _hanging(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        _COLUMNS,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


# Emphasis, links, HTML, entities, cells, headings; and addresses that become links by themselves.
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#!|~&$]|:(?=//)|(?<=www)\.|@)")
_TICKS = re.compile(r"`+")


def _escaped(text: str) -> str:
    """Escape a text for Markdown: it is shown, and begins no link, heading or HTML."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def _markdown(parts: Sequence[Block]) -> str:
    lines: list[str] = []
    for part in parts:
        match part:
            case Heading(level, text):
                lines += [f"{'#' * level} {_escaped(text)}", ""]
            case Paragraph(text):
                lines += [_escaped(text), ""]
            case LabelledValues(rows):
                lines += ["| | |", "|---|---|"]
                lines += [f"| {_escaped(label)} | {_escaped(value)} |" for label, value in rows]
                lines.append("")
            case ShellLine(text):
                shown = printable(text)
                fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(shown)), default=0))
                lines += [f"{fence}sh", shown, fence, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Recovery sheet</title>
<style>
body { font: 11pt/1.35 sans-serif; max-width: 60em; margin: 1em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; border-top: 1px solid; padding-top: .5em; }
h3 { font-size: 1em; } p { margin: .4em 0; }
th { text-align: left; vertical-align: top; padding-right: 1em; white-space: nowrap; }
td, pre { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; margin: .3em 0; padding: .3em .6em; border-left: 3px solid; }
@media print { body { font-size: 8.5pt; max-width: none; margin: 0; } }
</style>
</head>
<body>"""


def _html(parts: Sequence[Block]) -> str:
    """Write one file that asks for no other, and has no script."""
    lines = [_HEAD]
    for part in parts:
        match part:
            case Heading(level, text):
                lines.append(f"<h{level}>{_quoted(text)}</h{level}>")
            case Paragraph(text):
                lines.append(f"<p>{_quoted(text)}</p>")
            case LabelledValues(rows):
                cells = [f"<th>{_quoted(label)}<td>{_quoted(value)}" for label, value in rows]
                lines += ["<table>", *(f"<tr>{each}</tr>" for each in cells), "</table>"]
            case ShellLine(text):
                lines.append(f"<pre>{_quoted(text)}</pre>")
    return "\n".join([*lines, "</body>", "</html>", ""])


def _quoted(text: str) -> str:
    return html.escape(printable(text))


_WRITERS = {SheetFormat.TEXT: _text, SheetFormat.MARKDOWN: _markdown, SheetFormat.HTML: _html}
