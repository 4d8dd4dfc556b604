"""Around a run: history, log file, hooks, ping, metrics and notifications."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.file_errors import refusals
from pgvow.operations.health.metrics import metrics_text, write_metrics
from pgvow.operations.health.status import StatusOptions, current_status, with_run
from pgvow.operations.notify import notify
from pgvow.operations.notify.digest import send_if_due
from pgvow.operations.notify.hooks import ping_ended, ping_started, run_after, run_before
from pgvow.operations.notify.post import Post
from pgvow.runs import Operation
from pgvow.spool import Spool
from pgvow.store import names
from pgvow.store.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.operations.recorded import Recording
    from pgvow.runs import Run


class SideEffects:
    """Records, pings, runs hooks and notifies around one run; any failure of it is a warning."""

    def __init__(self, context: Context, recording: Recording) -> None:
        self._context = context
        self._recording = recording
        self._is_backup = recording.operation is Operation.BACKUP
        self._history: History | None = None
        self._died: list[Run] = []
        self._ended: Run | None = None

    def begin(self, run: Run) -> None:
        """Leave a mark that the run has begun, by which its death would be known."""
        log, directory = self._recording.log, self._recording.directory
        if log is not None:
            with self._harmless("nothing is logged"):
                log.began(run, self._context.clock())
        with self._harmless("the run is not recorded"):
            if self._is_backup:
                Spool(directory).prepare()
            if directory.is_dir():
                history = History(directory)
                self._died = history.bury()
                self._history = history
                history.begin(run)

    def before(self, run: Run) -> None:
        """Before a backup: ping, and run the hook; raises BackupFailed if the hook forbids it."""
        if not self._is_backup:
            return
        configuration = self._context.configuration
        if configuration.notifications.ping:
            with self._harmless("no ping was sent"):
                ping_started(run, configuration.notifications, self._warn)
        if configuration.hooks.before:
            run_before(configuration.hooks, self._facts(run), self._context.environ)

    def end(self, run: Run, parts: Sequence[tuple[Path, Run]]) -> None:
        """Complete the record, then run the hook, write the metrics, and notify."""
        # Before all that may be stopped or hang: a backup that was made has not died.
        with self._harmless("the run is not recorded"):
            directory = self._recording.directory
            if self._history is not None:
                self._history.finish(run)
            elif run.operation is Operation.ADOPT and directory.is_dir():  # the run has made it
                History(directory).add([run])
        for directory in dict.fromkeys(directory for directory, _ in parts):
            with self._harmless(f"the run is not recorded in {directory}"):
                History(directory).add([part for place, part in parts if place == directory])
        if self._recording.log is not None:
            with self._harmless("nothing is logged"):
                self._recording.log.ended(run, self._context.clock())
        self._ended = run
        self._after(run)
        self._send(run, [part for _, part in parts])

    def _after(self, run: Run) -> None:
        hooks = self._context.configuration.hooks
        if self._is_backup and hooks.after:
            with self._harmless("the hook after the backup did not run"):
                run_after(hooks, self._facts(run), self._context.environ, self._warn)

    def _facts(self, run: Run) -> dict[str, object]:
        """Return the facts of a run for a hook, by name, with the paths of its files."""
        facts = run.facts()
        if run.file is not None:
            dump = self._recording.directory.absolute() / run.file
            files = {
                "path": dump,
                "metadata_path": dump.with_name(names.metadata_name(dump.name)),
                "globals_path": dump.with_name(names.globals_name(dump.name)),
            }
            facts |= {name: str(path) for name, path in files.items() if path.exists()}
        return facts

    def _send(self, run: Run, parts: Sequence[Run]) -> None:
        """Write the metrics, send the notifications and the ping, whichever are set up."""
        section = self._context.configuration.notifications
        if self._recording.metrics_file is not None or section.urls:
            with self._harmless("the state is not known"):
                self._send_state(run, parts)
        if self._is_backup and section.ping:
            with self._harmless("no ping was sent"):
                ping_ended(run, section, self._warn)

    def _send_state(self, run: Run, parts: Sequence[Run]) -> None:
        configuration, directory = self._context.configuration, self._recording.directory
        history = with_run(self._history.read().runs if self._history else [], run)
        report = current_status(directory, StatusOptions(just_ended=run), self._context)
        now = report.at
        if self._recording.metrics_file is not None:
            with self._harmless("the metrics are not written"):
                write_metrics(self._recording.metrics_file, metrics_text(report, history, now))
        if configuration.notifications.urls:
            post = Post(configuration.notifications, now, self._warn)
            with self._harmless("nobody was notified"):
                notify(
                    run,
                    self._context,
                    directory=directory,
                    post=post,
                    # The alarms of other directories are sent by the runs there.
                    alarms=[
                        alarm
                        for series in report.series
                        if series.directory.resolve() == directory.resolve()
                        for alarm in (*series.alarms, *series.known)
                    ],
                    warn=self._warn,
                    died=self._died,
                    parts=parts,
                )
            with self._harmless("no digest was sent"):
                send_if_due(directory, run, self._context, post, self._warn)

    @contextmanager
    def _harmless(self, consequence: str) -> Iterator[None]:
        """Turn any error into a warning: the operation itself has ended as it has."""
        try:
            yield
        except PgvowError as error:
            self._warn(f"{consequence}: {error.cause}")
        except Exception as error:  # noqa: BLE001 - a library's defect must not fail a backup
            self._warn(f"{consequence}: {type(error).__name__}: {error}")

    def _warn(self, message: str) -> None:
        reporter, log = self._context.reporter, self._recording.log
        if self._ended is None and self._recording.is_quiet:
            reporter.keep(message)
            return
        reporter.insist(message)  # once the run is recorded, nothing else has the warning
        if log is not None and self._ended is not None:  # before, it is logged at the end
            with suppress(PgvowError):
                log.warned(self._ended, message, self._context.clock())


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to which each run appends its lines, for people or, ``as_json``, for programs.

    Raises AccessDenied, NoSpace or PgvowError if it cannot be written.
    """

    path: Path
    as_json: bool

    def began(self, run: Run, at: datetime) -> None:
        """Append that a run begins."""
        self._append(run, at, "began", {})

    def ended(self, run: Run, at: datetime) -> None:
        """Append how it ended, each warning in a line of its own before."""
        for warning in run.warnings:
            self.warned(run, warning, at)
        facts = run.facts()
        for name in ("operation", "outcome"):
            facts.pop(name, None)
        self._append(run, at, run.outcome, facts)

    def warned(self, run: Run, warning: str, at: datetime) -> None:
        """Append a warning."""
        self._append(run, at, "warning", {"message": warning})

    def _append(self, run: Run, at: datetime, event: str, facts: dict[str, object]) -> None:
        now = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.as_json:
            head = {"at": now, "run": run.id, "operation": run.operation, "event": event}
            line = json.dumps({**head, **facts})
        else:
            words = " ".join(f"{name}={_word(value)}" for name, value in facts.items())
            line = f"{now} pgvow[{run.pid}] {run.operation} {event} {words}".rstrip()
        with refusals("write", self.path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            fd = os.open(self.path, flags, 0o600)
            try:
                os.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
            finally:
                os.close(fd)


def _word(value: object) -> str:
    """Return a value as text without spaces or line breaks, quoted if it has any."""
    text = str(value)
    return text if text.isprintable() and " " not in text and text else json.dumps(text)
