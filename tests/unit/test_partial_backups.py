"""A part is not the whole, and a failure is an alarm of whom it concerns: decisions without I/O."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pgvow.model import Level, in_one_order, is_partial
from pgvow.operations.context import Context
from pgvow.operations.health.alarms import run_alarms
from pgvow.operations.health.metrics import metrics_text
from pgvow.operations.health.status import StatusOptions, StatusReport, current_status
from pgvow.operations.notify import State, decide
from pgvow.retention import RetentionRules
from pgvow.retention import decide as keep_or_remove
from pgvow.runs import Operation, Outcome, Run
from pgvow.settings import BackupSection, Configuration, NotificationsSection
from pgvow.store.history import History, new_run
from tests.support import backups
from tests.unit.test_retention import backup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_DAY = timedelta(days=1)
_PART = ("--table=orders",)
_SELECTIONS = [
    ("--schema=shop",),
    ("--exclude-schema=scratch",),
    ("--table=orders",),
    ("--exclude-table=log",),
    ("--exclude-table-data=log",),
]


def place(directory: Path, age: timedelta, selection: tuple[str, ...] = ()) -> Path:
    """Place a backup of so long ago and of this selection."""
    facts = backups.metadata(_NOW - age, environment="prod")
    return backups.place(directory, replace(facts, selection=selection))


def look(directory: Path, section: BackupSection | None = None) -> StatusReport:
    """Return the status of a directory at noon."""
    configuration = Configuration(backup=section or BackupSection())
    context = Context(configuration, {}, clock=lambda: _NOW)
    return current_status(directory, StatusOptions(), context)


def kinds(report: StatusReport) -> list[str]:
    """Return the kinds of all alarms."""
    return [str(alarm.kind) for alarm in report.alarms]


def ended(operation: Operation, code: int, hours: float, **more: Any) -> Run:
    """Make a run that ended so many hours ago."""
    at = _NOW - timedelta(hours=hours)
    outcome = Outcome.FAILED if code else Outcome.SUCCEEDED
    return replace(new_run(operation, at), outcome=outcome, ended=at, exit_code=code, **more)


@pytest.mark.parametrize("selection", _SELECTIONS)
def test_any_exclusion_makes_a_partial_backup(selection: tuple[str, ...]) -> None:
    """Schemas, tables or only their rows left out: not the whole, unless that is configured."""
    assert is_partial(selection)
    assert not is_partial(())
    assert not is_partial((), selection)
    assert not is_partial((*selection, *selection), selection)
    assert is_partial((*selection, "--table=more"), selection)
    assert ("--schema=a", "--table=b") == in_one_order(["--table=b", "--schema=a", "--table=b"])


@pytest.mark.parametrize("selection", _SELECTIONS)
def test_a_newer_partial_backup_is_not_the_newest(
    tmp_path: Path, selection: tuple[str, ...]
) -> None:
    """A newer part changes neither the newest, its age, nor its shrinking; it is shown apart."""
    place(tmp_path, 3 * _DAY)
    whole = place(tmp_path, 2 * _DAY)
    part = place(tmp_path, timedelta(hours=1), selection)
    (one,) = look(tmp_path).series
    assert one.newest is not None
    assert (whole, 2 * _DAY, 0.0) == (one.newest.path, one.age, one.rows_change)
    assert ["too old"] == kinds(look(tmp_path))
    assert [(selection, part, 1)] == [(it.selection, it.newest.path, it.count) for it in one.parts]


def test_partial_backups_alone_are_critical(tmp_path: Path) -> None:
    """There is no good backup, and the alarm has the way out; proofs of a part prove no whole."""
    place(tmp_path, timedelta(hours=1), _PART)
    report = look(tmp_path)
    assert (12, ["no backup"]) == (report.exit_code, kinds(report))
    assert "--table=orders" in report.alarms[0].message
    assert "pgvow.toml" in report.alarms[0].message


def test_the_configured_selection_counts_as_the_whole(tmp_path: Path) -> None:
    """The selection of pgvow.toml counts, in any order; so does a whole database, no other part."""
    section = BackupSection(table=("orders", "customers"))
    chosen = place(tmp_path, timedelta(hours=3), ("--table=customers", "--table=orders"))
    place(tmp_path, timedelta(hours=1), _PART)
    report = look(tmp_path, section)
    assert (0, []) == (report.exit_code, kinds(report))
    assert report.series[0].newest is not None
    assert chosen == report.series[0].newest.path
    whole = place(tmp_path, timedelta(hours=2))
    (one,) = look(tmp_path, section).series
    assert one.newest is not None
    assert whole == one.newest.path
    assert [_PART] == [part.selection for part in one.parts]


def test_metrics_of_partial_backups_have_their_own_names(tmp_path: Path) -> None:
    """A query over the newest backup meets no part; a part has its selection as a label."""
    place(tmp_path, 2 * _DAY)
    place(tmp_path, timedelta(hours=1), _PART)
    lines = metrics_text(look(tmp_path), [], _NOW).splitlines()
    old, new = ((_NOW - age).timestamp() for age in (2 * _DAY, timedelta(hours=1)))
    labels = 'environment="prod",database="shop"'
    assert [f"pgvow_backup_timestamp_seconds{{{labels}}} {old:.0f}"] == [
        line for line in lines if line.startswith("pgvow_backup_timestamp_seconds")
    ]
    of_part = f'{{{labels},selection="--table=orders"}}'
    assert f"pgvow_partial_backup_timestamp_seconds{of_part} {new:.0f}" in lines
    assert f"pgvow_partial_backups{of_part} 1" in lines


def test_retention_counts_partial_backups_apart() -> None:
    """Each series has its own rules and guarantees, and a part's reasons name the part."""
    whole = [backup(_NOW - n * _DAY) for n in (2, 3, 4)]
    proven = backup(_NOW - 9 * _DAY, level=Level.PROVEN)
    parts = [backup(_NOW - n * _DAY, selection=_PART, level=Level.PROVEN) for n in (0, 1)]
    verdicts = keep_or_remove([*parts, *whole, proven], lambda _: RetentionRules(last=2), _NOW)
    kept = {one.backup.path for one in verdicts if one.keep}
    assert {one.path for one in (*whole[:2], proven, *parts)} == kept
    apart = "a part, counted apart: --table=orders"
    assert {apart} == {one.reasons[-1] for one in verdicts if one.backup.selection}
    assert not any(apart in one.reasons for one in verdicts if not one.backup.selection)


