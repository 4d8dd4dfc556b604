"""Recorded runs: an operation with its history line, log, hooks, notifications, ping and metrics.

``recorded`` wraps the operation, wherever it was asked for: on a command line, by a scheduler, on a
page. Nothing around it makes a finished operation fail: an error in recording or sending is a
warning.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgvow.errors import Interrupted, PgvowError
from pgvow.operations.recorded.side_effects import SideEffects
from pgvow.postgres.watchdog import check, watching
from pgvow.runs import Operation, Outcome
from pgvow.signals import stop_behind
from pgvow.store import StoredBackup
from pgvow.store.history import new_run
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pgvow.model import Level, Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.recorded.side_effects import LogFile
    from pgvow.postgres.watchdog import Patience
    from pgvow.progress import Reporter
    from pgvow.runs import Run


@dataclass(frozen=True, slots=True)
class Recording:
    """One run to record: the operation, and the places of the record.

    ``directory`` is that of the backups, whose history gets the line. ``environment`` is the one
    that was named, if any: known even if the settings are wrong. ``is_quiet``: warnings of the
    recording itself are kept, not shown, until the run has ended. ``by_hand``: a person typed it at
    a terminal.
    """

    operation: Operation
    directory: Path
    environment: str | None = None
    metrics_file: Path | None = None
    log: LogFile | None = None
    is_quiet: bool = False
    by_hand: bool = False


@contextmanager
def recorded(context: Context, recording: Recording) -> Iterator[RecordedRun]:
    """Record the block as a run; yields the run, so that the block can add fields as it learns.

    The run ends with ``exit_code``, 0 unless the block sets another, or with the error that it
    raises. Its facts are complete then: hooks, metrics and notifications come after the block.
    """
    run = replace(
        new_run(recording.operation, context.clock()),
        environment=recording.environment,
        by_hand=recording.by_hand,
    )
    around = SideEffects(context, recording)
    current = RecordedRun(run, recording.directory, context.reporter, around.before)
    try:
        around.begin(run)
        yield current
    except BaseException as error:
        around.end(current.ended(context, *_ended_by(error)), current.parts())
        raise
    outcome = Outcome.FAILED if current.exit_code else Outcome.SUCCEEDED
    around.end(current.ended(context, outcome, current.exit_code), current.parts())


def _ended_by(error: BaseException) -> tuple[Outcome, int, PgvowError | None]:
    """Return how a run ended that raised an error."""
    if (stop := stop_behind(error)) is not None:
        stopped = Interrupted(stop.signum)
        return Outcome.INTERRUPTED, stopped.status, stopped
    if isinstance(error, PgvowError):
        return Outcome.FAILED, error.status, error
    unexpected = PgvowError(f"{type(error).__name__}: {error}")
    return Outcome.FAILED, unexpected.status, unexpected


@contextmanager
def patient(context: Context, patience: Patience, failure: type[PgvowError]) -> Iterator[None]:
    """End the block if a server or a tool falls silent, with the exit code of ``failure``."""
    with watching(patience, failure.exit_code, context.clock), context.reporter.checking(check):
        yield


def fields_of_end(error: type[PgvowError], causes: Sequence[str] | None) -> dict[str, Any]:
    """Return the fields of a run that succeeded, without causes, or failed with an error."""
    if causes is None:
        good = {"outcome": Outcome.SUCCEEDED, "exit_code": 0}
        return {**good, "title": None, "cause": None, "steps": ()}
    bad = {"outcome": Outcome.FAILED, "exit_code": error.exit_code, "steps": ()}
    return {**bad, **_why(error.title, causes)}


def _why(title: str, causes: Sequence[str]) -> dict[str, str]:
    others = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    return {"title": title, "cause": (causes[0] if causes else title) + others}


class RecordedRun:
    """A run under way: its fields as they become known, its warnings and the times of its phases.

    ``directory`` is that of the record.
    """

    def __init__(
        self,
        run: Run,
        directory: Path,
        reporter: Reporter,
        before: Callable[[Run], None] | None = None,
    ) -> None:
        self.exit_code = 0
        self._run = run
        self._directory = directory
        self._reporter = reporter
        self._before = before
        self._about: Path | None = None
        self._parts: list[tuple[Path, dict[str, Any]]] = []
        self._elsewhere: list[tuple[Path, Run]] = []

    def note(self, **fields: Any) -> None:
        """Set fields of the run."""
        self._run = replace(self._run, **fields)

    def begin_work(self) -> None:
        """Ping, and run the hook before the work, now that the database is known.

        Raises BackupFailed if the hook forbids the work.
        """
        if self._before is not None:
            self._before(self.run())

    def note_file(self, path: Path) -> None:
        """Note the backup that is read next, by its name: however that ends, it is of this backup.

        If it lies elsewhere than the run is recorded, the history of its directory gets a line too,
        unless the file is none of ours.
        """
        stem = parse_stem(path.name.removesuffix(DUMP))
        self.note(file=path.name)
        if stem is not None:
            self.note(environment=stem.environment, database=stem.database)
        if not StoredBackup.at(path).is_foreign:
            self._about = path.parent

    def note_backup(self, path: Path, metadata: Metadata | None, level: Level | None) -> None:
        """Note the backup that was made or read, and the level that it has reached."""
        self.note(file=path.name, level=level and str(level))
        if metadata is not None:
            self.note(
                environment=metadata.environment,
                database=metadata.database_name,
                bytes=metadata.backup_size_bytes,
                rows=sum(metadata.table_counts.values()),
                selection=metadata.selection,
            )

    def fail(self, error: type[PgvowError], causes: Sequence[str]) -> None:
        """End with an error's exit code and title, although nothing was raised: a check failed."""
        self.fail_with(error.exit_code, error.title, causes)

    def fail_with(self, exit_code: int, title: str, causes: Sequence[str]) -> None:
        """End with an exit code and a title, although nothing was raised."""
        self.exit_code = exit_code
        self.note(**_why(title, causes))

    def add_part(self, directory: Path, **fields: Any) -> None:
        """Add the outcome for one of several databases, for the history of their directory."""
        self._parts.append((directory, {"seconds": {}, "warnings": (), **fields}))

    def ended(
        self, context: Context, outcome: Outcome, code: int, error: PgvowError | None = None
    ) -> Run:
        """Complete the run, and return it. A run with parts leaves its outcome to them."""
        self.note(outcome=outcome, exit_code=code)
        if error is not None:
            self.note(title=error.title, cause=error.cause, steps=error.steps)
        self.note(ended=context.clock())
        parts = self._parts
        if not parts and self._about is not None:
            parts = [(self._about, {})]
        if len(parts) == 1 and parts[0][0].resolve() == self._directory.resolve():
            self.note(**parts[0][1])  # it is about one database, of this directory
            return self.run()
        self.note(parts=len(parts) or None)
        run = self.run()
        self._elsewhere = [
            (place, replace(run, **{"id": f"{run.id}.{number}", "parts": None, **fields}))
            for number, (place, fields) in enumerate(parts, 1)
        ]
        return run

    def parts(self) -> Sequence[tuple[Path, Run]]:
        """Return the runs to record besides this one that has ended, each with its directory."""
        return self._elsewhere

    def run(self) -> Run:
        """Return the run as known now."""
        return replace(
            self._run,
            warnings=tuple(dict.fromkeys(self._reporter.warnings)),
            seconds=self._reporter.seconds(),
        )
