"""Run one command: signals, errors and exit codes, decided in this one place."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.errors import Interrupted, PgvowError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import FrameType
    from typing import TextIO

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
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(KeyboardInterrupt):
    """We were asked to stop.

    Not an Exception: libraries that try something and go on when it fails, and our own code that
    makes a warning of an error, would go on after a Ctrl-C as well, and no second one is heeded.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def run(parse: Callable[[], argparse.Namespace]) -> int:
    """Parse, run and tell; returns the exit code. No error leaves it as a traceback."""
    arguments: argparse.Namespace | None = None
    try:
        _obey_signals()
        _prepare_streams()
        arguments = parse()
        return dispatch(arguments)
    except _Stopped as stopped:
        return _tell(Interrupted(stopped.signum), arguments)
    except PgvowError as error:
        return _tell(error, arguments)
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as leaving:  # argparse's --help and --version
        return _left(leaving)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for users
        return _tell(_unexpected(error), arguments)


def dispatch(arguments: argparse.Namespace) -> int:
    """Run the command of parsed arguments; returns the exit code, raises what it raises."""
    from pgvow.cli import commands  # noqa: PLC0415 - --help must not load libraries
    from pgvow.cli.configured import configure  # noqa: PLC0415
    from pgvow.cli.observed import observed  # noqa: PLC0415

    configure(arguments)
    code = observed(arguments, commands.COMMANDS[arguments.command])
    sys.stdout.flush()  # here a reader that has left is met, and not after us
    return code


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


def _obey_signals() -> None:
    """Turn the signals that ask us to stop into an exception, once; a nohup stays in force."""

    def stop(signum: int, _frame: FrameType | None) -> None:
        for each in _STOPPING:
            signal.signal(each, signal.SIG_IGN)  # clearing up is not interrupted
        raise _Stopped(signum)

    for each in _STOPPING:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, stop)


def _tell(error: PgvowError, arguments: argparse.Namespace | None) -> int:
    """Print an error; whether or not anybody can be told, its exit status stands."""
    with suppress(OSError, SystemExit):  # rich makes the latter of a reader that left
        _print_failure(error, arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _send_nowhere(stream)
    return error.status


def _print_failure(error: PgvowError, arguments: argparse.Namespace | None) -> None:
    from pgvow.cli.console import errors  # noqa: PLC0415
    from pgvow.cli.render.as_json import dumps  # noqa: PLC0415
    from pgvow.cli.render.failure import failure_object, failure_text  # noqa: PLC0415

    if _debugging():
        traceback.print_exception(error)
    verb = _VERBS[arguments.command] if arguments else "Nothing done"
    errors().print(failure_text(verb, error))
    wants_json = arguments.json if arguments and "json" in arguments else "--json" in sys.argv
    if wants_json:
        print(dumps(failure_object(error)), flush=True)


def _unexpected(error: Exception) -> PgvowError:
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
    _send_nowhere(sys.stdout)
    return 1


def _send_nowhere(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: Python's own last try would end us with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
