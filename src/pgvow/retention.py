"""Which backups to keep, and why: pure, takes ``now`` as an argument, opens nothing.

Backups are judged apart for each database, environment and selection. Rules count good backups
alone: made by pgvow, complete, and with no check that failed. What is not good is kept, for a
person to look at, and counts for nothing. So does what lies in the future: the clock was wrong when
it was made, or is now, and neither may cost a backup. One that a person keeps stays, and counts for
the rules as it would without that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING

from pgvow.formats import elapsed
from pgvow.model import BackupStatus, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from pgvow.model import Backup
    from pgvow.notes import Acknowledgement

# Two machines may disagree so far without either being wrong.
_TOLERANCE = timedelta(days=1)
NO_RULE = "no rule keeps it"


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How many backups to keep of each kind, per database and environment; 0 or None asks nothing.

    ``daily`` and its like keep the newest of each of the last N days (hours, ISO weeks, months,
    years, in UTC) that have a backup. ``within`` keeps all that are less older than the newest.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta | None = None

    def __bool__(self) -> bool:
        """Whether there is any rule; without one nothing is ever removed."""
        return any(
            (self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        ) or bool(self.within)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one backup, and all the reasons for it."""

    backup: Backup
    keep: bool
    reasons: tuple[str, ...]


def _hour(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:00}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _week(moment: datetime) -> str:
    year, week, _ = moment.isocalendar()
    return f"{year:04}-W{week:02}"


def _month(moment: datetime) -> str:
    return f"{moment:%Y-%m}"


def _year(moment: datetime) -> str:
    return f"{moment:%Y}"


_PERIODS: tuple[tuple[str, Callable[[datetime], str]], ...] = (
    ("hourly", _hour),
    ("daily", _day),
    ("weekly", _week),
    ("monthly", _month),
    ("yearly", _year),
)


def decide(
    backups: Iterable[Backup], rules_of: Callable[[str], RetentionRules], now: datetime
) -> tuple[Verdict, ...]:
    """Judge all backups of a directory, newest first; ``rules_of`` is asked for each environment.

    ``now`` is aware. Whatever the rules, the newest proven and the newest good backup of each
    database are kept.
    """
    ordered = sorted(backups, key=_newest_first, reverse=True)
    reasons: dict[int, list[str]] = {id(backup): [] for backup in ordered}
    for _, grouped in groupby(sorted(ordered, key=_series), key=_series):
        series = list(grouped)
        for backup, reason in _reasons(series, rules_of(series[0].environment or ""), now):
            reasons[id(backup)].append(reason)
    return tuple(
        Verdict(backup, bool(found), (*(found or (NO_RULE,)), *_apart(backup)))
        for backup in ordered
        for found in (reasons[id(backup)],)
    )


def _newest_first(backup: Backup) -> tuple[float, str]:
    return (backup.timestamp.timestamp() if backup.timestamp else 0.0, backup.path.name)


def _series(backup: Backup) -> tuple[str, str, tuple[str, ...]]:
    """Name the backups that can stand in for each other: a part for that very part alone."""
    return (backup.environment or "", backup.database or "", backup.selection)


def _apart(backup: Backup) -> tuple[str, ...]:
    """Add to the reasons that a part of a database is counted among backups of that part alone."""
    return (f"a part, counted apart: {' '.join(backup.selection)}",) if backup.selection else ()


def _reasons(
    series: Sequence[Backup], rules: RetentionRules, now: datetime
) -> Iterator[tuple[Backup, str]]:
    """Why each of one series is kept; a backup may be named several times, or never."""
    good = []
    for backup in series:
        if (kept := backup.notes.kept(now)) is not None:
            yield backup, kept
        reason = unfit(backup, now)
        if reason is None:
            good.append(backup)
        else:
            yield backup, reason
    if not rules:
        yield from ((backup, "there are no rules") for backup in good)
        return
    good.sort(key=_newest_first, reverse=True)
    yield from _protected(good)
    yield from ((backup, f"last {n} of {rules.last}") for n, backup in _first(good, rules.last))
    yield from _within(good, rules.within, now)
    for name, period in _PERIODS:
        yield from _periodic(good, name, period, getattr(rules, name))


