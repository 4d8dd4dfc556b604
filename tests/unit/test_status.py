"""How backups stand: each alarm red and green, the status of a directory, metrics."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgvow.model import Difference, DifferenceKind, Evidence, Level
from pgvow.operations.context import Context
from pgvow.operations.health.alarms import days_left, longest_unchecked, next_steps
from pgvow.operations.health.metrics import metrics_text, write_metrics
from pgvow.operations.health.status import StatusOptions, StatusReport, current_status
from pgvow.operations.notes import NoteOptions, acknowledge_fault
from pgvow.runs import Operation, Outcome, Run
from pgvow.settings import (
    Configuration,
    Job,
    ScheduledJob,
    ScheduleSection,
    Source,
    StatusSection,
)
from pgvow.settings.variables import VariableNames
from pgvow.spool import Spool
from pgvow.store import DirectoryStore, StoredBackup, backups_in
from pgvow.store.history import History, new_run
from tests.support import backups
from tests.support.commands import Commands

_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_DAY = timedelta(days=1)
_FAILED = Difference(DifferenceKind.ROWS, "orders", "3", "2")


def place(
    directory: Path, age: timedelta, counts: dict[str, int] | None = None, size: int = 100
) -> Path:
    """Place a backup of so long ago, with these rows and size."""
    dump = b"x" * size
    facts = backups.metadata(_NOW - age, environment="prod", dump=dump)
    if counts is not None:
        facts = replace(facts, table_counts=counts, tables=())
    return backups.place(directory, facts, dump)


def recorded(directory: Path, outcome: Outcome, age: timedelta, **more: Any) -> Run:
    """Add a run to the history."""
    history = History(directory)
    run = new_run(more.pop("operation", Operation.BACKUP), _NOW - age)
    history.begin(run)
    code = 0 if outcome is Outcome.SUCCEEDED else 3
    run = replace(
        run, outcome=outcome, ended=run.started, exit_code=code, environment="prod", **more
    )
    history.finish(run)
    return run


def status(configuration: Configuration, directory: Path, **more: Any) -> StatusReport:
    """The status of a directory by some settings, at noon."""
    context = Context(configuration, {}, clock=lambda: _NOW)
    return current_status(directory, StatusOptions(**more), context)


def look(directory: Path, section: StatusSection | None = None, **more: Any) -> StatusReport:
    """The status of a directory at noon."""
    configuration = Configuration(status=section or StatusSection())
    return status(configuration, directory, **more)


def kinds(report: StatusReport) -> list[str]:
    """The kinds of all alarms."""
    return [str(alarm.kind) for alarm in report.alarms]


def test_a_fresh_backup_is_healthy(tmp_path: Path) -> None:
    """A fresh backup like the one before it: nothing to say."""
    place(tmp_path, _DAY)
    newest = place(tmp_path, timedelta(hours=2))
    recorded(tmp_path, Outcome.SUCCEEDED, timedelta(hours=2))
    report = look(tmp_path)
    assert (0, []) == (report.exit_code, kinds(report))
    (one,) = report.series
    assert one.newest is not None
    assert (newest, timedelta(hours=2), 0.0) == (one.newest.path, one.age, one.size_change)


def test_a_damaged_backup_has_two_ways_on(tmp_path: Path) -> None:
    """Look at it, or note that the fault is known: both with its name, ready to be typed."""
    bad = place(tmp_path, _DAY)
    place(tmp_path, timedelta(hours=2))
    bad.write_bytes(b"short")
    (alarm,) = look(tmp_path).alarms
    assert [f"pgvow verify {bad.name} --deep", f"pgvow acknowledge {bad.name}"] == next_steps(alarm)
    assert [["pgvow history --env prod"]] == [
        next_steps(each) for each in look(tmp_path, StatusSection(max_age=_DAY / 24)).alarms[:1]
    ]


def test_an_acknowledged_fault_is_known_and_no_alarm(tmp_path: Path) -> None:
    """Nor is the failed check that found it; the newest good backup is as before."""
    bad = place(tmp_path, _DAY)
    good = place(tmp_path, timedelta(hours=2))
    stored = StoredBackup.at(bad)
    shown = Evidence(Level.DECODED, _NOW, 1.0, differences=(_FAILED,))
    stored.add_evidence(stored.metadata().checksum_sha256, shown)
    run = new_run(Operation.VERIFY, _NOW)
    run = replace(run, outcome=Outcome.FAILED, ended=_NOW, exit_code=8, file=bad.name)
    History(tmp_path).finish(replace(run, environment="prod", database="shop"))
    assert (12, ["damaged", "last run failed"]) == (look(tmp_path).exit_code, kinds(look(tmp_path)))
    context = Context(Configuration(), {}, clock=lambda: _NOW)
    acknowledge_fault(stored, NoteOptions(note="the disk"), context)
    report = look(tmp_path)
    (series,) = report.series
    assert (0, []) == (report.exit_code, kinds(report))
    assert [("damaged", bad.name, "acknowledged on 2026-11-22: the disk")] == [
        (str(alarm.kind), alarm.name, alarm.known) for alarm in series.known
    ]
    assert series.newest is not None
    assert good == series.newest.path
    text = metrics_text(report, History(tmp_path).read().runs, _NOW)
    assert "damaged" not in text
    no_verdict = replace(run, id="x", exit_code=1, environment="prod", database="shop")
    History(tmp_path).finish(no_verdict)
    assert ["last run failed"] == kinds(look(tmp_path))


def test_no_backup_is_critical(tmp_path: Path) -> None:
    """An empty directory, or an environment that is asked for and has none: critical."""
    assert (12, ["no backup"]) == (look(tmp_path).exit_code, kinds(look(tmp_path)))
    place(tmp_path, timedelta())
    assert 0 == look(tmp_path).exit_code
    assert ["no backup"] == kinds(look(tmp_path, environment="staging"))


def test_a_scheduled_environment_without_backup_is_reported(tmp_path: Path) -> None:
    """A scheduled environment without a backup is reported, with the next run."""
    place(tmp_path, timedelta())
    jobs = (ScheduledJob(Job.BACKUP, "0 14 * * *", "staging"),)
    configuration = Configuration(schedule=ScheduleSection(jobs=jobs))
    report = status(configuration, tmp_path)
    assert [("prod", None), ("staging", _NOW + timedelta(hours=2))] == [
        (one.environment, one.next_run) for one in report.series
    ]
    assert ["no backup"] == kinds(report)


def test_a_run_refused_by_a_lock_is_no_alarm(tmp_path: Path) -> None:
    """9 is no verdict, and the run that ended last counts, not the one that began last: healthy."""
    place(tmp_path, timedelta(hours=2))
    recorded(tmp_path, Outcome.SUCCEEDED, timedelta(hours=2))
    history = History(tmp_path)
    refused = replace(
        new_run(Operation.BACKUP, _NOW - timedelta(hours=1)), outcome=Outcome.FAILED,
        ended=_NOW - timedelta(hours=1), exit_code=9, environment="prod", database="shop",
    )  # fmt: skip
    history.finish(refused)
    early = replace(refused, id="x", exit_code=7, started=_NOW - timedelta(minutes=50))
    history.finish(replace(early, ended=_NOW - timedelta(hours=3)))
    report = look(tmp_path)
    assert (0, []) == (report.exit_code, kinds(report))
    text = metrics_text(report, history.read().runs, _NOW)
    assert 'pgvow_last_run_failed{environment="prod",database="shop"} 0' in text.splitlines()


@pytest.mark.parametrize(
    ("operation", "code"), [(Operation.RESTORE, 10), (Operation.PROVE, 13), (Operation.EXTRACT, 2)]
)
def test_a_refusal_on_a_terminal_is_no_alarm(
    tmp_path: Path, operation: Operation, code: int
) -> None:
    """The user has seen the error; a mistyped environment is none that should have backups."""
    place(tmp_path, timedelta())
    for what, number, name in ((operation, code, "prod"), (Operation.BACKUP, 2, "staging")):
        run = new_run(what, _NOW)
        History(tmp_path).finish(
            replace(run, outcome=Outcome.FAILED, ended=_NOW, exit_code=number, environment=name)
        )
    assert (0, ["prod"]) == (
        look(tmp_path).exit_code, [one.environment for one in look(tmp_path).series],
    )  # fmt: skip


def test_a_directory_with_two_names_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at once, and no metric stands there twice."""
    (tmp_path / "b").mkdir()
    place(tmp_path / "b", timedelta())
    monkeypatch.chdir(tmp_path)
    configuration = Configuration(output_dir=Path("b"))
    report = status(configuration, tmp_path / "b")
    assert 1 == len(report.series)
    doubled = StatusReport(_NOW, (*report.series, *report.series))
    samples = [line for line in metrics_text(doubled, [], _NOW).splitlines() if line[0] != "#"]
    assert len(samples) == len({line.rpartition(" ")[0] for line in samples})


