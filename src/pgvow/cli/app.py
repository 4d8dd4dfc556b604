"""Run one command: signals, errors and exit codes, decided in this one place."""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.cli.console import send_nowhere
from pgvow.errors import Interrupted, PgvowError, lack_of_resources
from pgvow.outside import masked
from pgvow.signals import Stopped, StopSignals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_VERBS = {
    "backup": "Backup failed",
    "verify": "Verification failed",
    "list": "Listing failed",
    "restore": "Restore failed",
    "prove": "Proof failed",
    "prune": "Pruning failed",
    "status": "Status failed",
    "history": "History failed",
    "notify": "Notifying failed",
    "config": "Settings",
    "schedule": "Scheduling failed",
    "show": "Show failed",
    "extract": "Extract failed",
    "diff": "Diff failed",
    "doctor": "Doctor failed",
    "demo": "Demo failed",
}


def run(parse: Callable[[], argparse.Namespace]) -> int:
    """Parse, run and tell; returns the exit code. No error leaves it as a traceback."""
    arguments: argparse.Namespace | None = None
    signals = StopSignals()
    try:
        signals.obey()
        _prepare_streams()
        arguments = parse()
        return dispatch(arguments)
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as leaving:  # argparse's --help and --version
        return _left(leaving)
    except (Stopped, Exception) as error:  # noqa: BLE001 - no traceback reaches users
        signals.heeded()
        # Where a library was being loaded, what it made of our signal may be any exception.
        if signals.received is not None:
            return _tell(Interrupted(signals.received), arguments)
        return _tell(error if isinstance(error, PgvowError) else _unexpected(error), arguments)


def dispatch(arguments: argparse.Namespace) -> int:
    """Run the command of parsed arguments; returns the exit code, raises what it raises."""
    from pgvow.cli import commands  # noqa: PLC0415 - --help must not load libraries
    from pgvow.cli.configured import configure  # noqa: PLC0415
    from pgvow.cli.observed import observed  # noqa: PLC0415

    try:
        configure(arguments)
    except PgvowError as error:
        if not getattr(arguments, "nagios", False):
            raise
        from pgvow.cli.commands.status import unknown  # noqa: PLC0415

        return unknown(error)
    code = observed(arguments, commands.COMMANDS[arguments.command])
    if arguments.watch.unwritten is not None:
        _tell_unwritten(arguments.watch.unwritten)
        return code or 1
    sys.stdout.flush()  # here a reader that has left is met, and not after us
    return code


def _tell_unwritten(error: OSError) -> None:
    """Say that nobody got the report; a reader that has left did not want it."""
    if isinstance(error, BrokenPipeError):
        return
    from pgvow.cli.console import WARNING, errors, styled  # noqa: PLC0415

    what = f"the result stands, but its report could not be written: {error.strerror or error}"
    errors().print(styled("!", WARNING), what)


def _left(leaving: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    return leaving.code if isinstance(leaving.code, int) else 0


def _prepare_streams() -> None:
    """Let no report of finished work fail for want of a stream, or of a letter in its encoding."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            sink = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
            setattr(sys, name, sink)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _tell(error: PgvowError, arguments: argparse.Namespace | None) -> int:
    """Print an error; whether or not anybody can be told, its exit status stands."""
    with suppress(OSError, SystemExit):  # rich makes the latter of a reader that left
        _print_failure(error, arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            send_nowhere(stream)
    return error.status


def _print_failure(error: PgvowError, arguments: argparse.Namespace | None) -> None:
    from pgvow.cli.console import errors, printable  # noqa: PLC0415
    from pgvow.cli.render.as_json import dumps  # noqa: PLC0415
    from pgvow.cli.render.failure import failure_object, failure_text  # noqa: PLC0415

    if _debugging():
        for line in masked("".join(traceback.format_exception(error))).splitlines():
            print(printable(line), file=sys.stderr)
    verb = _VERBS[arguments.command] if arguments else "Nothing done"
    errors().print(failure_text(verb, error))
    wants_json = arguments.json if arguments and "json" in arguments else "--json" in sys.argv
    if wants_json:
        print(dumps(failure_object(error)), flush=True)


def _unexpected(error: BaseException) -> PgvowError:
    if lack := lack_of_resources(error):
        lack.__cause__ = error
        return lack
    wrapped = PgvowError(
        f"{type(error).__name__}: {error}",
        steps=[
            "Run it again with PGVOW_DEBUG=1 in front to see where it happened",
            "Report it with what that prints; look through it for secrets first",
        ],
    )
    wrapped.__cause__ = error
    return wrapped


def _debugging() -> bool:
    return os.environ.get("PGVOW_DEBUG") == "1"


def _reader_left() -> int:
    """``| head`` closed the pipe: that is no failure of ours, but nothing more can be said."""
    send_nowhere(sys.stdout)
    return 1
