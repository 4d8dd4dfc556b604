"""``pgvow``, that gets a signal when it first comes to a moment: argv is moment, signal, words.

A moment is ``phase:NAME`` of its progress, or ``before:PATTERN`` or ``after:PATTERN`` of a
statement that it sends to the server.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

import pgvow.cli.progress
from pgvow.cli import main

if TYPE_CHECKING:
    from pgvow.progress import Step


def on_phase(name: str, signum: int) -> None:
    """Send the signal when a phase begins."""
    seen: set[str] = set()

    def update(_self: object, step: Step) -> None:
        if step.phase == name and name not in seen:
            seen.add(name)
            os.kill(os.getpid(), signum)

    pgvow.cli.progress.TerminalProgress.update = update  # type: ignore[method-assign]


def on_statement(pattern: str, signum: int, *, after: bool) -> None:
    """Send the signal before a statement that has the pattern, or when it is done."""
    execute = psycopg.Connection.execute

    def watched(self: Any, statement: Any, *arguments: Any, **options: Any) -> Any:
        is_moment = re.search(pattern, text(statement)) is not None
        if is_moment and not after:
            os.kill(os.getpid(), signum)
        result = execute(self, statement, *arguments, **options)
        if is_moment and after:
            os.kill(os.getpid(), signum)
        return result

    psycopg.Connection.execute = watched  # type: ignore[method-assign]


def text(statement: str | bytes | sql.Composable) -> str:
    """A statement as text."""
    if isinstance(statement, bytes):
        return statement.decode(errors="replace")
    return statement.as_string(None) if isinstance(statement, sql.Composable) else statement


def run(moment: str, name: str, *words: str) -> None:
    """Run pgvow with these words, and send the signal at the moment."""
    kind, _, what = moment.partition(":")
    signum = getattr(signal, name)
    if kind == "phase":
        on_phase(what, signum)
    else:
        on_statement(what, signum, after=kind == "after")
    sys.argv = ["pgvow", *words]
    sys.exit(main())


if __name__ == "__main__":
    run(*sys.argv[1:])