def test_the_rotation_skips_backups_without_dump(tmp_path: Path) -> None:
    """A backup whose dump is gone would have its turn for ever."""
    gone, short, good = (place(tmp_path, days * _DAY) for days in (3, 2, 1))
    gone.unlink()
    short.write_bytes(b"x")
    found = longest_unchecked(backups_in(DirectoryStore(tmp_path)), None)
    assert found is not None
    assert good == found.path


@pytest.mark.parametrize(("hours", "expected"), [(26, []), (27, ["too old"])])
def test_a_backup_older_than_max_age_is_critical(
    tmp_path: Path, hours: int, expected: list[str]
) -> None:
    """Older than 26 hours by default: critical; as long as is typed it is not."""
    place(tmp_path, timedelta(hours=hours))
    assert expected == kinds(look(tmp_path))
    assert [] == kinds(look(tmp_path, max_age=2 * _DAY))


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.DIED])
def test_a_failed_last_run_is_an_alarm_until_a_success(tmp_path: Path, outcome: Outcome) -> None:
    """Until one succeeds; an interrupted one says nothing either way."""
    place(tmp_path, timedelta(hours=5))
    recorded(tmp_path, outcome, timedelta(hours=3), cause="refused\nand more")
    recorded(tmp_path, Outcome.INTERRUPTED, timedelta(hours=2))
    report = look(tmp_path)
    assert (12, ["last run failed"]) == (report.exit_code, kinds(report))
    assert f"{outcome}: refused" in report.alarms[0].message
    recorded(tmp_path, Outcome.SUCCEEDED, timedelta(hours=1))
    assert [] == kinds(look(tmp_path))


