"""When jobs are due: daylight saving, down-time, clocks that jump, and a year of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from pgvow.operations.schedule.scheduler import Scheduler, read_state, run_schedule
from pgvow.operations.schedule.times import next_times
from pgvow.settings import Job, ScheduledJob

if TYPE_CHECKING:
    from pathlib import Path

_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def changes(zone: str) -> list[datetime]:
    """Return the clock changes of a zone in 2026."""
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + hours * _HOUR for hours in range(365 * 24)]
    offsets = [moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in moments]
    return [
        moment
        for moment, before, after in zip(moments[1:], offsets, offsets[1:], strict=False)
        if before != after
    ]


@pytest.mark.parametrize("zone", _ZONES)
@pytest.mark.parametrize("hour", range(5))
@pytest.mark.parametrize("minute", [0, 15, 30, 45])
def test_a_daily_job_is_due_once_a_day_across_dst(zone: str, hour: int, minute: int) -> None:
    """A daily job runs once on each day by the zone's calendar, gap or doubled hour."""
    both = changes(zone)
    assert 2 == len(both)
    for change in both:
        start = (change - 3 * _DAY).astimezone(ZoneInfo(zone)).replace(hour=12, minute=0)
        end = start + 6 * _DAY  # by the calendar: at noon
        due = [
            moment
            for moment in next_times(f"{minute} {hour} * * *", zone, start, 8)
            if moment.astimezone(UTC) < end.astimezone(UTC)
        ]
        days = [moment.astimezone(ZoneInfo(zone)).date() for moment in due]
        assert sorted(set(days)) == days
        assert 6 == len(days)
        assert due == sorted(due, key=lambda moment: moment.astimezone(UTC))


@pytest.mark.parametrize("zone", _ZONES)
def test_the_scheduler_runs_a_daily_job_once_a_day_across_dst(zone: str) -> None:
    """Looking every 10 minutes, it runs each daily job once a day, however the clock is set."""
    jobs = [
        ScheduledJob(Job.BACKUP, f"{minute} {hour} * * *")
        for hour in range(4)
        for minute in (0, 30)
    ]
    for change in changes(zone):
        scheduler, runs = Scheduler(jobs, zone), []
        begin = (change - 2 * _DAY).astimezone(ZoneInfo(zone)).replace(hour=12)
        now = begin.astimezone(UTC)
        while now < begin + 4 * _DAY:
            for job in scheduler.due(now):
                scheduler.begun(job, now)
                runs.append((job.at, now.astimezone(ZoneInfo(zone)).date()))
            now += timedelta(minutes=10)
        assert len(runs) == len(set(runs))
        assert 4 * len(jobs) == len(runs)


class YearRunner:
    """A clock that only waiting and working move, and an operation that notes its runs."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.time = begin
        self.end = end
        self.runs: list[tuple[datetime, ScheduledJob]] = []

    def now(self) -> datetime:
        """Return the current time."""
        return self.time

    def wait(self, pause: timedelta) -> bool:
        """Let the time pass; the real one looks again within half a minute at the latest."""
        self.time += max(pause, timedelta(milliseconds=10)) if pause else pause
        return self.time < self.end

    def run(self, job: ScheduledJob) -> None:
        """Note a run; a backup takes 20 minutes, a proof 3 hours."""
        self.runs.append((self.time, job))
        self.time += {Job.BACKUP: timedelta(minutes=20), Job.PROVE: 3 * _HOUR}.get(
            job.job, timedelta(minutes=1)
        )


def test_every_due_time_of_a_year_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run of a year is accounted for: each due time is run once, if need be a bit late."""
    monkeypatch.setattr("pgvow.operations.schedule.scheduler._LONGEST_PAUSE", 10 * _DAY)
    monkeypatch.setattr("pgvow.operations.schedule.scheduler.write_state", lambda *_: None)
    zone = "Europe/Berlin"
    nightly = ScheduledJob(Job.BACKUP, "0 2 * * *", "prod")
    weekly = ScheduledJob(Job.PROVE, "30 2 * * 0", "prod")
    late = ScheduledJob(Job.PRUNE, "45 2 * * *")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    end = begin + 365 * _DAY
    runner = YearRunner(begin, end)
    run_schedule(Scheduler([nightly, weekly, late], zone), runner, tmp_path / "state")
    for job, count in ((nightly, 365), (weekly, 52), (late, 365)):
        runs = [moment for moment, one in runner.runs if one == job]
        due = [moment for moment in next_times(job.at, zone, begin, 400) if moment < end]
        assert count == len(due) == len(runs)
        for moment, planned in zip(runs, due, strict=True):
            assert timedelta() <= moment - planned < 4 * _HOUR
    for (first, job), (second, _) in zip(runner.runs, runner.runs[1:], strict=False):
        took = {Job.BACKUP: timedelta(minutes=20), Job.PROVE: 3 * _HOUR}
        assert second - first >= took.get(job.job, timedelta())


