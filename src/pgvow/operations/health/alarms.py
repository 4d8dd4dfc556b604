"""Alarms about backups, runs and free space: pure."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

from pgvow.errors import VerificationFailed
from pgvow.formats import counted, elapsed, moment, number, size
from pgvow.model import BackupStatus, Level, in_one_order, is_partial
from pgvow.retention import acknowledged, rules_broken, unfit
from pgvow.runs import Alarm, AlarmKind, Operation, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from pgvow.model import Backup
    from pgvow.operations.schedule.installed import JobTwice
    from pgvow.recovery import LoosenedObject
    from pgvow.runs import Run
    from pgvow.settings import StatusSection

_BAD = frozenset({Outcome.FAILED, Outcome.DIED})
_STEPS = {
    AlarmKind.NO_BACKUP: "pgvow backup",
    AlarmKind.TOO_OLD: "pgvow history",
    AlarmKind.LAST_RUN_FAILED: "pgvow history",
    AlarmKind.DAMAGED: "pgvow verify NAME --deep",
    AlarmKind.SHRUNK: "pgvow diff",
    AlarmKind.TABLE_SHRUNK: "pgvow diff",
    AlarmKind.TABLE_GONE: "pgvow diff",
    AlarmKind.NO_PROOF: "pgvow prove --latest",
    AlarmKind.DISK_FILLING: "pgvow prune --dry-run",
    AlarmKind.STUCK: "pgvow history",
    AlarmKind.NO_HISTORY: "pgvow history",
    AlarmKind.SCHEDULED_TWICE: "pgvow schedule show",
    AlarmKind.BROKEN_RULES: "pgvow show NAME",
}
_TAKE_NO_ENV = ("pgvow diff", "pgvow verify", "pgvow schedule")
_BY_ITSELF = frozenset({Operation.BACKUP, Operation.VERIFY, Operation.PROVE, Operation.PRUNE})
_DAY = timedelta(days=1)


def good_backups(backups: Sequence[Backup], now: datetime) -> list[Backup]:
    """Return the backups that retention would count, in the order given."""
    return [backup for backup in backups if unfit(backup, now) is None]


def is_known(backup: Backup) -> bool:
    """Return whether it is known of which database it is: by its name if it cannot be read."""
    is_unreadable = backup.status is BackupStatus.UNREADABLE
    return backup.metadata is not None or (is_unreadable and backup.environment is not None)


def proven_at(backup: Backup) -> datetime | None:
    """Return the time of a backup's last proof, or None."""
    passed = backup.proof.passed if backup.proof else ()
    return max((each.at for each in passed if each.level is Level.PROVEN), default=None)


def last_runs(
    runs: Sequence[Run],
    environment: str | None,
    configured: Sequence[str] = (),
) -> dict[tuple[Operation, tuple[str, ...]], Run]:
    """Find the run of each operation and part that ended last by itself, of one environment.

    One that gave no verdict (another was running, it cannot be proven here) is passed over. The
    part is empty for a whole database, and for the selection that is configured.
    """
    last = {}
    for run in sorted(runs, key=ended_at):
        if run.concerns(environment) and run.gave_a_verdict:
            is_part = is_partial(run.selection, configured)
            last[run.operation, in_one_order(run.selection) if is_part else ()] = run
    return last


def ended_at(run: Run) -> datetime:
    """Return when a run ended; if it died, when it began."""
    return run.ended or run.started


def age_alarms(
    good: Sequence[Backup],
    section: StatusSection,
    now: datetime,
    parts: Sequence[Backup] = (),
) -> Iterator[Alarm]:
    """Yield that a backup is too old, or that there is none.

    ``good`` are the whole ones of one database, newest first, ``parts`` its partial ones.
    """
    if not good:
        message = "there is no good backup"
        if parts:
            of = " ".join(parts[0].selection)
            message += f" of the whole database, only of parts ({of}); if that part is all that"
            message += " is to be backed up, name it under [backup] in pgvow.toml"
        yield Alarm(AlarmKind.NO_BACKUP, message, is_critical=True)
        return
    age = now - (good[0].timestamp or now)
    if age > section.max_age:
        message = (
            f"the newest good backup is {rounded(age)} old, more than {rounded(section.max_age)}"
        )
        yield Alarm(AlarmKind.TOO_OLD, message, is_critical=True)
    if section.max_proof_age is None:
        return
    proofs = [moment for backup in good if (moment := proven_at(backup)) is not None]
    if not proofs:
        yield Alarm(AlarmKind.NO_PROOF, "no backup has been proven yet", is_critical=False)
    elif now - max(proofs) > section.max_proof_age:
        message = (
            f"the newest proof is {rounded(now - max(proofs))} old,"
            f" more than {rounded(section.max_proof_age)}"
        )
        yield Alarm(AlarmKind.NO_PROOF, message, is_critical=False)