def test_a_verification_that_failed_is_a_warning(tmp_path: Path) -> None:
    """Of a backup it is critical, of anything else a warning."""
    place(tmp_path, timedelta())
    recorded(tmp_path, Outcome.FAILED, timedelta(hours=1), operation=Operation.PROVE, cause="no")
    assert (11, ["last run failed"]) == (look(tmp_path).exit_code, kinds(look(tmp_path)))


def test_a_damaged_backup_is_critical_and_not_the_newest(tmp_path: Path) -> None:
    """A truncated one, and one whose check failed: critical, and neither counts as the newest."""
    old = place(tmp_path, timedelta(hours=20))
    place(tmp_path, timedelta(hours=2)).write_bytes(b"short")
    failed = place(tmp_path, timedelta(hours=1))
    checksum = backups.metadata(dump=b"x" * 100).checksum_sha256
    shown = Evidence(Level.DECODED, _NOW, 1.0, differences=(_FAILED,))
    StoredBackup.at(failed).add_evidence(checksum, shown)
    report = look(tmp_path)
    assert ["damaged", "damaged"] == kinds(report)
    assert report.series[0].newest is not None
    assert old == report.series[0].newest.path


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"orders": 100}, {"orders": 61}, []),
        ({"orders": 100}, {"orders": 60}, ["table shrunk"]),
        ({"orders": 100}, {}, ["table gone"]),
        ({"orders": 0}, {"orders": 0}, []),
        ({}, {"orders": 5}, []),
    ],
)
def test_fewer_rows_or_tables_are_an_alarm(
    tmp_path: Path, before: dict[str, int], now: dict[str, int], expected: list[str]
) -> None:
    """40 % fewer rows, or a table gone, against the backup before."""
    place(tmp_path, _DAY, before)
    place(tmp_path, timedelta(), now)
    assert expected == kinds(look(tmp_path))
    assert (11 if expected else 0) == look(tmp_path).exit_code


