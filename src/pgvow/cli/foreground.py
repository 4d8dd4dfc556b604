"""``pgvow schedule run``: the jobs of pgvow.toml, one after the other, until SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.outside import printable
from pgvow.signals import STOPPING

if TYPE_CHECKING:
    import argparse
    from datetime import timedelta
    from types import FrameType

    from pgvow.settings import ScheduledJob


def run_in_foreground(arguments: argparse.Namespace) -> int:
    """Run the schedule until a signal; a second signal ends the job that is running."""
    from pgvow.operations.schedule.scheduler import STATE, Scheduler, run_schedule  # noqa: PLC0415
    from pgvow.spool import Spool  # noqa: PLC0415

    schedule = arguments.configuration.schedule
    if not schedule.jobs:
        raise ConfigurationError(
            "there is nothing to run",
            steps=['In pgvow.toml:  [[schedule.jobs]]  job = "backup"  at = "0 2 * * *"'],
        )
    store = Spool(arguments.output_dir)
    store.prepare()
    runner = _Processes(arguments)
    runner.obey_signals()
    runner.say(f"{len(schedule.jobs)} jobs, times in {schedule.timezone}")
    with store.lock("schedule", "run", operation="schedule run"):
        run_schedule(Scheduler(schedule.jobs, schedule.timezone), runner, store.directory / STATE)
    runner.say("stopped")
    return 0


class _Processes:
    """Runs each job as a process of its own: what goes wrong in one is no affair of the next."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
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
        """What time it is."""
        return datetime.now(UTC)

    def wait(self, pause: timedelta) -> bool:
        """Wait, and say whether to go on."""
        return not self._stop.wait(pause.total_seconds())

    def run(self, job: ScheduledJob) -> None:
        """Run a job to its end, and say in a line how it went."""
        from pgvow.postgres.process import die_with_parent  # noqa: PLC0415

        command = [sys.executable, "-m", "pgvow", *self._words(job)]
        self.say(f"{job.job} {job.env or ''} begins")
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
        self.say(f"{job.job} {job.env or ''} ended with {code} after {took:.1f} s")

    def _words(self, job: ScheduledJob) -> list[str]:
        from pgvow.operations.schedule.scheduled import Scheduled, arguments_of  # noqa: PLC0415

        typed = self._arguments.typed
        output_dir = self._arguments.output_dir if "output_dir" in typed else None
        config = self._arguments.configuration.path
        here = Path()
        return arguments_of(Scheduled(job.job, job.at, here, here, job.env, output_dir, config))

    def say(self, text: str) -> None:
        """Print a line with the time, on standard error."""
        if not self._arguments.quiet:
            now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            print(f"{now} {printable(text)}", file=sys.stderr, flush=True)