def test_missed_runs_are_caught_up_once(tmp_path: Path) -> None:
    """After a week without us the nightly job is run once, and then as planned."""
    job = ScheduledJob(Job.BACKUP, "0 2 * * *")
    begin = datetime(2026, 5, 1, 12, tzinfo=UTC)
    state = tmp_path / "state"
    run_schedule(Scheduler([job], "UTC"), YearRunner(begin, begin), state)
    assert {"backup  0 2 * * *": begin} == read_state(state)
    runner = YearRunner(begin + 7 * _DAY, begin + 8 * _DAY)
    run_schedule(Scheduler([job], "UTC"), runner, state)
    assert [begin + 7 * _DAY, begin + 7 * _DAY + 14 * _HOUR] == [
        moment.replace(microsecond=0) for moment, _ in runner.runs
    ]


def test_a_job_left_by_a_stop_is_run_later(tmp_path: Path) -> None:
    """Of two that are due at once the first is run, and we are told to stop: the second comes."""
    jobs = [ScheduledJob(Job.BACKUP, "0 2 * * *"), ScheduledJob(Job.PROVE, "0 2 * * 0")]
    begin = datetime(2026, 5, 2, 12, tzinfo=UTC)  # a Saturday
    state = tmp_path / "state"
    run_schedule(Scheduler(jobs, "UTC"), YearRunner(begin, begin), state)
    sunday = begin + 14 * _HOUR
    stopped = YearRunner(sunday, sunday)
    run_schedule(Scheduler(jobs, "UTC"), stopped, state)
    assert [Job.BACKUP] == [job.job for _, job in stopped.runs]
    again = YearRunner(sunday + _HOUR, sunday + 2 * _HOUR)
    run_schedule(Scheduler(jobs, "UTC"), again, state)
    assert [Job.PROVE] == [job.job for _, job in again.runs]


def test_a_new_job_is_not_caught_up() -> None:
    """Runs before the job was scheduled are not due."""
    job = ScheduledJob(Job.BACKUP, "0 2 * * *")
    scheduler = Scheduler([job], "UTC")
    assert [] == scheduler.due(datetime(2026, 5, 1, 12, tzinfo=UTC))
    due = datetime(2026, 5, 2, 2, tzinfo=UTC)
    assert [job] == scheduler.due(due)
    scheduler.begun(job, due)
    assert [] == scheduler.due(datetime(2026, 5, 2, 3, tzinfo=UTC))


def test_a_clock_set_back_a_year_runs_the_next_night() -> None:
    """A year back: the next night is run again, and not only the night of next year."""
    job = ScheduledJob(Job.BACKUP, "0 2 * * *")
    scheduler = Scheduler([job], "UTC")
    scheduler.due(datetime(2027, 5, 1, 12, tzinfo=UTC))
    assert [] == scheduler.due(datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert [job] == scheduler.due(datetime(2026, 5, 2, 2, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": "x"}', "null", "\udcff"])
def test_an_unreadable_state_is_forgotten(tmp_path: Path, text: str) -> None:
    """A state that cannot be read is forgotten, and nothing else."""
    state = tmp_path / "state"
    state.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert {} == read_state(state)
