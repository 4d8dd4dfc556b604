"""Which backups are kept, and why: for any history, any rules, any clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.model import Backup, BackupStatus, Difference, DifferenceKind, Evidence, Level, Proof
from pgvow.notes import Acknowledgement, Keep, Notes
from pgvow.retention import (
    NO_RULE,
    RetentionRules,
    acknowledged,
    decide,
    fault_of,
    protected,
    unfit,
)
from tests.support import backups

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_GOLDEN = Path(__file__).parent / "golden/retention.txt"
_DAY = timedelta(days=1)
_COUNTED = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_DIFFERS = Difference(DifferenceKind.ROWS, "orders", "3", "2")


def backup(
    moment: datetime,
    *,
    kind: str = "good",
    level: Level = Level.DECODED,
    database: str = "shop",
    environment: str = "prod",
    selection: tuple[str, ...] = (),
) -> Backup:
    """A backup as a listing gives it: good, proven, damaged, failed, incomplete or foreign."""
    facts = replace(
        backups.metadata(moment, database=database, environment=environment), selection=selection
    )
    if kind == "foreign":
        facts = replace(facts, pgvow_version=None)
    shown = Evidence(level, moment, 1.0)
    failed = Evidence(level, moment, 1.0, differences=(_DIFFERS,)) if kind == "failed" else None
    statuses = {"damaged": BackupStatus.SIZE_DIFFERS, "incomplete": BackupStatus.DUMP_MISSING}
    return Backup(
        path=Path(facts.backup_file),
        status=statuses.get(kind, BackupStatus.OK),
        size_bytes=facts.backup_size_bytes,
        metadata=None if kind == "bare" else facts,
        timestamp=moment,
        environment=environment,
        database=database,
        complaint="12 bytes, where the metadata says 39" if kind in statuses else None,
        proof=Proof(facts.backup_file, facts.checksum_sha256, (shown,), failed),
    )


def kept(history: Sequence[Backup], rules: RetentionRules, now: datetime = _NOW) -> set[Path]:
    """Return the paths of the backups kept."""
    return {one.backup.path for one in decide(history, lambda _: rules, now) if one.keep}


_moments = st.integers(-400 * 24, 24 * 40).map(lambda hours: _NOW + timedelta(hours=hours))
_backups = st.builds(
    backup,
    _moments,
    kind=st.sampled_from(["good", "good", "good", "damaged", "failed", "incomplete", "foreign"]),
    level=st.sampled_from(Level),
    database=st.sampled_from(["shop", "chat"]),
    environment=st.sampled_from(["dev", "prod"]),
    selection=st.sampled_from([(), (), ("--table=orders",)]),
)
_histories = st.lists(_backups, max_size=40, unique_by=lambda one: one.path)
_rules = st.builds(
    RetentionRules,
    **{name: st.integers(0, 4) for name in _COUNTED},
    within=st.none() | st.integers(1, 3000).map(lambda hours: timedelta(hours=hours)),
)
_clocks = st.integers(-3 * 365, 20 * 365).map(lambda days: _NOW + timedelta(days=days))


def series(history: Sequence[Backup]) -> dict[tuple[object, ...], list[Backup]]:
    """Group the backups by series, newest first."""
    found: dict[tuple[object, ...], list[Backup]] = {}
    for one in sorted(history, key=lambda one: (one.timestamp, one.path.name), reverse=True):
        assert one.metadata is not None
        key = (one.environment, one.database, one.metadata.selection)
        found.setdefault(key, []).append(one)
    return found


@given(_histories, _rules, _clocks)
def test_the_newest_proven_and_verified_backups_are_kept(
    history: list[Backup], rules: RetentionRules, now: datetime
) -> None:
    """Whatever the rules and the clock, of each database."""
    remaining = kept(history, rules, now)
    for group in series(history).values():
        good = [one for one in group if unfit(one, now) is None]
        proven = [one for one in good if one.trusted is Level.PROVEN]
        assert {one.path for one in (*good[:1], *proven[:1])} <= remaining


@given(_histories, _rules, _clocks)
def test_bad_backups_are_kept_and_displace_nothing(
    history: list[Backup], rules: RetentionRules, now: datetime
) -> None:
    """Damaged, incomplete and foreign ones stay, and change nothing for the others."""
    good = [one for one in history if unfit(one, now) is None]
    others = {one.path for one in history} - {one.path for one in good}
    assert kept(good, rules, now) | others == kept(history, rules, now)


@given(_histories, _rules, _clocks)
def test_pruning_is_idempotent(history: list[Backup], rules: RetentionRules, now: datetime) -> None:
    """Backups left by a pruning are left by the next."""
    once = kept(history, rules, now)
    assert once == kept([one for one in history if one.path in once], rules, now)


@given(_histories, _rules, _clocks, st.sampled_from(_COUNTED))
def test_a_larger_rule_keeps_more(
    history: list[Backup], rules: RetentionRules, now: datetime, name: str
) -> None:
    """Backups that N of a rule keeps, N + 1 keeps; and so does a longer time."""
    more = replace(rules, **{name: getattr(rules, name) + 1})
    if rules:
        assert kept(history, rules, now) <= kept(history, more, now)
    if rules.within:
        longer = replace(rules, within=rules.within * 2)
        assert kept(history, rules, now) <= kept(history, longer, now)


@given(_histories, _rules, _clocks)
def test_a_slow_clock_removes_nothing_newer(
    history: list[Backup], rules: RetentionRules, now: datetime
) -> None:
    """Backups made after the time that a wrong clock shows are all kept."""
    beyond = {one.path for one in history if one.timestamp and one.timestamp > now + _DAY}
    assert beyond <= kept(history, rules, now)


@given(_histories, _rules, st.integers(0, 10000))
def test_a_fast_clock_removes_nothing_more(
    history: list[Backup], rules: RetentionRules, days: int
) -> None:
    """Once all backups lie in the past, how far is all the same: only they count."""
    past = max((one.timestamp for one in history if one.timestamp), default=_NOW)
    assert kept(history, rules, past) == kept(history, rules, past + days * _DAY)


@given(_histories, _clocks)
def test_without_rules_everything_is_kept(history: list[Backup], now: datetime) -> None:
    """Without any rule everything is kept."""
    assert {one.path for one in history} == kept(history, RetentionRules(), now)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("damaged", "damaged: 12 bytes, where the metadata says 39"),
        ("failed", "damaged: a check failed that should show it decoded"),
        ("incomplete", "damaged: 12 bytes, where the metadata says 39"),
        ("foreign", "not known to be pgvow's: its metadata is of another tool"),
        ("good", None),
    ],
)
def test_only_complete_unfailed_backups_of_pgvow_count(kind: str, reason: str | None) -> None:
    """Only backups that pgvow made, that are complete, and failed no check."""
    assert reason == unfit(backup(_NOW, kind=kind), _NOW)


def test_a_backup_of_the_future_displaces_none() -> None:
    """Made while the clock was years ahead, it is kept, and the newest of now is as well."""
    ahead = backup(datetime(2099, 1, 1, tzinfo=UTC))
    today, before = backup(_NOW), backup(_NOW - timedelta(days=1))
    verdicts = decide([ahead, today, before], lambda _: RetentionRules(last=1), _NOW)
    assert [
        ("from the future: a clock was wrong",),
        ("newest verified", "last 1 of 1"),
        (NO_RULE,),
    ] == [verdict.reasons for verdict in verdicts]


def test_keep_within_counts_from_the_newest() -> None:
    """When backups have stopped, time alone removes none of the last ones."""
    stopped = [backup(_NOW - timedelta(days=days)) for days in range(400, 410)]
    assert 8 == len(kept(stopped, RetentionRules(within=timedelta(days=7))))


_all_notes = st.sampled_from(
    [
        Notes(Keep(_NOW)),
        Notes(Keep(_NOW, _NOW + 5000 * _DAY, "before the migration")),
        Notes(Keep(_NOW, _NOW - 5000 * _DAY)),
        Notes(complaint="is not JSON"),
        Notes(acknowledged=Acknowledgement("size differs: 1", _NOW)),
        Notes(),
    ]
)


@given(_histories, _rules, _clocks, st.lists(_all_notes, min_size=40, max_size=40))
def test_a_kept_backup_stays_and_changes_no_other_verdict(
    history: list[Backup], rules: RetentionRules, now: datetime, notes: list[Notes]
) -> None:
    """Whatever the rules and the clock: those kept stay, and of the others what stayed without."""
    noted = [replace(one, notes=note) for one, note in zip(history, notes, strict=False)]
    named = {one.path for one in noted if one.notes.kept(now) is not None}
    assert kept(history, rules, now) | named == kept(noted, rules, now)


@given(_histories, _rules, _clocks, st.lists(_all_notes, min_size=40, max_size=40))
def test_every_kept_backup_has_its_note_as_first_reason(
    history: list[Backup], rules: RetentionRules, now: datetime, notes: list[Notes]
) -> None:
    """The reason of a person comes first, before those of the rules."""
    noted = [replace(one, notes=note) for one, note in zip(history, notes, strict=False)]
    for verdict in decide(noted, lambda _: rules, now):
        reason = verdict.backup.notes.kept(now)
        assert reason in (None, verdict.reasons[0])
        assert verdict.keep or reason is None


def test_the_reason_of_a_kept_backup_is_its_note() -> None:
    """It says until when and why, and after that time the rules decide again."""
    old = replace(
        backup(_NOW - 9 * _DAY),
        notes=Notes(
            Keep(_NOW, datetime(2027, 1, 1, 23, 59, 59, tzinfo=UTC), "before the migration")
        ),
    )
    history = [backup(_NOW), old]
    _, verdict = decide(history, lambda _: RetentionRules(last=1), _NOW)
    assert (True, ("kept until 2027-01-01: before the migration",)) == (
        verdict.keep, verdict.reasons,
    )  # fmt: skip
    _, verdict = decide(history, lambda _: RetentionRules(last=1), datetime(2027, 1, 2, tzinfo=UTC))
    assert (False, (NO_RULE,)) == (verdict.keep, verdict.reasons)


@given(_histories, _clocks)
def test_pruning_and_removing_protect_the_same_backups(
    history: list[Backup], now: datetime
) -> None:
    """Of every series something is protected: of the good ones those that every rule keeps."""
    last = {one.path for one, _ in protected(history, now)}
    good = [one for one in history if unfit(one, now) is None]
    assert kept(good, RetentionRules(last=1), now) == last & {one.path for one in good}
    for group in series(history).values():
        assert last & {one.path for one in group}


_OTHER = Difference(DifferenceKind.VALUES, "orders", "3", "2")


@pytest.mark.parametrize("kind", ["good", "foreign"])
def test_a_good_backup_has_no_fault(kind: str) -> None:
    """There is no fault of a backup that is whole and failed no check."""
    assert fault_of(backup(_NOW, kind=kind)) is None


def test_an_acknowledgement_is_of_one_fault() -> None:
    """The same verdict at another time is the same fault; another level, table or status is not."""
    bad = backup(_NOW, kind="failed")
    fault = fault_of(bad)
    assert fault is not None
    noted = replace(bad, notes=Notes(acknowledged=Acknowledgement(fault, _NOW)))
    assert acknowledged(noted, _NOW) is not None
    assert noted.proof is not None
    failed = Evidence(Level.DECODED, _NOW + _DAY, 2.0, differences=(_DIFFERS,))
    again = replace(noted, proof=replace(noted.proof, failed=failed))
    assert acknowledged(again, _NOW) is not None
    for other in (
        replace(failed, differences=(_DIFFERS, _OTHER)),
        replace(failed, level=Level.PROVEN),
    ):
        changed = replace(noted, proof=replace(noted.proof, failed=other))
        assert acknowledged(changed, _NOW) is None
    assert acknowledged(replace(noted, status=BackupStatus.UNREADABLE), _NOW) is None
    assert acknowledged(replace(noted, proof=replace(noted.proof, failed=None)), _NOW) is None


def test_an_acknowledgement_ends_with_its_time_and_with_a_passed_check() -> None:
    """After its time, and once a check of that level passed meanwhile, the fault is news again."""
    bad = backup(_NOW, kind="failed")
    known = Acknowledgement(fault_of(bad) or "", _NOW, until=_NOW + _DAY)
    noted = replace(bad, notes=Notes(acknowledged=known))
    assert acknowledged(noted, _NOW + _DAY) is not None
    assert acknowledged(noted, _NOW + 2 * _DAY) is None
    assert noted.proof is not None
    lower = Evidence(Level.VERIFIED, _NOW + timedelta(hours=1), 1.0)
    for passed, holds in ((lower, True), (replace(lower, level=Level.DECODED), False)):
        shown = replace(noted.proof, passed=(passed,))
        assert holds is (acknowledged(replace(noted, proof=shown), _NOW + _DAY) is not None)


def golden() -> str:
    """Two years of daily backups, with two an evening in autumn, and the state of each."""
    history = [backup(_NOW - timedelta(days=days)) for days in range(730)]
    history += [backup(_NOW - timedelta(days=days, hours=6)) for days in range(0, 60, 7)]
    history += [
        backup(_NOW - timedelta(days=3, hours=1), kind="damaged"),
        backup(_NOW - timedelta(days=40, hours=1), kind="failed"),
        backup(_NOW - timedelta(days=90, hours=1), level=Level.PROVEN),
        backup(_NOW - timedelta(days=9, hours=2), selection=("--table=orders",)),
        backup(_NOW - timedelta(days=10, hours=2), selection=("--table=orders",)),
    ]
    rules = RetentionRules(last=3, hourly=4, daily=7, weekly=4, monthly=12, yearly=5)
    rules = replace(rules, within=timedelta(days=2))
    lines = []
    for verdict in decide(history, lambda _: rules, _NOW):
        assert verdict.backup.timestamp is not None
        mark = "keep  " if verdict.keep else "remove"
        moment = f"{verdict.backup.timestamp:%Y-%m-%d %H:%M}"
        lines.append(f"{mark} {moment} {'; '.join(verdict.reasons)}\n")
    return "".join(lines)


def test_reasons_of_two_years_are_unchanged() -> None:
    """The reasons for every backup of two years are those that were read and agreed to.

    To renew them: ``python -c "from tests.unit.test_retention import *; renew()"``.
    """
    assert _GOLDEN.read_text(encoding="utf-8") == golden()


def renew() -> None:
    """Write the golden file anew."""
    _GOLDEN.parent.mkdir(exist_ok=True)
    _GOLDEN.write_text(golden(), encoding="utf-8")
