"""Which jobs are due, and when to look again: pure. And the loop that runs them as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pgvow.durable import write_whole
from pgvow.errors import ConfigurationError
from pgvow.operations.schedule.jobs import JobToInstall, arguments_of
from pgvow.operations.schedule.times import next_times
from pgvow.postgres.process import die_with_parent
from pgvow.signals import STOPPING
from pgvow.small_file import read_small
from pgvow.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from pgvow.operations.context import Context
    from pgvow.settings import ScheduledJob

STATE = ".pgvow-schedule.json"
_LONGEST_PAUSE = timedelta(seconds=30)
"""A clock that is set, or a machine that wakes, is noticed after so long."""


def key_of(job: ScheduledJob) -> str:
    """Return the key of a job in the state that outlives us."""
    return f"{job.job} {job.env or ''} {job.at}"


@dataclass
class Scheduler:
    """When each job was last due. A job that was due several times while we slept is due once.

    ``last`` maps ``key_of`` a job to a moment; a job that is not in it counts from ``now`` on.
    """

    jobs: Sequence[ScheduledJob]
    timezone: str
    last: dict[str, datetime] = field(default_factory=dict)

    def due(self, now: datetime) -> list[ScheduledJob]:
        """Return the jobs that are due, in their order, until ``begun`` is called for each."""
        due = []
        for job in self.jobs:
            before = self.last.setdefault(key_of(job), now)
            if before > now:  # the clock was set back: a job that was run stays run
                self.last[key_of(job)] = before = now
            if any(moment <= now for moment in next_times(job.at, self.timezone, before, 1)):
                due.append(job)
        return due

    def begun(self, job: ScheduledJob, now: datetime) -> None:
        """Count a job as run: it was due, whenever since, at ``now``."""
        self.last[key_of(job)] = now

    def pause(self, now: datetime) -> timedelta:
        """Return how long to wait before looking again."""
        due = [
            moment
            for job in self.jobs
            for moment in next_times(job.at, self.timezone, self.last.get(key_of(job), now), 1)
        ]
        until = min(due, default=now + _LONGEST_PAUSE) - now
        return min(max(until, timedelta()), _LONGEST_PAUSE)


class Runner(Protocol):
    """Runs jobs to their ends, and decides when to stop."""

    def run(self, job: ScheduledJob) -> None:
        """Run a job to its end, whatever its outcome."""

    def wait(self, pause: timedelta) -> bool:
        """Wait; returns whether to go on."""

    def now(self) -> datetime:
        """Return the time, aware."""


def run_schedule(scheduler: Scheduler, runner: Runner, state: Path) -> None:
    """Run the jobs that are due, one after the other, until the runner stops.

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
    """Read when each job was last due; a file that cannot be read counts as none."""
    try:
        stored = json.loads(read_small(path))
        return {
            str(key): datetime.fromisoformat(moment).astimezone(UTC)
            for key, moment in stored.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def write_state(path: Path, last: Mapping[str, datetime]) -> None:
    """Keep when each job was last due; raises AccessDenied, NoSpace or PgvowError."""
    stored = {key: moment.astimezone(UTC).isoformat() for key, moment in last.items()}
    write_whole(path, json.dumps(stored, indent=1).encode() + b"\n")


def run_in_foreground(
    output_dir: Path, context: Context, *, say: Callable[[str], None], is_typed: bool
) -> None:
    """Run the jobs of pgvow.toml until a signal; a second signal ends the job that is running.

    ``say`` receives a line at the beginning and the end of each job. ``is_typed``: the directory
    was typed, and is handed on to the jobs. Raises ConfigurationError without jobs, AlreadyRunning
    if another process runs them.
    """
    schedule = context.configuration.schedule
    if not schedule.jobs:
        raise ConfigurationError(
            "there is nothing to run",
            steps=['In pgvow.toml:  [[schedule.jobs]]  job = "backup"  at = "0 2 * * *"'],
        )
    store = Spool(output_dir)
    store.prepare()
    runner = _Processes(context, output_dir if is_typed else None, say)
    runner.obey_signals()
    say(f"{len(schedule.jobs)} jobs, times in {schedule.timezone}")
    with store.lock("schedule", "run", context.clock, operation="schedule run"):
        run_schedule(Scheduler(schedule.jobs, schedule.timezone), runner, store.directory / STATE)
    say("stopped")


class _Processes:
    """Runs each job as a process of its own: an error in one does not concern the next."""

    def __init__(
        self, context: Context, output_dir: Path | None, say: Callable[[str], None]
    ) -> None:
        self._context = context
        self._output_dir = output_dir
        self._say = say
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def obey_signals(self) -> None:
        """Let the first signal drain, and the second one end the child as well."""

        def stop(_signum: int, _frame: FrameType | None) -> None:
            if self._stop.is_set() and self._child is not None:
                self._child.terminate()
            self._stop.set()

        for each in STOPPING:
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, stop)

    def now(self) -> datetime:
        """Return the time."""
        return self._context.clock()

    def wait(self, pause: timedelta) -> bool:
        """Wait; returns whether to go on."""
        return not self._stop.wait(pause.total_seconds())

    def run(self, job: ScheduledJob) -> None:
        """Run a job to its end, and report in a line how it went."""
        command = [sys.executable, "-m", "pgvow", *self._words(job)]
        self._say(f"{job.job} {job.env or ''} begins")
        started = time.monotonic()
        # In a session of its own: a Ctrl-C in our terminal is ours alone, and drains.
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads of ours run here
        )
        code = self._child.wait()
        self._child = None
        took = time.monotonic() - started
        self._say(f"{job.job} {job.env or ''} ended with {code} after {took:.1f} s")

    def _words(self, job: ScheduledJob) -> list[str]:
        here, config = Path(), self._context.configuration.path
        scheduled = JobToInstall(job.job, job.at, here, here, job.env, self._output_dir, config)
        return arguments_of(scheduled)
