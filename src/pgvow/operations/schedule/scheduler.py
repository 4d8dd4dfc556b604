"""What is due, and when to look again: pure. And the loop that runs it, in the foreground."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from pgvow.durable import write_whole
from pgvow.operations.schedule.times import next_times
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pgvow.settings import ScheduledJob

STATE = ".pgvow-schedule.json"
_LONGEST_PAUSE = timedelta(seconds=30)
"""A clock that is set, or a machine that wakes, is noticed after so long."""


def key_of(job: ScheduledJob) -> str:
    """What tells a job from others, in the state that outlives us."""
    return f"{job.job} {job.env or ''} {job.at}"


@dataclass
class Scheduler:
    """When each job was last due. A job that was due several times while nobody looked is due once.

    ``last`` maps ``key_of`` a job to a moment; a job that is not in it counts from ``now`` on.
    """

    jobs: Sequence[ScheduledJob]
    timezone: str
    last: dict[str, datetime] = field(default_factory=dict)

    def due(self, now: datetime) -> list[ScheduledJob]:
        """The jobs that are due, in their order, until each is said to be ``begun``."""
        found = []
        for job in self.jobs:
            before = self.last.setdefault(key_of(job), now)
            if before > now:  # the clock was set back: what has been run stays run
                self.last[key_of(job)] = before = now
            if any(moment <= now for moment in next_times(job.at, self.timezone, before, 1)):
                found.append(job)
        return found

    def begun(self, job: ScheduledJob, now: datetime) -> None:
        """Count a job as run: it was due, whenever since, at ``now``."""
        self.last[key_of(job)] = now

    def pause(self, now: datetime) -> timedelta:
        """How long to wait before looking again."""
        due = [
            moment
            for job in self.jobs
            for moment in next_times(job.at, self.timezone, self.last.get(key_of(job), now), 1)
        ]
        until = min(due, default=now + _LONGEST_PAUSE) - now
        return min(max(until, timedelta()), _LONGEST_PAUSE)


class Runner(Protocol):
    """Whoever runs a job to its end, and says when to stop."""

    def run(self, job: ScheduledJob) -> None:
        """Run it; what goes wrong is its own affair."""

    def wait(self, pause: timedelta) -> bool:
        """Wait, and say whether to go on."""

    def now(self) -> datetime:
        """What time it is; aware."""


def run_schedule(scheduler: Scheduler, runner: Runner, state: Path) -> None:
    """Run what is due, one after the other, until the runner says to stop.

    Each is kept in ``state`` just before it is run: a job that kills the machine is not run for
    ever, and one that had to wait for another when we were stopped is caught up.
    """
    scheduler.last |= read_state(state)
    going = True
    while going:
        now = runner.now()
        due = scheduler.due(now)
        write_state(state, scheduler.last)
        for job in due:
            scheduler.begun(job, now)
            write_state(state, scheduler.last)
            runner.run(job)
            going = runner.wait(timedelta())
            if not going:
                return
        going = runner.wait(scheduler.pause(runner.now()))


def read_state(path: Path) -> dict[str, datetime]:
    """Read when each job was last due; what cannot be read is forgotten."""
    try:
        found = json.loads(read_small(path))
        return {
            str(key): datetime.fromisoformat(moment).astimezone(UTC)
            for key, moment in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def write_state(path: Path, last: Mapping[str, datetime]) -> None:
    """Keep when each job was last due; raises AccessDenied, NoSpace or PgvowError."""
    found = {key: moment.astimezone(UTC).isoformat() for key, moment in last.items()}
    write_whole(path, json.dumps(found, indent=1).encode() + b"\n")
