"""The record of a run while it works: seconds by phase, warnings, fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import PgvowError, VerificationFailed
from pgvow.operations.context import Context
from pgvow.operations.recorded import Recording, recorded
from pgvow.progress import Phase, Reporter, Silent, Step
from pgvow.runs import Operation, Outcome
from pgvow.settings import Configuration
from pgvow.store.history import History

if TYPE_CHECKING:
    from pathlib import Path


class Seconds:
    """A clock that shows the seconds it is set to."""

    def __init__(self) -> None:
        self.shown = 0.0

    def __call__(self) -> float:
        """Read it."""
        return self.shown


class Display:
    """A display that keeps all it is given."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.warnings: list[str] = []

    def update(self, step: Step) -> None:
        """Keep a step."""
        self.steps.append(step)

    def warn(self, message: str) -> None:
        """Keep a warning."""
        self.warnings.append(message)


def test_seconds_add_up_by_phase() -> None:
    """A phase lasts until the next begins; one that comes again adds up; the last one counts."""
    now = Seconds()
    reporter = Reporter(Silent(), now=now)
    for at, phase in (
        (1, Phase.LOCK), (2, Phase.DUMP), (3, Phase.DUMP), (5, Phase.CHECKSUM), (6, Phase.DUMP),
    ):  # fmt: skip
        now.shown = at
        reporter.update(Step(phase))
    now.shown = 10
    assert {"lock": 1.0, "dump": 7.0, "checksum": 1.0} == reporter.seconds()


def test_every_phase_has_a_name_and_a_text() -> None:
    """A phase is its name in the history, and no bar shows a name that is none for people."""
    assert "reading the archive" == Phase.READ == str(Phase.READ)
    assert [] == [phase for phase in Phase if not phase.words[:1].isupper()]


def test_steps_and_warnings_are_shown_and_kept() -> None:
    """A display gets every step and warning, but for a warning that is shown elsewhere."""
    display, insisted = Display(), []
    reporter = Reporter(display, insist=insisted.append)
    reporter.update(Step(Phase.DUMP))
    reporter.warn("the disk is slow")
    reporter.insist("nobody was notified")
    reporter.keep("a.dump is in use")
    assert [Step(Phase.DUMP)] == display.steps
    assert (["the disk is slow"], ["nobody was notified"]) == (display.warnings, insisted)
    assert ["the disk is slow", "nobody was notified", "a.dump is in use"] == reporter.warnings


def test_a_result_has_the_warnings_of_its_operation() -> None:
    """Those of the block alone, without what a program printed; the run has all, in one order."""
    display = Display()
    reporter = Reporter(display)
    reporter.warn("before")
    with reporter.collecting() as whole:
        reporter.warn("first")
        with reporter.collecting() as part:
            reporter.warn("second")
        reporter.relay("pg_restore: a notice")
        reporter.insist("not recorded")
    reporter.warn("after")
    assert (["first", "second"], ["second"]) == (whole, part)
    expected = ["before", "first", "second", "pg_restore: a notice", "not recorded", "after"]
    assert expected == reporter.warnings == display.warnings


def test_an_ended_run_stops_at_its_next_step() -> None:
    """The check is made at each step of its block, before the display gets it, and no longer."""
    display = Display()
    reporter = Reporter(display)

    def check() -> None:
        raise PgvowError("ended")

    with reporter.checking(check), pytest.raises(PgvowError, match="ended"):
        reporter.update(Step(Phase.CHECKSUM))
    assert [] == display.steps
    reporter.update(Step(Phase.CHECKSUM))
    assert [Step(Phase.CHECKSUM)] == display.steps


def test_fields_are_recorded_one_by_one(tmp_path: Path) -> None:
    """Fields of the run are noted one by one; a check that failed gives it a title and a cause."""
    context = Context(Configuration(), {})
    with recorded(context, Recording(Operation.VERIFY, tmp_path)) as run:
        run.note(environment="prod")
        run.fail(VerificationFailed, ["size: 2 expected, 1 found", "SHA-256"])
        context.reporter.warn("the disk is slow")
        context.reporter.warn("the disk is slow")
    (kept,) = History(tmp_path).read().runs
    assert (Outcome.FAILED, 8, "prod") == (kept.outcome, kept.exit_code, kept.environment)
    assert ("Verification failed", "size: 2 expected, 1 found (and 1 more)") == (
        kept.title,
        kept.cause,
    )
    assert ("the disk is slow",) == kept.warnings


def test_an_error_is_raised_and_recorded_with_its_code(tmp_path: Path) -> None:
    """An error leaves the block as it was raised, and the history has its exit code and cause."""
    context = Context(Configuration(), {})
    with (
        pytest.raises(VerificationFailed),
        recorded(context, Recording(Operation.EXTRACT, tmp_path)),
    ):
        raise VerificationFailed("not a backup")
    (kept,) = History(tmp_path).read().runs
    assert (Outcome.FAILED, 8, "not a backup") == (kept.outcome, kept.exit_code, kept.cause)
