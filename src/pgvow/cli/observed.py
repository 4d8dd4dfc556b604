"""Around a command: the record of its run, and whoever is told how it ended.

Nothing here makes a finished operation fail: what cannot be recorded or told is a warning.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgvow.cli.configured import environment_of
from pgvow.cli.console import WARNING, errors, printable, styled
from pgvow.cli.logfile import RunLog
from pgvow.cli.watch import Watch
from pgvow.errors import Interrupted, PgvowError
from pgvow.runs import Operation, Outcome
from pgvow.signals import stop_behind

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pgvow.runs import Run
    from pgvow.store.history import History

_RECORDED = {str(operation): operation for operation in Operation}


def observed(arguments: argparse.Namespace, command: Callable[[argparse.Namespace], int]) -> int:
    """Run a command; one that does something is recorded in the directory of the backups."""
    operation = _RECORDED.get(arguments.command)
    if operation is None:
        arguments.watch = Watch()
        return command(arguments)
    observer = Observer(arguments, operation)
    try:
        observer.begin()
        code = command(arguments)
    except BaseException as error:
        observer.end(*_ended_by(error))
        raise
    observer.end(Outcome.FAILED if code else Outcome.SUCCEEDED, code)
    return code


def _ended_by(error: BaseException) -> tuple[Outcome, int, PgvowError | None]:
    """Tell how a run ended by what it raised."""
    if (stop := stop_behind(error)) is not None:
        stopped = Interrupted(stop.signum)
        return Outcome.INTERRUPTED, stopped.status, stopped
    if isinstance(error, PgvowError):
        return Outcome.FAILED, error.status, error
    unexpected = PgvowError(f"{type(error).__name__}: {error}")
    return Outcome.FAILED, unexpected.status, unexpected


class Observer:
    """One recorded run: begun, ended, and told of to whoever wants to know."""

    def __init__(self, arguments: argparse.Namespace, operation: Operation) -> None:
        from pgvow.store.history import new_run  # noqa: PLC0415 - --help must not load it

        self._configuration = arguments.configuration
        self._quiet = arguments.quiet if "quiet" in arguments else True
        self._directory = _directory(arguments)
        self._metrics_file = _metrics_file(arguments)
        self._log = _log(arguments)
        self._history: History | None = None
        self._died: list[Run] = []
        self._parts: list[tuple[Path, Run]] = []
        self._ended = False
        self._run = new_run(operation, datetime.now(UTC))
        self._run = replace(self._run, environment=_named(arguments))
        self._is_backup = operation is Operation.BACKUP
        self._watch = Watch(self._run, self._before if self._is_backup else None)
        arguments.watch = self._watch

    def begin(self) -> None:
        """Leave a mark that the run has begun, by which its death would be known."""
        if self._log is not None:
            with self._harmless("nothing is logged"):
                self._log.began(self._run)
        with self._harmless("the run is not recorded"):
            if self._is_backup:
                from pgvow.spool import Spool  # noqa: PLC0415

                Spool(self._directory).prepare()
            if self._directory.is_dir():
                from pgvow.store.history import History  # noqa: PLC0415

                history = History(self._directory)
                self._died = history.bury()
                self._history = history
                history.begin(self._run)

    def _before(self, watch: Watch) -> None:
        """Say that it begins, and run the hook that may forbid it."""
        run = watch.run()
        if run is None:
            return
        if self._configuration.notifications.ping:
            from pgvow.operations.notify.ping import ping_started  # noqa: PLC0415

            with self._harmless("no ping was sent"):
                ping_started(run, self._configuration.notifications, self._warn)
        if self._configuration.hooks.before:
            from pgvow.operations.notify.hooks import run_before  # noqa: PLC0415

            run_before(self._configuration.hooks, facts_of(run), os.environ)

    def end(self, outcome: Outcome, code: int, error: PgvowError | None = None) -> None:
        """Complete the record, and tell."""
        self._watch.found(outcome=outcome, exit_code=code)
        if error is not None:
            self._watch.found(title=error.title, cause=error.cause)
        self._watch.found(ended=datetime.now(UTC))
        self._parts = self._watch.elsewhere(self._directory)
        run = self._watch.run()
        if run is None:
            return
        # Before all that may be stopped or hang: a backup that was made has not died.
        with self._harmless("the run is not recorded"):
            if self._history is not None:
                self._history.finish(run)
        self._record_parts()
        if self._log is not None:
            with self._harmless("nothing is logged"):
                self._log.ended(run)
        self._ended = True
        self._after()
        self._tell(run)

    def _record_parts(self) -> None:
        """Record how it went for each of several databases in the history of its directory."""
        for directory in dict.fromkeys(directory for directory, _ in self._parts):
            from pgvow.store.history import History  # noqa: PLC0415

            with self._harmless(f"the run is not recorded in {directory}"):
                History(directory).add([run for place, run in self._parts if place == directory])

    def _after(self) -> None:
        run = self._watch.run()
        if run is None or not (self._is_backup and self._configuration.hooks.after):
            return
        from pgvow.operations.notify.hooks import run_after  # noqa: PLC0415

        with self._harmless("the hook after the backup did not run"):
            run_after(self._configuration.hooks, facts_of(run), os.environ, self._warn)

    def _tell(self, run: Run) -> None:
        """Write the metrics, send the notifications and the ping, whichever are set up."""
        section = self._configuration.notifications
        if self._metrics_file is not None or section.urls:
            with self._harmless("the state is not known"):
                self._tell_state(run)
        if self._is_backup and section.ping:
            from pgvow.operations.notify.ping import ping_ended  # noqa: PLC0415

            with self._harmless("no ping was sent"):
                ping_ended(run, section, self._warn)

    def _tell_state(self, run: Run) -> None:
        from pgvow.operations.health.status import current_status, with_run  # noqa: PLC0415

        history = with_run(self._history.read().runs if self._history else [], run)
        now = datetime.now(UTC)
        report = current_status(self._configuration, self._directory, now, just_ended=run)
        if self._metrics_file is not None:
            from pgvow.operations.health.metrics import metrics_text, write_metrics  # noqa: PLC0415

            with self._harmless("the metrics are not written"):
                write_metrics(self._metrics_file, metrics_text(report, history, now))
        if self._configuration.notifications.urls:
            from pgvow.operations.notify import notify  # noqa: PLC0415

            with self._harmless("nobody was notified"):
                notify(
                    run,
                    died=self._died,
                    parts=[part for _, part in self._parts],
                    # Those of other directories are told where they are.
                    alarms=[
                        alarm
                        for one in report.series
                        if one.directory.resolve() == self._directory.resolve()
                        for alarm in one.alarms
                    ],
                    section=self._configuration.notifications,
                    directory=self._directory,
                    now=now,
                    warn=self._warn,
                )

    @contextmanager
    def _harmless(self, consequence: str) -> Iterator[None]:
        """Make a warning of whatever fails: the operation itself has ended as it has."""
        try:
            yield
        except PgvowError as error:
            self._warn(f"{consequence}: {error.cause}")
        except Exception as error:  # noqa: BLE001 - a library's defect must not fail a backup
            self._warn(f"{consequence}: {type(error).__name__}: {error}")

    def _warn(self, message: str) -> None:
        self._watch.warn(message)
        if self._log is not None and self._ended:  # before, it is told at the end
            with suppress(PgvowError):
                self._log.warned(self._run, message)
        if not self._quiet or self._ended:  # nobody else will tell that nobody was told
            errors().print(styled("!", WARNING), printable(message))


def facts_of(run: Run) -> dict[str, str]:
    """What a hook is told of a run, by name."""
    return {name: str(value) for name, value in run.facts().items()}


def _log(arguments: argparse.Namespace) -> RunLog | None:
    path: Path | None = getattr(arguments, "log_file", None)
    return RunLog(path, arguments.log_format) if path is not None else None


def _named(arguments: argparse.Namespace) -> str | None:
    """The environment that was typed: known even where the settings are wrong."""
    with suppress(PgvowError):
        return environment_of(arguments) if "env" in arguments else None
    return None


def _directory(arguments: argparse.Namespace) -> Path:
    file: Path | None = getattr(arguments, "file", None)
    if file is not None:
        return file.parent
    directory: Path = arguments.output_dir
    return directory


def _metrics_file(arguments: argparse.Namespace) -> Path | None:
    typed: Path | None = getattr(arguments, "metrics_file", None)
    configured: Path | None = arguments.configuration.metrics_file
    return typed or configured
