"""What a command says of itself while it works, for the record of its run."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgvow.outside import quotable
from pgvow.runs import Outcome
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pgvow.errors import PgvowError
    from pgvow.model import Level, Metadata
    from pgvow.progress import Progress, Step
    from pgvow.runs import Run


class PhaseClock:
    """A progress that hands on to another, and measures how long each phase took, in seconds."""

    def __init__(self, progress: Progress, now: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._now = now
        self._phase: str | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = {}
        self.warnings: list[str] = []

    def update(self, step: Step) -> None:
        """Hand on; where a phase begins, the one before it has ended."""
        if step.phase != self._phase:
            self._turn(step.phase)
        self._progress.update(step)

    def warn(self, message: str) -> None:
        """Keep a warning, and hand it on."""
        message = quotable(message)
        self.warnings.append(message)
        self._progress.warn(message)

    def seconds(self) -> dict[str, float]:
        """Each phase so far, in the order of their beginnings."""
        self._turn(None)
        return {phase: round(seconds, 3) for phase, seconds in self._seconds.items()}

    def _turn(self, phase: str | None) -> None:
        now = self._now()
        if self._phase is not None:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now


def ended(error: type[PgvowError], causes: Sequence[str] | None) -> dict[str, Any]:
    """Return the fields of a run that ended well, without causes, or with an error's title."""
    if causes is None:
        return {"outcome": Outcome.SUCCEEDED, "exit_code": 0, "title": None, "cause": None}
    return {"outcome": Outcome.FAILED, "exit_code": error.exit_code, **_why(error.title, causes)}


def _why(title: str, causes: Sequence[str]) -> dict[str, str]:
    more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    return {"title": title, "cause": (causes[0] if causes else title) + more}


class Watch:
    """The run of one command as known so far. A command that is not recorded has one as well."""

    def __init__(
        self, run: Run | None = None, before: Callable[[Watch], None] | None = None
    ) -> None:
        self._run = run
        self._before = before
        self._clock: PhaseClock | None = None
        self.unwritten: OSError | None = None
        """Why the report did not reach whoever reads standard output."""
        self.warnings: list[str] = []
        self.directory: Path | None = None
        """The directory that it is about, if it is known."""
        self.parts: list[tuple[Path, dict[str, Any]]] = []
        """Of several databases: the directory of each, and the fields of a run of its own."""

    def before(self) -> None:
        """Do what is to be done before the work begins, now that it is known on what.

        Raises BackupFailed where that forbids it.
        """
        if self._before is not None:
            self._before(self)

    def found(self, **facts: Any) -> None:
        """Take note of fields of the run as they become known."""
        if self._run is not None:
            self._run = replace(self._run, **facts)

    def begins(self, path: Path) -> None:
        """Take note of the backup that is looked at next, by its name: whatever comes, it is its.

        If it lies elsewhere than the record is kept, the record of its directory gets a line too.
        """
        stem = parse_stem(path.name.removesuffix(DUMP))
        facts: dict[str, Any] = {"file": path.name}
        if stem is not None:
            facts |= {"environment": stem.environment, "database": stem.database}
        self.found(**facts)
        self.directory = path.parent

    def part(self, directory: Path, **facts: Any) -> None:
        """Take note of how it went for one of several databases, kept in their directory."""
        self.parts.append((directory, {"seconds": {}, "warnings": (), **facts}))

    def elsewhere(self, directory: Path) -> list[tuple[Path, Run]]:
        """Return the runs to record besides this one, which then leaves its outcome to them.

        ``directory`` is where this one is recorded: what is about one database there is the run
        itself.
        """
        parts = self.parts
        if not parts and self.directory is not None:
            parts = [(self.directory, {})]
        if len(parts) == 1 and parts[0][0].resolve() == directory.resolve():
            self.found(**parts[0][1])
            return []
        self.found(parts=len(parts) or None)
        run = self.run()
        if run is None:
            return []
        return [
            (place, replace(run, **{"id": f"{run.id}.{number}", "parts": None, **facts}))
            for number, (place, facts) in enumerate(parts, 1)
        ]

    def about(self, path: Path, metadata: Metadata | None, level: Level | None = None) -> None:
        """Take note of the backup that it is about."""
        facts: dict[str, Any] = {"file": path.name, "level": level and str(level)}
        if metadata is not None:
            facts |= {
                "environment": metadata.environment,
                "database": metadata.database_name,
                "bytes": metadata.backup_size_bytes,
                "rows": sum(metadata.table_counts.values()),
                "selection": metadata.selection,
            }
        self.found(**facts)

    def differs(self, title: str, causes: Sequence[str]) -> None:
        """Take note of why a check failed that raised nothing."""
        self.found(**_why(title, causes))

    def timed(self, progress: Progress) -> Progress:
        """A progress whose phases and warnings go into the record."""
        self._clock = PhaseClock(progress)
        return self._clock

    def warn(self, message: str) -> None:
        """Keep a warning for the record that is none of the operation's own."""
        self.warnings.append(quotable(message))

    def run(self) -> Run | None:
        """The run as known now, with its phases and warnings."""
        if self._run is None:
            return None
        of_operation = self._clock.warnings if self._clock else []
        return replace(
            self._run,
            warnings=tuple(dict.fromkeys([*of_operation, *self.warnings])),
            seconds=self._clock.seconds() if self._clock else {},
        )