def unfit(backup: Backup, now: datetime) -> str | None:
    """Say why a backup counts for no rule, and is not removed either; None of a good one."""
    if backup.status is BackupStatus.UNREADABLE:
        return f"unreadable: {backup.complaint}"
    if backup.metadata is None or not backup.metadata.pgvow_version or backup.timestamp is None:
        return f"not known to be pgvow's: {backup.complaint or 'its metadata is of another tool'}"
    if backup.status is not BackupStatus.OK:
        return f"damaged: {backup.complaint}"
    if backup.proof is not None and backup.proof.failed is not None:
        return f"damaged: a check failed that should show it {backup.proof.failed.level}"
    if backup.timestamp > now + _TOLERANCE:
        return "from the future: a clock was wrong"
    return None


def fault_of(backup: Backup) -> str | None:
    """Name the fault that checks or the listing show; None if they show none.

    It is the same for the same verdict, whenever and from wherever it is looked at.
    """
    failed = backup.proof.failed if backup.proof else None
    verdicts = [] if backup.status is BackupStatus.OK else [backup.status.value]
    if backup.status is BackupStatus.SIZE_DIFFERS:
        verdicts = [f"{backup.status.value}: {backup.size_bytes}"]
    if failed is not None:
        differing = sorted({f"{each.kind} of {each.name}" for each in failed.differences})
        digest = sha256("\n".join(differing).encode("utf-8", "backslashreplace")).hexdigest()
        verdicts.append(f"not {failed.level}: {digest[:16]}")
    return ", ".join(verdicts) or rules_broken(backup)


def rules_broken(backup: Backup) -> str | None:
    """Name the rules that the source breaks, as the proof says: a fault, and not of the backup."""
    names = [each.name for each in backup.proof.broken_rules] if backup.proof else []
    return f"rules broken: {', '.join(names)}" if names else None


def acknowledged(backup: Backup, now: datetime) -> Acknowledgement | None:
    """Return the acknowledgement of the fault that a backup has now, if it holds.

    A check that passed since has ended it, if the fault would have failed that check.
    """
    known = backup.notes.acknowledged
    if known is None or not known.holds(now) or known.fault != fault_of(backup):
        return None
    if known.fault == rules_broken(backup):
        return known
    proof = backup.proof
    rank = proof.failed.level.rank if proof and proof.failed else 0
    passed = proof.passed if proof else ()
    return None if any(p.at > known.at and p.level.rank >= rank for p in passed) else known


def protected(
    backups: Iterable[Backup], now: datetime
) -> tuple[tuple[Backup, tuple[str, ...]], ...]:
    """Return the last good backups of each series with their reasons; without any, its newest."""
    reasons: dict[int, list[str]] = {}
    every = sorted(backups, key=_series)
    for _, grouped in groupby(every, key=_series):
        series = sorted(grouped, key=_newest_first, reverse=True)
        good = [backup for backup in series if unfit(backup, now) is None]
        for backup, reason in _protected(good):
            reasons.setdefault(id(backup), []).append(reason)
        if not good:
            reasons[id(series[0])] = ["the newest there is, and no other is good"]
    return tuple((each, tuple(reasons[id(each)])) for each in every if id(each) in reasons)


def _protected(good: Sequence[Backup]) -> Iterator[tuple[Backup, str]]:
    proven = next((backup for backup in good if backup.trusted is Level.PROVEN), None)
    if proven is not None:
        yield proven, "newest proven"
    yield from ((backup, "newest verified") for backup in good[:1])


def _first(good: Sequence[Backup], count: int) -> Iterator[tuple[int, Backup]]:
    return enumerate(good[:count], 1)


def _within(
    good: Sequence[Backup], within: timedelta | None, now: datetime
) -> Iterator[tuple[Backup, str]]:
    """All that are at most so much older than the newest.

    Than the newest, and not than now: when backups have stopped, the last ones stay.
    """
    moments = [backup.timestamp for backup in good if backup.timestamp]
    if within is None or not moments:
        return
    reference = min(now, moments[0])
    for backup, moment in zip(good, moments, strict=True):
        if reference - moment <= within:
            yield backup, f"within {_told(within)}"


def _periodic(
    good: Sequence[Backup], name: str, period: Callable[[datetime], str], count: int
) -> Iterator[tuple[Backup, str]]:
    seen: set[str] = set()
    for backup in good:
        if len(seen) >= count or backup.timestamp is None:
            return
        label = period(backup.timestamp)
        if label not in seen:
            seen.add(label)
            yield backup, f"newest of {label} ({name} {len(seen)} of {count})"


def _told(length: timedelta) -> str:
    return elapsed(length.total_seconds())