def damage_alarms(backups: Sequence[Backup], now: datetime) -> Iterator[Alarm]:
    """Yield backups of ours that are damaged, or whose last check failed.

    One whose fault is acknowledged is a known alarm.
    """
    for backup in backups:
        reason = unfit(backup, now)
        is_ours = is_known(backup) and (not backup.metadata or backup.metadata.pgvow_version)
        if reason is None or not is_ours or reason.startswith("from the future"):
            continue
        if backup.status is BackupStatus.DUMP_MISSING:
            reason = f"damaged: {backup.complaint}"
        message = f"{backup.path.name} is {reason}"
        known = acknowledged(backup, now)
        yield Alarm(
            AlarmKind.DAMAGED,
            message,
            is_critical=True,
            name=backup.path.name,
            known=None if known is None else str(known),
        )


def rules_alarms(good: Sequence[Backup], now: datetime) -> Iterator[Alarm]:
    """Yield that the source breaks its own rules, as the newest proof says.

    ``good`` are the whole backups of one database, newest first. All rows come back; a restore
    needs ``--rescue``. If these rules are acknowledged, of whichever backup, the alarm is known.
    """
    newest = next((backup for backup in good if proven_at(backup) is not None), None)
    broken = newest.proof.broken_rules if newest and newest.proof else ()
    if newest is None or not broken:
        return
    shown = "; ".join(f"{each.name}{_listed(each)}" for each in broken)
    message = f"the source breaks its own rules, as the proof of {newest.path.name} says: {shown}"
    fault = rules_broken(newest)
    notes = (acknowledged(backup, now) for backup in good)
    known = next((note for note in notes if note is not None and note.fault == fault), None)
    yield Alarm(
        AlarmKind.BROKEN_RULES,
        message,
        is_critical=False,
        name=newest.path.name,
        known=None if known is None else str(known),
    )


def _listed(each: LoosenedObject) -> str:
    return "" if each.query is None else f", {counted(each.rows or 0, 'row')}: {each.query}"


def run_alarms(
    runs: Sequence[Run],
    environment: str | None,
    configured: Sequence[str] = (),
    known: Collection[str] = (),
) -> Iterator[Alarm]:
    """Yield operations that cron runs, whose last run failed; that of a whole backup is critical.

    A person at the keyboard has seen how the other operations ended. ``known`` are the files whose
    fault is acknowledged: a check that failed on one is no news.
    """
    for (operation, part), run in last_runs(runs, environment, configured).items():
        is_known = run.exit_code == VerificationFailed.exit_code and run.file in known
        if operation in _BY_ITSELF and run.outcome in _BAD and not is_known:
            when = moment(run.started)
            of = f" of the part {' '.join(part)}" if part else ""
            message = f"the last {operation}{of}, {when}, {run.outcome}: {_first_line(run)}"
            is_critical = operation is Operation.BACKUP and not part
            name = f"{operation}{of}"
            yield Alarm(AlarmKind.LAST_RUN_FAILED, message, is_critical, name=name)


def stuck_alarms(
    runs: Sequence[Run],
    environment: str | None,
    next_due: Callable[[datetime], datetime | None],
    now: datetime,
) -> Iterator[Alarm]:
    """Yield a backup that runs for longer than the schedule's period: the next ones meet its lock.

    ``next_due`` returns when the schedule makes the first backup after a timestamp, or None without
    a schedule: then the period is a day.
    """
    for run in runs:
        is_its = run.environment in (None, environment)
        if run.outcome is not Outcome.RUNNING or run.operation is not Operation.BACKUP:
            continue
        if is_its and now - run.started > _period(run.started, next_due):
            since = moment(run.started)
            message = (
                f"a backup has been running since {since} (process {run.pid or 'unknown'}),"
                f" for {rounded(now - run.started)}: no other can be made meanwhile"
            )
            yield Alarm(AlarmKind.STUCK, message, is_critical=True, name=str(run.pid or ""))


def schedule_alarms(twice: Sequence[JobTwice], environment: str | None) -> Iterator[Alarm]:
    """Yield the jobs of an environment, or of the detected one, that are installed twice."""
    for job in twice:
        if job.environment in (None, environment):
            message = f"{job.complaint}; {job.remedy} takes both away"
            yield Alarm(AlarmKind.SCHEDULED_TWICE, message, is_critical=False, name=job.job)


def _period(started: datetime, next_due: Callable[[datetime], datetime | None]) -> timedelta:
    """Return the time between the schedule's next two backups after a timestamp."""
    first = next_due(started)
    second = None if first is None else next_due(first)
    return _DAY if first is None or second is None else second - first


def _first_line(run: Run) -> str:
    return (run.cause or run.title or "").split("\n", 1)[0]