@pytest.mark.parametrize(("size", "expected"), [(61, []), (60, ["shrunk"])])
def test_a_smaller_dump_is_an_alarm(tmp_path: Path, size: int, expected: list[str]) -> None:
    """40 % fewer bytes."""
    place(tmp_path, _DAY)
    place(tmp_path, timedelta(), size=size)
    assert expected == kinds(look(tmp_path))
    assert [] == kinds(look(tmp_path, StatusSection(shrink=0.5)))


def test_a_missing_or_old_proof_is_an_alarm_if_required(tmp_path: Path) -> None:
    """Only if one is asked for; never, and too long ago."""
    dump = place(tmp_path, timedelta())
    assert [] == kinds(look(tmp_path))
    section = StatusSection(max_proof_age=8 * _DAY)
    assert ["no proof"] == kinds(look(tmp_path, section))
    checksum = backups.metadata(dump=b"x" * 100).checksum_sha256
    StoredBackup.at(dump).add_evidence(checksum, Evidence(Level.PROVEN, _NOW - 9 * _DAY, 1.0))
    assert ["no proof"] == kinds(look(tmp_path, section))
    StoredBackup.at(dump).add_evidence(checksum, Evidence(Level.PROVEN, _NOW - 7 * _DAY, 1.0))
    assert [] == kinds(look(tmp_path, section))


def test_too_little_space_is_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for one more: critical; full within the days set: a warning; else nothing."""
    place(tmp_path, timedelta())
    for days in range(5, 0, -1):
        recorded(tmp_path, Outcome.SUCCEEDED, days * _DAY, bytes=100)
    runs = History(tmp_path).read().runs
    assert 10 == days_left(runs, 1000, _NOW)
    assert days_left(runs, None, _NOW) is None
    freed = replace(runs[-1], id="x", operation=Operation.PRUNE, bytes=None, freed=500)
    assert days_left([*runs, freed], 1000, _NOW) is None
    for free, expected in ((99, 12), (600, 11), (800, 0)):
        monkeypatch.setattr(Spool, "free_bytes", lambda _, free=free: free)
        assert expected == look(tmp_path).exit_code


def test_directories_of_other_environments_are_covered(tmp_path: Path) -> None:
    """Those that the settings name for other environments are looked at as well."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    place(tmp_path / "a", timedelta())
    section = Source("staging", VariableNames("S_DB", "S_URL"), output_dir=tmp_path / "b")
    configuration = Configuration(environments={"staging": section})
    report = status(configuration, tmp_path / "a")
    assert [tmp_path / "a", tmp_path / "b"] == [one.directory for one in report.series]


