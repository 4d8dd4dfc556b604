"""``pgvow`` alone: where things stand in this folder, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli.call import call_of
from pgvow.cli.commands import status
from pgvow.cli.console import output
from pgvow.operations.list import ListOptions, list_backups
from pgvow.settings import FILES

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report

_BEGIN = """\
pgvow backs up PostgreSQL databases, and proves that the backups come back.
There are no settings in this folder.

  pgvow init    begin here: five questions, and the first backup
  pgvow demo    see it all on a throw-away server, in a minute
  pgvow help    every command
"""
_FIRST = """\
There are settings here, and no backup yet.

  pgvow doctor         check settings, tools, rights and space
  pgvow backup         make the first one
  pgvow help           every command
"""
_NEXT = """

  pgvow backup                          make one now
  pgvow prove latest                    restore the newest elsewhere, and compare
  pgvow restore NAME --to DATABASE      bring one back, under a new name
  pgvow list                            all backups; pgvow help: every command
"""


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Show what there is here, and what to type; returns the exit code."""
    call = call_of(arguments)
    if list_backups(call.directories, ListOptions(), call.context):
        status.run(arguments, report)
        output().print(Text(_NEXT.rstrip("\n")))
    else:
        text = _FIRST if _has_settings(call) else _BEGIN
        output().print(Text(text.rstrip("\n")))
    return 0


def _has_settings(call: Call) -> bool:
    """Return whether this folder has a settings file, of variables or of pgvow."""
    directory = call.context.directory
    return call.context.configuration.path is not None or any(
        (directory / name).is_file() for name in FILES
    )
