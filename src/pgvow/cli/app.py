"""Run one command: signals, errors and exit codes, decided in this one place."""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pgvow.cli.commands import COMMANDS, module_of
from pgvow.cli.console import BAD, discard, errors, print_warning, styled, write_event
from pgvow.cli.report import Report, dumps, with_schema
from pgvow.errors import Interrupted, PgvowError, lack_of_resources
from pgvow.quoted_texts import masked, printable
from pgvow.signals import Stopped, StopSignals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def run(parse: Callable[[], argparse.Namespace]) -> int:
    """Parse and run; returns the exit code. No error leaves it as a traceback."""
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
        # While a library is being loaded, it may turn our signal into any exception.
        if signals.received is not None:
            return _fail(Interrupted(signals.received), arguments)
        return _fail(error if isinstance(error, PgvowError) else _unexpected(error), arguments)


def dispatch(arguments: argparse.Namespace) -> int:
    """Run the command of parsed arguments; returns the exit code. Raises the command's errors."""
    report = Report(
        as_json=_wants_json(arguments),
        quiet=arguments.quiet,
        command=arguments.command,
        as_lines=arguments.jsonl,
        is_full=arguments.full,
    )
    code: int = module_of(arguments.command).run(arguments, report)
    if report.lost is None:
        sys.stdout.flush()  # a reader that has left is noticed here, and not after us
        return code
    if not isinstance(report.lost, BrokenPipeError):  # a reader that has left did not want it
        reason = report.lost.strerror or report.lost
        print_warning(f"the result stands, but its report could not be written: {reason}")
    return code or 1


def _left(leaving: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    return leaving.code if isinstance(leaving.code, int) else 0


def _prepare_streams() -> None:
    """Keep reports from failing for want of a stream, or of a letter in its encoding."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the program that started us
            sink = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
            setattr(sys, name, sink)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: PgvowError, arguments: argparse.Namespace | None) -> int:
    """Print an error; returns its exit code, even if it cannot be printed."""
    with suppress(OSError, SystemExit):  # rich raises the latter if the reader has left
        _print_failure(error, arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            discard(stream)
    return error.status


def _print_failure(error: PgvowError, arguments: argparse.Namespace | None) -> None:
    if _debugging():
        for line in masked("".join(traceback.format_exception(error))).splitlines():
            print(printable(line), file=sys.stderr)
    failure = _first_words(arguments)
    if arguments and arguments.progress == "json":
        write_event("failed", **_failure_object(error)["error"])
    else:
        errors().print(_failure_text(failure, error))
    wants_json = _wants_json(arguments)
    if wants_json:
        print(dumps(with_schema(_failure_object(error), "error")), flush=True)


def _wants_json(arguments: argparse.Namespace | None) -> bool:
    if arguments is None:
        return bool({"--json", "--jsonl"} & set(sys.argv))
    return bool(arguments.json or arguments.jsonl)


def _first_words(arguments: argparse.Namespace | None) -> str:
    command = COMMANDS.get(arguments.command) if arguments else None
    return command.failure if command else "Nothing done"


def _failure_text(failure: str, error: PgvowError) -> Text:
    """Render an error; ``failure`` is such as ``Backup failed``."""
    text = Text.assemble(styled("✗", BAD), f" {failure}: {error.title}\n\n")
    cause = "\n       ".join(
        printable(line.strip()) for line in error.cause.splitlines() if line.strip()
    )
    text.append(f"Error: {cause}\n")
    if error.facts:
        width = max(len(name) for name in error.facts) + 1
        text.append("\n")
        for name, value in error.facts.items():
            text.append(f"{name + ':':<{width}} {printable(value)}\n")
    if error.steps:
        text.append("\nTroubleshooting:\n")
        for number, step in enumerate(error.steps, 1):
            text.append(f"  {number}. {printable(step)}\n")
    text.rstrip()
    return text


def _failure_object(error: PgvowError) -> dict[str, Any]:
    """Return an error as the object of ``--json``."""
    return {
        "ok": False,
        "error": {
            "title": error.title,
            "cause": error.cause,
            "exit_code": error.status,
            "facts": dict(error.facts),
            "steps": list(error.steps),
        },
    }


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
    """End after ``| head`` has closed the pipe: no failure, but no more can be written."""
    discard(sys.stdout)
    return 1
