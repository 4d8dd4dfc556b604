"""Jobs to schedule, with identity and command line, and jobs that are scheduled."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

from pgvow.errors import ConfigurationError
from pgvow.operations.schedule.times import next_times
from pgvow.settings import Job

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_DIGITS = 8


@dataclass(frozen=True, slots=True)
class JobToInstall:
    """A job to install: ``at`` is a cron expression of five fields; all paths are absolute.

    ``timezone`` is None for that of the machine. ``variables`` are set for it: cron's jobs have
    next to none.
    """

    job: Job
    at: str
    directory: Path
    log: Path
    env: str | None = None
    output_dir: Path | None = None
    config: Path | None = None
    timezone: str | None = None
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> str:
        """The name of the job, whenever it is due: installing it again replaces it."""
        parts = [self.job, self.env or "", str(self.directory), str(self.output_dir or "")]
        if self.config is not None:
            parts.append(str(self.config))
        digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
        return f"{self.job}-{self.env or 'auto'}-{digest[:_DIGITS]}"

    @property
    def command(self) -> list[str]:
        """The program and its arguments, absolute."""
        return [sys.executable, "-m", "pgvow", *arguments_of(self)]

    def check(self) -> None:
        """Raise ConfigurationError if it cannot be written in one line."""
        for text in (*self.command, str(self.directory), str(self.log), *map(str, self.variables)):
            if any(character in text for character in "\n\r\0"):
                raise ConfigurationError(f"a line break cannot be scheduled: {text!r}")


def arguments_of(scheduled: JobToInstall) -> list[str]:
    """Return the arguments of ``pgvow`` for a job."""
    words = {Job.PROVE: ["prove", "--latest"], Job.VERIFY: ["schedule", "verify"]}.get(
        scheduled.job, [str(scheduled.job)]
    )
    if scheduled.env is not None:
        words += ["--env", scheduled.env]
    if scheduled.output_dir is not None:
        words += ["--output-dir", str(scheduled.output_dir)]
    if scheduled.config is not None:
        words += ["--config", str(scheduled.config)]
    return [*words, "--quiet"]


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One job that is scheduled: ``at`` is a cron expression, unless it was edited.

    ``where`` names the crontab, a directory of units or pgvow.toml, for people. ``timezone`` is
    None for that of the machine. ``directory`` is the working directory, empty if it is not known.
    """

    where: str
    identity: str
    at: str
    command: str
    directory: str = ""
    timezone: str | None = None

    @property
    def job(self) -> str:
        """The job of an installed entry, by its identity."""
        return self.identity.partition("-")[0]

    @property
    def environment(self) -> str | None:
        """The environment of an installed entry, None for the detected one."""
        name = self.identity.partition("-")[2].rpartition("-")[0]
        return None if name == "auto" else name

    def next_times(self, now: datetime, count: int) -> list[datetime]:
        """List when it is due next; nothing if its expression cannot be read."""
        try:
            if self.timezone is not None:
                return next_times(self.at, self.timezone, now, count)
            local = now.astimezone().replace(tzinfo=None)  # by this machine's clock, as cron has it
            return [moment.astimezone() for moment in islice(CronSim(self.at, local), count)]
        except (CronSimError, ValueError, KeyError, OSError):
            return []  # it was edited


@dataclass(frozen=True, slots=True)
class InstallResult:
    """The place of a job, whether anything changed there, and a note if it does not run yet."""

    where: str
    changed: bool
    note: str | None = None
