"""Which tables pg_dump would take, by its own options: nobody else knows its patterns so well."""

from __future__ import annotations

import time
from subprocess import PIPE
from typing import TYPE_CHECKING

from pgvow.archive import Head, IncompleteArchive, kinds
from pgvow.engine.failure import dump_failure
from pgvow.errors import NothingMatches
from pgvow.postgres.process import Tool
from pgvow.postgres.snapshot import Chosen

if TYPE_CHECKING:
    from pgvow.engine.command import DumpCommand
    from pgvow.postgres.snapshot import HeldSnapshot

_PAUSES = (0.1, 0.3)
_ITS_END = ("pg_dump: terminated", "pg_dump: error")
_TABLES = {kinds.TABLE, kinds.TABLE_DATA, kinds.FOREIGN_TABLE}


def read_head(command: DumpCommand, held: HeldSnapshot | None) -> tuple[Head, list[str]]:
    """Have pg_dump write its table of contents, and no more; with what it warned of, by lines.

    Raises BeginAnewError, LockTableFullError, BackupFailed, AccessDenied, ArchiveError.
    """
    with Tool(command.argv(held), env=command.environment(held), stdout=PIPE) as tool:
        try:
            head = Head.read(tool.stdout)
        except IncompleteArchive:
            raise dump_failure(tool.wait(), command) from None
    said = tool.take_complaints().splitlines()  # of its end, too, which is our doing
    return head, [line for line in said if not line.startswith(_ITS_END)]


def choose_tables(command: DumpCommand) -> Chosen:
    """Ask pg_dump, in a run that is broken off, which tables it takes.

    Raises NothingMatches only where that is so again and again: a table that is just being made
    anew by others is for a moment neither the one that its snapshot knows nor visible.
    """
    for pause in _PAUSES:
        try:
            return _chosen(command)
        except NothingMatches:
            time.sleep(pause)
    return _chosen(command)


def _chosen(command: DumpCommand) -> Chosen:
    toc = read_head(command, None)[0].toc
    return Chosen(
        locked=frozenset(entry.oid for entry in toc.entries if entry.desc in _TABLES),
        copied=frozenset(entry.oid for entry in toc.table_data),
    )
