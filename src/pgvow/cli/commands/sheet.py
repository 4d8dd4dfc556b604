"""``pgvow sheet``: the recovery sheet, printed or written into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Topic, add_backup, path
from pgvow.cli.call import call_of
from pgvow.cli.console import GOOD
from pgvow.cli.picking import backup_path
from pgvow.cli.report import plain
from pgvow.operations.sheet import SheetOptions, recovery_sheet
from pgvow.operations.sheet.pages import page, write_page
from pgvow.quoted_texts import printable
from pgvow.settings.options import SheetFormat

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report
    from pgvow.operations.sheet import RecoverySheet

_TEXT = """\
Print how to get each database back on a bare machine, with and without pgvow: commands that run as
they stand, versions, extensions, roles, sizes, measured times, and where the backups and passwords
are. There is no secret in it. Without a backup it is about every environment and database, by the
newest whole backup of each. Print it, and keep it where it can be read when this machine is gone.
"""


def add_sheet(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    sheet = commands.add_parser("sheet", description=_TEXT)
    add_backup(sheet)
    options.add(sheet, "sheet", "env", "output_dir", "database")
    sheet.topic(Topic.OUTPUT).add_argument(
        "--output",
        metavar="FILE",
        type=path,
        help="write it into this file, for its owner only, and print its name",
    )
    options.add(sheet, "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Make the sheet, and print or write it; returns the exit code."""
    call = call_of(arguments)
    page_format, output = SheetFormat(call.arguments.format), arguments.output
    dump = backup_path(call, arguments.file) if arguments.file is not None else None
    directories = call.directories if dump is None else [dump.parent]
    wanted = (
        SheetOptions(dump=dump)
        if dump is not None
        else SheetOptions(call.environment, arguments.database)
    )
    with call.terminal.drawing():
        sheet = recovery_sheet(directories, wanted, call.context)
    if output is not None:
        write_page(sheet, page_format, output)
    report.print(
        lambda: _object(sheet, output),
        lambda: _written(output) if output is not None else _page(sheet, page_format),
        good=output is not None,
    )
    return 0


def _page(sheet: RecoverySheet, page_format: SheetFormat) -> Text:
    return Text(page(sheet, page_format).rstrip("\n"), no_wrap=True, overflow="ignore")


def _written(output: Path) -> Text:
    return Text.assemble(("✓", GOOD), f" Recovery sheet: {printable(str(output))}")


def _object(sheet: RecoverySheet, output: Path | None) -> dict[str, Any]:
    """Return the object of ``--json``."""
    return {"output": plain(output), **plain(sheet)}