def shrink_alarms(good: Sequence[Backup], share: float) -> Iterator[Alarm]:
    """Yield a size or a table that shrank by ``share`` or more since the last backup."""
    pair = comparable(good)
    if pair is None:
        return
    newest, before = pair
    if newest.size_bytes is not None and _shrunk(before.size_bytes, newest.size_bytes, share):
        message = f"the backup shrank from {size(before.size_bytes or 0)}"
        message += f" to {size(newest.size_bytes)}"
        yield Alarm(AlarmKind.SHRUNK, message, is_critical=False)
    counts = newest.metadata.table_counts if newest.metadata else {}
    earlier = before.metadata.table_counts if before.metadata else {}
    for table, rows in earlier.items():
        if table not in counts:
            message = f"the table {table} is gone; it had {counted(rows, 'row')}"
            yield Alarm(AlarmKind.TABLE_GONE, message, is_critical=False, name=table)
        elif _shrunk(rows, counts[table], share):
            now = counted(counts[table], "row")
            message = f"the table {table} shrank from {number(rows)} to {now}"
            yield Alarm(AlarmKind.TABLE_SHRUNK, message, is_critical=False, name=table)


def comparable(good: Sequence[Backup]) -> tuple[Backup, Backup] | None:
    """Return the newest backup, and the last one before it that is of the same selection."""
    if not good or good[0].metadata is None:
        return None
    for backup in good[1:]:
        if backup.metadata is not None and backup.selection == good[0].selection:
            return good[0], backup
    return None


def disk_alarms(
    good: Sequence[Backup], free: int | None, days: float | None, section: StatusSection
) -> Iterator[Alarm]:
    """Yield a disk on which the next backup has no room, or that fills up within the days set."""
    if free is None:
        return
    largest = max((backup.size_bytes or 0 for backup in good[:1]), default=0)
    if free < largest:
        message = f"{size(free)} are free, less than one more backup takes ({size(largest)})"
        yield Alarm(AlarmKind.DISK_FILLING, message, is_critical=True)
    elif days is not None and days < section.disk_days:
        message = f"the disk is full in {days:.1f} days, as fast as it filled up lately"
        yield Alarm(AlarmKind.DISK_FILLING, message, is_critical=False)


def history_alarms(complaint: str | None) -> Iterator[Alarm]:
    """Report that the runs could not be read, so that the backups alone were judged."""
    if complaint is not None:
        message = f"judged by the backups alone: {complaint}"
        yield Alarm(AlarmKind.NO_HISTORY, message, is_critical=False)


def days_left(runs: Sequence[Run], free: int | None, now: datetime) -> float | None:
    """Return in how many days the disk is full, by the bytes written and freed in two weeks.

    None if it is not filling up, or if the runs cover less than a day.
    """
    recent = [run for run in runs if now - _WINDOW <= run.started <= now and not run.parts]
    if free is None or not recent:
        return None
    days = (now - recent[0].started) / timedelta(days=1)
    written = sum(run.bytes or 0 for run in recent if _wrote(run))
    grown = written - sum(run.freed or 0 for run in recent)
    if days < 1 or grown <= 0:
        return None
    return free / (grown / days)


_WINDOW = timedelta(days=14)


def _wrote(run: Run) -> bool:
    return run.operation is Operation.BACKUP and run.outcome is Outcome.SUCCEEDED


def _shrunk(before: int | None, now: int, share: float) -> bool:
    return bool(before) and before is not None and now <= before * (1 - share)


def next_steps(alarm: Alarm) -> list[str]:
    """Return the commands to type about an alarm, for its environment and its file."""
    name = shlex.quote(alarm.name or "NAME")
    commands = [_STEPS[alarm.kind].replace("NAME", name)]
    if alarm.environment is not None and not commands[0].startswith(_TAKE_NO_ENV):
        commands[0] += f" --env {alarm.environment}"
    if alarm.kind is AlarmKind.DAMAGED:  # if it cannot be mended
        commands.append(f"pgvow acknowledge {name}")
    return commands


def rounded(length: timedelta) -> str:
    """Write an age or a limit for people: two units at most."""
    return elapsed(length.total_seconds())


def longest_unchecked(backups: Sequence[Backup], environment: str | None) -> Backup | None:
    """Return the backup whose last check is oldest; its making was its first check.

    Only backups that can be checked count: one whose dump is gone would be the oldest for ever.
    """
    intact = [
        backup
        for backup in backups
        if backup.status is BackupStatus.OK and environment in (None, backup.environment)
    ]
    return min(intact, key=_checked_at, default=None)


def _checked_at(backup: Backup) -> tuple[float, str]:
    proof = backup.proof
    checks = [*proof.passed, proof.failed] if proof else []
    moments = [check.at for check in checks if check is not None]
    if backup.timestamp is not None:
        moments.append(backup.timestamp)
    return max((moment.timestamp() for moment in moments), default=0.0), backup.path.name
