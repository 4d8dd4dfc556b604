"""Run one command: signals, errors and exit codes, decided in this one place."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from pgvow.errors import Interrupted, PgvowError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import FrameType

_VERBS = {
    "backup": "Backup failed",
    "verify": "Verification failed",
    "list": "Listing failed",
    "doctor": "Doctor failed",
    "demo": "Demo failed",
}
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(parse: Callable[[], argparse.Namespace]) -> int:
    """Parse, run and tell; returns the exit code. No error leaves it as a traceback."""
    arguments: argparse.Namespace | None = None
    try:
        _obey_signals()
        arguments = parse()
        return _dispatch(arguments)
    except PgvowError as error:
        return _tell(error, arguments)
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as leaving:  # argparse's --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for users
        return _tell(_unexpected(error), arguments)


def _dispatch(arguments: argparse.Namespace) -> int:
    from pgvow.cli import commands  # noqa: PLC0415 - --help must not load libraries

    return commands.COMMANDS[arguments.command](arguments)


def _obey_signals() -> None:
    """Turn the signals that ask us to stop into an exception, once; a nohup stays in force."""

    def stop(signum: int, _frame: FrameType | None) -> None:
        for each in _STOPPING:
            signal.signal(each, signal.SIG_IGN)  # clearing up is not interrupted
        raise Interrupted(signum)

    for each in _STOPPING:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, stop)


def _tell(error: PgvowError, arguments: argparse.Namespace | None) -> int:
    from pgvow.cli.console import errors  # noqa: PLC0415
    from pgvow.cli.render.failure import failure_object, failure_text  # noqa: PLC0415

    if _debugging():
        traceback.print_exception(error)
    verb = _VERBS[arguments.command] if arguments else "Nothing done"
    errors().print(failure_text(verb, error))
    wants_json = arguments.json if arguments and "json" in arguments else "--json" in sys.argv
    if wants_json:
        print(json.dumps(failure_object(error), indent=2, ensure_ascii=False))
    return error.status


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
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
