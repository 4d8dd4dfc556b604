"""``pgvow extract``: one table's rows out of a backup."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pgvow.cli.call import call_of
from pgvow.cli.calls.recording import recording_of
from pgvow.errors import PgvowError
from pgvow.operations.extract import RowFormat, extract_table
from pgvow.operations.recorded import recorded
from pgvow.runs import Operation
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.report import Report


def run(arguments: argparse.Namespace, _report: Report) -> int:
    """Write one table's rows to standard output; returns the exit code."""
    call = call_of(arguments)
    with recorded(call.context, recording_of(call, Operation.EXTRACT)) as current:
        path, table = arguments.file, arguments.table
        row_format, sink = RowFormat(arguments.format), sys.stdout.buffer
        current.note(file=path.name)
        # Rows on a terminal are progress enough, and a bar between them would be none.
        bar = nullcontext() if sys.stdout.isatty() else call.terminal.drawing()
        try:
            with bar:
                extract_table(StoredBackup.at(path), table, row_format, sink, call.context.reporter)
        except PgvowError:
            _discard_output()
            raise
    return current.exit_code


def _discard_output() -> None:
    """Discard the buffer of a full disk, which would be written again when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
