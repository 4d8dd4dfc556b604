"""What is kept of a run while it works: seconds by phase, warnings, facts."""

from __future__ import annotations

from datetime import UTC, datetime

from pgvow.cli.watch import PhaseClock, Watch
from pgvow.progress import Silent, Step
from pgvow.runs import Operation, Run


class Seconds:
    """A clock that shows what it is set to."""

    def __init__(self) -> None:
        self.shown = 0.0

    def __call__(self) -> float:
        """Read it."""
        return self.shown


def test_seconds_by_phase() -> None:
    """A phase lasts until the next begins; one that comes again adds up; the last one counts."""
    now = Seconds()
    clock = PhaseClock(Silent(), now)
    for at, phase in ((1, "lock"), (2, "dump"), (3, "dump"), (5, "checksum"), (6, "dump")):
        now.shown = at
        clock.update(Step(phase))
    now.shown = 10
    assert {"lock": 1.0, "dump": 7.0, "checksum": 1.0} == clock.seconds()


def test_steps_and_warnings_are_handed_on() -> None:
    """Whoever draws the progress sees all of it."""
    seen = Silent()
    watch = Watch(Run("1", Operation.BACKUP, datetime.now(UTC)))
    progress = watch.timed(seen)
    progress.warn("the disk is slow")
    progress.update(Step("dump"))
    watch.warn("nobody was notified")
    assert ["the disk is slow"] == seen.warnings
    run = watch.run()
    assert run is not None
    assert ("the disk is slow", "nobody was notified") == run.warnings
    assert ["dump"] == list(run.seconds)


def test_facts_as_they_become_known() -> None:
    """Fields of the run are filled in one by one; a command that is not recorded has none."""
    watch = Watch(Run("1", Operation.VERIFY, datetime.now(UTC)))
    watch.found(environment="prod")
    watch.differs("Verification failed", ["size: 2 expected, 1 found", "SHA-256"])
    run = watch.run()
    assert run is not None
    assert ("prod", "Verification failed") == (run.environment, run.title)
    assert "size: 2 expected, 1 found (and 1 more)" == run.cause
    unrecorded = Watch()
    unrecorded.found(environment="prod")
    unrecorded.before()
    assert unrecorded.run() is None