def test_a_partial_backup_does_not_end_a_failure_of_the_whole() -> None:
    """The whole failed at night, a part succeeded at noon: critical; a part's own failure is not.

    With that part configured, it is the whole.
    """
    night = ended(Operation.BACKUP, 7, 10, environment="prod", database="shop")
    noon = ended(Operation.BACKUP, 0, 1, environment="prod", database="shop", selection=_PART)
    assert [True] == [alarm.is_critical for alarm in run_alarms([night, noon], "prod")]
    assert [] == list(run_alarms([night, noon], "prod", _PART))
    bad = replace(noon, outcome=Outcome.FAILED, exit_code=7)
    good = replace(night, outcome=Outcome.SUCCEEDED, exit_code=0)
    assert [False] == [alarm.is_critical for alarm in run_alarms([good, bad], "prod")]


def told(state: State, run: Run, parts: Sequence[Run] = ()) -> list[str]:
    """Return the titles of the messages to send."""
    section = NotificationsSection()
    found = decide(state, run, [], section, _NOW, machine="db1", parts=parts)
    return [one.title for one in found]


def test_a_partial_backup_sends_no_recovery_message() -> None:
    """That it works again is told of the whole alone; states of 0.1, with three words, are read."""
    state = State(failed={json.dumps(["backup", "prod", "shop"])})
    whole = ended(Operation.BACKUP, 0, 1, environment="prod", database="shop")
    assert [] == told(state, replace(whole, selection=_PART))
    assert ["pgvow: backup prod shop on db1 works again"] == told(state, whole)


