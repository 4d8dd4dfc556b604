"""The digest: all that ran, was proven, was removed and grew in a while, and the alarms of now.

It is sent by the first run that ends in a new day, week or month, as text and as HTML. No daemon
waits for that moment.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pgvow import DEFAULT_DIRECTORY
from pgvow.errors import PgvowError
from pgvow.file_errors import refusals
from pgvow.formats import counted, size
from pgvow.operations.health.alarms import ended_at, next_steps, rounded
from pgvow.operations.health.status import StatusOptions, current_status, with_run
from pgvow.operations.notify import flush, linked, machine_name
from pgvow.operations.notify import state as kept
from pgvow.operations.notify.message import Message, MessageType, alarm_lines
from pgvow.runs import Operation, Outcome
from pgvow.settings import DigestPeriod
from pgvow.store.backups import directories
from pgvow.store.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pgvow.operations.context import Context
    from pgvow.operations.health.status import SeriesStatus, StatusReport
    from pgvow.operations.notify.post import Post
    from pgvow.runs import Alarm, Run
    from pgvow.settings import Configuration

_LENGTHS = {
    DigestPeriod.OFF: timedelta(days=7),
    DigestPeriod.DAILY: timedelta(days=1),
    DigestPeriod.WEEKLY: timedelta(days=7),
    DigestPeriod.MONTHLY: timedelta(days=31),
}
_BAD = frozenset({Outcome.FAILED, Outcome.DIED})


@dataclass(frozen=True, slots=True)
class SeriesDigest:
    """The runs and the growth of one database; ``status`` is None if its runs never knew its name.

    ``succeeded`` and ``failed`` count runs by their operation. ``grown`` are the bytes of the last
    backup before, and of the newest.
    """

    status: SeriesStatus | None
    succeeded: Mapping[Operation, int]
    failed: Mapping[Operation, int]
    removed: int
    freed: int
    grown: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Digest:
    """All that happened from ``since`` to ``at``, by database, and the alarms of now."""

    since: datetime
    at: datetime
    series: tuple[SeriesDigest, ...]
    alarms: tuple[Alarm, ...]

    @property
    def failures(self) -> int:
        """The number of runs that failed."""
        return sum(sum(one.failed.values()) for one in self.series)


def is_due(period: DigestPeriod, last: datetime, now: datetime, timezone: str) -> bool:
    """Return whether a new day, week (from Monday on) or month has begun since the last digest."""
    zone = ZoneInfo(timezone)
    before, today = last.astimezone(zone).date(), now.astimezone(zone).date()
    if period is DigestPeriod.OFF or last >= now:
        return False
    if period is DigestPeriod.DAILY:
        return before != today
    if period is DigestPeriod.WEEKLY:
        return before.isocalendar()[:2] != today.isocalendar()[:2]
    return (before.year, before.month) != (today.year, today.month)


def send_if_due(
    directory: Path, just_ended: Run, context: Context, post: Post, warn: Callable[[str], None]
) -> None:
    """Send the digest of the time since the last one, if a new period has begun.

    One of several runs that end at once sends it. It is written down before it is sent, and waits
    for the next run if it is not taken. The first period begins with the first run that comes here.
    Raises AccessDenied, NoSpace or PgvowError if the state cannot be kept: nothing is sent then.
    """
    configuration, now = context.configuration, context.clock()
    section = configuration.notifications
    if section.digest is DigestPeriod.OFF:
        return
    home = _home(configuration, directory)
    with kept.locked(home) as fd:
        state = kept.read(fd, warn)
        last = state.digest
        is_news = last is not None and is_due(
            section.digest, last, now, configuration.schedule.timezone
        )
        if last is not None and is_news:
            digest = read_digest(directory, last, context, just_ended)
            state.waiting.append(message_of(digest, context))
        if last is None or last > now or is_news:  # a clock that was set back begins anew
            state.digest = now
            with refusals("write", home / kept.NAME):
                kept.write(fd, state)
        flush(fd, state, post, now, warn)


def _home(configuration: Configuration, directory: Path) -> Path:
    """Return the directory that keeps the time of the digest: one for all that the settings name.

    A directory that they do not name keeps its own.
    """
    general = configuration.output_dir_of(None) or Path(DEFAULT_DIRECTORY)
    named = directories(configuration, general)
    if directory.resolve() not in {place.resolve() for place in named}:
        return directory
    return next((place for place in named if place.is_dir()), directory)


def recent_digest(directory: Path, context: Context) -> Message:
    """Return the digest of the last period up to now, of a week if none is set.

    Raises AccessDenied or PgvowError if a directory cannot be read.
    """
    period = context.configuration.notifications.digest
    since = context.clock() - _LENGTHS[period]
    return message_of(read_digest(directory, since, context), context)


def read_digest(
    directory: Path, since: datetime, context: Context, just_ended: Run | None = None
) -> Digest:
    """Read the runs since a timestamp, in a directory and all others in the settings.

    Raises AccessDenied or PgvowError if a directory cannot be read.
    """
    report = current_status(directory, StatusOptions(just_ended=just_ended), context)
    runs: dict[Path, Sequence[Run]] = {}
    for place in dict.fromkeys(series.directory for series in report.series):
        with suppress(PgvowError):  # an alarm tells of it
            ended = just_ended if place == directory else None
            runs[place] = with_run(History(place).read().runs, ended)
    return digest_of(report, runs, since)


def digest_of(report: StatusReport, runs: Mapping[Path, Sequence[Run]], since: datetime) -> Digest:
    """Sum up the runs of each directory by the databases that a status has; pure."""
    series = []
    for place in dict.fromkeys(status.directory for status in report.series):
        left = [run for run in runs.get(place, ()) if not run.parts]
        for status in (status for status in report.series if status.directory == place):
            own = [run for run in left if _is_of(run, status)]
            left = [run for run in left if not _is_of(run, status)]
            series.append(_series(own, status, since))
        rest = _series(left, None, since)
        if rest.failed:
            series.append(rest)
    return Digest(since, report.at, tuple(series), report.alarms)


def _is_of(run: Run, status: SeriesStatus) -> bool:
    """Return whether a run is of a database; one without any backup yet has no name in a status."""
    return run.environment == status.environment and status.database in (None, run.database)


def _series(runs: Sequence[Run], status: SeriesStatus | None, since: datetime) -> SeriesDigest:
    recent = [run for run in runs if ended_at(run) > since and run.gave_a_verdict]
    return SeriesDigest(
        status,
        Counter(run.operation for run in recent if run.outcome is Outcome.SUCCEEDED),
        Counter(run.operation for run in recent if run.outcome in _BAD),
        sum(run.removed or 0 for run in recent),
        sum(run.freed or 0 for run in recent),
        _grown(runs, status, since),
    )


def _grown(
    runs: Sequence[Run], status: SeriesStatus | None, since: datetime
) -> tuple[int, int] | None:
    """Return the sizes of the last backup before ``since`` (else the first after) and the newest.

    Only backups of the same selection as the newest are compared.
    """
    selection = set(status.newest.selection) if status and status.newest else set()
    made = [
        run
        for run in sorted(runs, key=ended_at)
        if run.operation is Operation.BACKUP
        and run.outcome is Outcome.SUCCEEDED
        and run.bytes
        and set(run.selection) == selection
    ]
    earlier = [run for run in made if ended_at(run) <= since]
    first = earlier[-1:] or made[:1]
    if not first or first[0] is made[-1]:
        return None
    return first[0].bytes or 0, made[-1].bytes or 0


def message_of(digest: Digest, context: Context) -> Message:
    """Return a digest as a message: text, and HTML for services that take it."""
    section, machine = context.configuration.notifications, machine_name()
    period = "" if section.digest is DigestPeriod.OFF else f"{section.digest} "
    databases = [one.status for one in digest.series if one.status is not None]
    of = f"{len(databases)} databases"
    if len(databases) == 1:
        of = " ".join(filter(None, (databases[0].environment, databases[0].database))) or "backups"
    title = f"pgvow: {period}digest of {of} on {machine}: {_verdict(digest)}"
    message = Message(
        None, _type(digest), title, _text(digest), digest.at, _html(digest, section.page_url)
    )
    return linked(message, section.page_url)


def _type(digest: Digest) -> MessageType:
    if any(alarm.is_critical for alarm in digest.alarms):
        return MessageType.FAILURE
    return MessageType.WARNING if digest.alarms or digest.failures else MessageType.INFO


def _verdict(digest: Digest) -> str:
    if digest.alarms:
        return (
            "1 thing is wrong"
            if len(digest.alarms) == 1
            else f"{len(digest.alarms)} things are wrong"
        )
    if digest.failures:
        return f"all is well now, {counted(digest.failures, 'run')} failed"
    return "all is well"


def _span(digest: Digest) -> str:
    since, until = (
        moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for moment in (digest.since, digest.at)
    )
    return f"From {since} to {until} UTC."


def _name(one: SeriesDigest) -> str:
    if one.status is None:
        return "Runs that did not come as far as a database"
    return " ".join(filter(None, (one.status.environment, one.status.database))) or "Backups"


def _facts(one: SeriesDigest) -> Iterator[tuple[str, str]]:
    """Yield the lines about one database: a heading, and the text."""
    ran = {operation: _outcomes(one, operation) for operation in Operation}
    if one.status is not None:
        yield "Newest", _newest(one.status)
        ran[Operation.BACKUP] = ran[Operation.BACKUP] or "none was made"
        ran[Operation.PROVE] = ran[Operation.PROVE] or _unproven(one.status)
    for operation, text in ran.items():
        if text and operation is not Operation.PRUNE:
            yield f"{operation.capitalize()}", text
    if one.removed:
        yield "Removed", f"{counted(one.removed, 'backup')}, {size(one.freed)} freed"
    elif text := ran[Operation.PRUNE]:
        yield "Removed", f"none ({text})"
    if one.grown is not None:
        before, now = one.grown
        yield "Grows", f"{(now - before) / before:+.1%}, from {size(before)} to {size(now)}"
    if one.status is not None and one.status.free_bytes is not None:
        days = one.status.days_left
        full = "" if days is None else f", full in {days:,.0f} days at this rate"
        yield "Free", f"{size(one.status.free_bytes)}{full}"


def _outcomes(one: SeriesDigest, operation: Operation) -> str:
    good, bad = one.succeeded.get(operation, 0), one.failed.get(operation, 0)
    if not good and not bad:
        return ""
    return f"{good} succeeded" + (f", {bad} failed" if bad else "")


def _newest(status: SeriesStatus) -> str:
    newest = status.newest
    if newest is None:
        return "there is no good backup"
    age = f"{rounded(status.age)} old, " if status.age is not None else ""
    return f"{age}{size(newest.size_bytes or 0)}, {newest.trusted or 'listed'}"


def _unproven(status: SeriesStatus) -> str:
    if status.proven_at is None:
        return "no backup has been proven yet"
    return f"none since {status.proven_at.astimezone(UTC):%Y-%m-%d}"


def _text(digest: Digest) -> str:
    lines = [_span(digest)]
    for one in digest.series:
        lines += ["", _name(one), *(f"    {name}: {text}" for name, text in _facts(one))]
    lines += ["", "Wrong now" if digest.alarms else "Nothing is wrong now."]
    lines += [f"    {line}" for alarm in digest.alarms for line in alarm_lines(alarm)]
    return "\n".join(lines)


def _html(digest: Digest, page_url: str | None) -> str:
    """Write it with a table for each database; every text is escaped."""
    parts = [f"<p>{escape(_span(digest))}</p>"]
    for one in digest.series:
        rows = "".join(
            f"<tr><th align='left'>{escape(name)}</th><td>{escape(text)}</td></tr>\n"
            for name, text in _facts(one)
        )
        parts += [f"<h3>{escape(_name(one))}</h3>", f"<table>\n{rows}</table>"]
    parts.append(f"<h3>{'Wrong now' if digest.alarms else 'Nothing is wrong now.'}</h3>")
    if digest.alarms:
        items = "".join(_item(alarm) for alarm in digest.alarms)
        parts.append(f"<ul>\n{items}</ul>")
    if page_url is not None:
        parts.append(f'<p><a href="{escape(page_url)}">{escape(page_url)}</a></p>')
    return "\n".join(parts)


def _item(alarm: Alarm) -> str:
    line = alarm_lines(alarm)[0]
    steps = "".join(f"<br><code>{escape(step)}</code>" for step in next_steps(alarm))
    return f"<li>{escape(line)}{steps}</li>\n"
