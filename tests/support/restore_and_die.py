"""``pgvow``, that gets a signal when it first comes to a step: argv is step, signal, words.

A moment is ``phase:NAME`` of its progress, or ``before:PATTERN`` or ``after:PATTERN`` of a
statement that it sends to the server, or ``starting:PATTERN``: after such a statement of a thread,
of which the main thread has not yet been told that it has started.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

import pgvow.cli.console
from pgvow.cli import main

if TYPE_CHECKING:
    from pgvow.progress import Step

_PATIENCE = 30.0


def on_phase(name: str, signum: int) -> None:
    """Send the signal when a phase begins."""
    seen: set[str] = set()

    def update(_self: object, step: Step) -> None:
        if step.phase == name and name not in seen:
            seen.add(name)
            os.kill(os.getpid(), signum)

    pgvow.cli.console.TerminalProgress.update = update  # type: ignore[method-assign]


def on_statement(
    pattern: str, signum: int, *, after: bool, is_sent: threading.Event | None = None
) -> None:
    """Send the signal before a statement that has the pattern, or when it is done.

    A signal is obeyed by the main thread, whenever that gets to run. A statement of another thread
    waits until the main thread has cancelled it: what came a moment later would be too late.
    """
    execute = psycopg.Connection.execute
    cancel = psycopg.Connection.cancel
    heard = threading.Event()

    def cancelled(self: Any) -> None:
        cancel(self)
        heard.set()

    def send() -> None:
        os.kill(os.getpid(), signum)
        if is_sent is not None:
            is_sent.set()
        in_main_thread = threading.current_thread() is threading.main_thread()
        if signum == signal.SIGTERM and not in_main_thread:
            heard.wait(_PATIENCE)  # if it does not hear of it, the statement goes on

    def watched(self: Any, statement: Any, *arguments: Any, **options: Any) -> Any:
        is_moment = re.search(pattern, text(statement)) is not None
        if is_moment and not after:
            send()
        result = execute(self, statement, *arguments, **options)
        if is_moment and after:
            send()
        return result

    psycopg.Connection.execute = watched  # type: ignore[method-assign]
    psycopg.Connection.cancel = cancelled  # type: ignore[method-assign]


def start_slowly(until: threading.Event) -> None:
    """Let the thread that renames start, and the main thread know of it when the event is set."""
    submit = ThreadPoolExecutor.submit

    def slow(self: Any, *arguments: Any, **options: Any) -> Any:
        result = submit(self, *arguments, **options)
        if self._thread_name_prefix == "rename":
            until.wait(_PATIENCE)
        return result

    ThreadPoolExecutor.submit = slow  # type: ignore[method-assign]


def text(statement: str | bytes | sql.Composable) -> str:
    """A statement as text."""
    if isinstance(statement, bytes):
        return statement.decode(errors="replace")
    return statement.as_string(None) if isinstance(statement, sql.Composable) else statement


def run(moment: str, name: str, *words: str) -> None:
    """Run pgvow with these words, and send the signal at the step."""
    kind, _, what = moment.partition(":")
    signum = getattr(signal, name)
    if kind == "phase":
        on_phase(what, signum)
    elif kind == "starting":
        is_sent = threading.Event()
        start_slowly(is_sent)
        on_statement(what, signum, after=True, is_sent=is_sent)
    else:
        on_statement(what, signum, after=kind == "after")
    sys.argv = ["pgvow", *words]
    sys.exit(main())


if __name__ == "__main__":
    run(*sys.argv[1:])