def test_a_run_without_environment_alarms_no_database(tmp_path: Path) -> None:
    """A mistyped environment turns no healthy database critical, in status or in metrics."""
    place(tmp_path, timedelta(hours=2))
    for operation, code in ((Operation.BACKUP, 2), (Operation.VERIFY, 8), (Operation.PRUNE, 1)):
        History(tmp_path).finish(ended(operation, code, 1))
    report = look(tmp_path)
    assert (0, []) == (report.exit_code, kinds(report))
    text = metrics_text(report, History(tmp_path).read().runs, _NOW)
    assert 'pgvow_last_run_failed{environment="prod",database="shop"} 0' in text.splitlines()


def test_a_success_without_environment_ends_every_failure() -> None:
    """The ``verify --all`` of 0.1, which recorded none, ends an earlier failure."""
    bad = ended(Operation.VERIFY, 8, 5, environment="prod")
    assert ["last run failed"] == [str(alarm.kind) for alarm in run_alarms([bad], "prod")]
    assert [] == list(run_alarms([bad, ended(Operation.VERIFY, 0, 1)], "prod"))


@pytest.mark.parametrize("operation", [Operation.PRUNE, Operation.VERIFY, Operation.PROVE])
def test_a_usage_error_is_an_alarm_of_a_backup_only(operation: Operation) -> None:
    """2 is an answer about the words typed, except of a backup, which is missing in the morning."""
    wrong = ended(operation, 2, 1, environment="prod")
    assert [] == list(run_alarms([wrong], "prod"))
    assert [] == told(State(), wrong)
    backup_run = replace(wrong, operation=Operation.BACKUP)
    assert [True] == [alarm.is_critical for alarm in run_alarms([backup_run], "prod")]


def test_each_outcome_of_a_run_counts_for_its_database() -> None:
    """A run over several leaves its outcome to the lines that follow it, told one by one."""
    whole = replace(ended(Operation.VERIFY, 8, 1), parts=2)
    prod = ended(Operation.VERIFY, 8, 1, environment="prod", database="shop", cause="size")
    dev = ended(Operation.VERIFY, 0, 1, environment="dev", database="shop")
    runs = [whole, prod, dev]
    assert [1, 0] == [len(list(run_alarms(runs, name))) for name in ("prod", "dev")]
    assert ["pgvow: verify prod shop on db1 failed"] == told(State(), whole, [prod, dev])


def test_a_failure_of_another_database_is_no_alarm_of_this_one(tmp_path: Path) -> None:
    """It is no alarm of this one if it has backups of its own; a name without any is a slip."""
    place(tmp_path, timedelta(hours=2))
    for name in ("chat", "shpo"):
        bad = ended(Operation.BACKUP, 3, 1, environment="prod", database=name)
        History(tmp_path).finish(replace(bad, id=name))
    assert ["last run failed"] == kinds(look(tmp_path))
    facts = backups.metadata(_NOW - timedelta(hours=1), database="shpo", environment="prod")
    backups.place(tmp_path, facts)
    facts = backups.metadata(_NOW - timedelta(hours=1), database="chat", environment="prod")
    backups.place(tmp_path, facts)
    assert {"chat": 1, "shop": 0, "shpo": 1} == {
        one.database: len(one.alarms) for one in look(tmp_path).series
    }


def test_selection_and_parts_of_a_run_read_back(tmp_path: Path) -> None:
    """Selection and parts stand in the line, and a line of 0.1 has neither."""
    run = ended(Operation.BACKUP, 0, 1, selection=_PART, parts=2)
    History(tmp_path).add([run, replace(run, id="x", selection=(), parts=None)])
    found = {one.id: (one.selection, one.parts) for one in History(tmp_path).read().runs}
    assert {run.id: (_PART, 2), "x": ((), None)} == found
    last = json.loads(History(tmp_path).path.read_text().splitlines()[-1])
    assert not {"selection", "parts"} & last.keys()