def test_the_default_directory_is_covered_if_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One environment has a directory of its own, the others the default: covered if it is used."""
    monkeypatch.chdir(tmp_path)
    default = Path("db/backups")
    for directory in (tmp_path / "b", default):
        directory.mkdir(parents=True)
    section = Source("staging", VariableNames("S_DB", "S_URL"), output_dir=tmp_path / "b")
    configuration = Configuration(environments={"staging": section})
    place(tmp_path / "b", timedelta())
    report = status(configuration, tmp_path / "b")
    assert [tmp_path / "b"] == [one.directory for one in report.series]
    place(default, timedelta())
    report = status(configuration, tmp_path / "b")
    assert [tmp_path / "b", default] == [one.directory for one in report.series]


def test_the_least_recently_checked_backup_is_next(tmp_path: Path) -> None:
    """Verifications go round: the one whose last check is oldest is next."""
    old, new = place(tmp_path, 2 * _DAY), place(tmp_path, _DAY)
    store = Spool(tmp_path)
    first = longest_unchecked(backups_in(store.store), None)
    assert first is not None
    assert old == first.path
    checksum = backups.metadata(dump=b"x" * 100).checksum_sha256
    StoredBackup.at(old).add_evidence(checksum, Evidence(Level.DECODED, _NOW, 1.0))
    second = longest_unchecked(backups_in(store.store), None)
    assert second is not None
    assert new == second.path
    assert longest_unchecked(backups_in(store.store), "dev") is None


_SAMPLE = re.compile(
    r'pgvow_[a-z_]+\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\} -?[0-9]+(?:\.[0-9]+)?'
)


def test_metrics_are_valid_and_readable_by_others(tmp_path: Path) -> None:
    """Each line is a sample or about one; names have units; the file is for others to read."""
    place(tmp_path, _DAY)
    place(tmp_path, timedelta(hours=2), {"orders": 1})
    recorded(
        tmp_path, Outcome.FAILED, timedelta(hours=1), database='a"b\\c\n', seconds={"dump": 2.5}
    )
    report = look(tmp_path)
    text = metrics_text(report, History(tmp_path).read().runs, _NOW)
    lines = text.splitlines()
    described = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    for line in lines:
        if not line.startswith("# "):
            assert _SAMPLE.fullmatch(line), line
            assert line.split("{")[0] in described
    assert 'pgvow_last_run_failed{environment="prod",database="shop"} 1' in lines
    assert 'pgvow_backup_rows{environment="prod",database="shop"} 1' in lines
    assert 'kind="table shrunk"} 1' in text
    assert 'database="a\\"b\\\\c\\n",phase="dump"} 2.500' in text
    path = tmp_path / "out.prom"
    write_metrics(path, text)
    assert (text, 0o644) == (path.read_text(), path.stat().st_mode & 0o777)
    assert [] == list(tmp_path.glob(".out.prom*"))


def test_status_prints_lines_json_and_plugin_output(tmp_path: Path) -> None:
    """One line a database, hints, exit codes, JSON, and the line of monitoring plug-ins."""
    commands = Commands(tmp_path)
    done = commands.pgvow("status", "--nagios", "--output-dir", "none")
    assert (2, "PGVOW CRITICAL - there is no good backup\n", "") == (done.code, done.out, done.err)
    facts = backups.metadata(datetime.now(UTC).replace(microsecond=0), environment="prod")
    backups.place(tmp_path, facts)
    done = commands.pgvow("status", "--output-dir", ".")
    assert (0, "") == (done.code, done.err)
    assert re.search(r"✓ +prod +shop +2\S+Z +\d+ s +verified", done.out)
    done = commands.pgvow("status", "--nagios", "--output-dir", ".")
    assert 0 == done.code
    assert re.fullmatch(
        r"PGVOW OK - prod/shop \d+ s old \| 'prod/shop age'=\d+s 'prod/shop size'=\d+B"
        r" 'prod/shop free'=\d+B\n",
        done.out,
    )
    (tmp_path / "file").touch()
    unknown = commands.pgvow("status", "--nagios", "--output-dir", "file")
    assert (3, True) == (unknown.code, unknown.out.startswith("PGVOW UNKNOWN - cannot"))
    assert 2 == commands.pgvow("status", "--max-age", "soon").code
    found = commands.pgvow("status", "--json", "--output-dir", ".").json
    assert ("ok", 0, "verified") == (
        found["status"], found["exit_code"], found["databases"][0]["level"],
    )  # fmt: skip
