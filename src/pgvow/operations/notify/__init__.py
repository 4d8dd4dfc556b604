"""Notify people of changes: a failure, its end, an alarm; once, and until it is delivered.

The state as last reported is kept beside the backups, with the messages that could not be delivered
yet. A notification that fails is a warning, and the next run tries again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pgvow.errors import ConfigurationError
from pgvow.file_errors import refusals
from pgvow.operations.health.alarms import rounded
from pgvow.outside import printable
from pgvow.runs import Outcome
from pgvow.settings import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.runs import Alarm, Run
    from pgvow.settings import NotificationsSection

NAME = ".pgvow-notifications.json"
_MOST_WAITING = 50
_SUBJECT = len(("operation", "environment", "database"))
_LONGEST_WAIT = timedelta(days=7)
_BAD = frozenset({Outcome.FAILED, Outcome.DIED})


@dataclass(frozen=True, slots=True)
class Message:
    """A message; ``at`` is when its event happened.

    ``lacking`` are digests of the URLs that it has not been delivered to yet; None: all of them.
    """

    event: Event
    title: str
    body: str
    at: datetime
    lacking: tuple[str, ...] | None = None


@dataclass
class State:
    """The state as last reported: failures, alarms, and the messages that are still unsent."""

    failed: set[str] = field(default_factory=set)
    alarms: dict[str, str] = field(default_factory=dict)
    waiting: list[Message] = field(default_factory=list)


def decide(
    state: State,
    run: Run,
    alarms: Sequence[Alarm],
    section: NotificationsSection,
    now: datetime,
    *,
    died: Sequence[Run] = (),
    parts: Sequence[Run] = (),
) -> list[Message]:
    """Return the messages about a run and the alarms after it, and update the state.

    Pure but for ``state``. An interrupted run is neither a failure nor the end of one. A failure
    before the database was known ends with the next success of the same operation. ``parts`` have
    the outcome for each database, if the run concerned several.
    """
    messages: list[Message] = []
    for each in (*died, *(parts or (run,))):
        messages.extend(_of_run(state, each, section))
    messages.extend(_of_alarms(state, alarms, section, now))
    return [message for message in messages if message.event in section.on]


def _subject(run: Run) -> str:
    """Return the subject of a run as the state has it: three words, and a fourth for a part."""
    part = [" ".join(sorted(run.selection))] if run.selection else []
    return json.dumps([run.operation, run.environment, run.database, *part])


def _of_run(state: State, run: Run, section: NotificationsSection) -> Iterator[Message]:
    if not run.gave_a_verdict:
        return
    subject = _subject(run)
    name = " ".join(part for part in (run.operation, run.environment, run.database) if part)
    if run.outcome in _BAD:
        is_news = subject not in state.failed
        state.failed.add(subject)
        if is_news or section.every_time:
            yield Message(Event.FAILURE, f"pgvow: {name} {run.outcome}", _body(run), run.started)
    elif run.outcome is Outcome.SUCCEEDED:
        mended = {subject for subject in state.failed if _is_mended_by(subject, run)}
        state.failed -= mended
        if mended:
            text = f"It works again.\n\n{_body(run)}"
            yield Message(Event.RECOVERY, f"pgvow: {name} works again", text, run.started)
        elif section.every_time or Event.SUCCESS in section.on:
            yield Message(Event.SUCCESS, f"pgvow: {name} succeeded", _body(run), run.started)


def _is_mended_by(subject: str, run: Run) -> bool:
    operation, environment, database, *part = json.loads(subject)
    return (
        operation == run.operation
        # A success with a part is none of the whole; a failure that named nothing ends with any.
        and (environment is None or part == json.loads(_subject(run))[_SUBJECT:])
        and environment in (None, run.environment)
        and database in (None, run.database)
    )


def _of_alarms(
    state: State, alarms: Sequence[Alarm], section: NotificationsSection, now: datetime
) -> Iterator[Message]:
    """Yield alarms that are new or over; a failed run has a message already."""
    current = {json.dumps(alarm.key): alarm for alarm in alarms if alarm.kind != "last run failed"}
    news = [
        alarm for key, alarm in current.items() if section.every_time or key not in state.alarms
    ]
    over = [message for key, message in state.alarms.items() if key not in current]
    state.alarms = {key: alarm.message for key, alarm in current.items()}
    if news:
        title = f"pgvow: {news[0].message}" + (f", and {len(news) - 1} more" if news[1:] else "")
        yield Message(Event.ALARM, title, "\n".join(map(_line, news)), now)
    if over:
        yield Message(Event.RECOVERY, f"pgvow: over: {over[0]}", "\n".join(over), now)


def _line(alarm: Alarm) -> str:
    where = " ".join(part for part in (alarm.environment, alarm.database) if part)
    return f"{'critical' if alarm.is_critical else 'warning'}: {where}: {alarm.message}"


def _body(run: Run) -> str:
    lines = [run.cause or "", ""] if run.cause else []
    facts = {
        "began": run.started.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "exit code": run.exit_code,
        "file": run.file,
        "bytes": f"{run.bytes:,}" if run.bytes is not None else None,
        "rows": f"{run.rows:,}" if run.rows is not None else None,
        "level": run.level,
    }
    lines += [f"{name}: {value}" for name, value in facts.items() if value is not None]
    if run.outcome in _BAD:
        lines += ["", "What stood there before is untouched. Next: pgvow status; pgvow doctor"]
    return "\n".join(lines)


def notify(
    run: Run,
    context: Context,
    *,
    directory: Path,
    alarms: Sequence[Alarm],
    warn: Callable[[str], None],
    died: Sequence[Run] = (),
    parts: Sequence[Run] = (),
) -> None:
    """Send the messages about a run, and those that still wait; one that fails is a warning.

    ``died`` are runs that were found dead just now, ``parts`` as ``decide`` has them.
    Raises AccessDenied or PgvowError if the state cannot be kept.
    """
    section, now = context.configuration.notifications, context.clock()
    with _locked(directory / NAME) as fd:
        state = _read(fd, warn)
        state.waiting += decide(state, run, alarms, section, now, died=died, parts=parts)
        _keep(fd, state, warn)  # a message is not lost by our death while it is sent
        post = _Post(section, now, warn)
        latest = state.waiting[-_MOST_WAITING:]
        recent = [message for message in latest if now - message.at < _LONGEST_WAIT]
        sent = [(message, post.send(message)) for message in recent]
        state.waiting = [replace(message, lacking=lacking) for message, lacking in sent if lacking]
        _keep(fd, state, warn)


def _keep(fd: int, state: State, warn: Callable[[str], None]) -> None:
    """Write the state; a full disk is a warning, for the messages must go out."""
    try:
        _write(fd, state)
    except OSError as error:
        warn(f"what was told is not written down, and may be told again: {error.strerror}")


class _Post:
    """Sends messages; a URL that fails once is not asked again by this run. Never raises."""

    def __init__(
        self, section: NotificationsSection, now: datetime, warn: Callable[[str], None]
    ) -> None:
        self._section = section
        self._now = now
        self._warn = warn
        self._failed: set[str] = set()

    def send(self, message: Message) -> tuple[str, ...]:
        """Send to every URL that lacks the message; returns the digests of those that still do."""
        late = self._now - message.at
        body = message.body
        if late > timedelta(hours=1):
            body = f"(This is {rounded(late)} late: it could not be delivered before.)\n\n{body}"
        lacking = (
            url
            for url in self._section.urls
            if message.lacking is None or _digest(url) in message.lacking
        )
        return tuple(_digest(url) for url in lacking if not self._deliver(url, message.title, body))

    def _deliver(self, url: str, title: str, body: str) -> bool:
        if url in self._failed:
            return False
        reason = deliver(url, title, body, self._section.timeout)
        if reason is None:
            return True
        self._failed.add(url)
        self._warn(f"a notification to {masked(url)} failed: {reason}; the next run tries again")
        return False


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def deliver(url: str, title: str, body: str, seconds: float) -> str | None:
    """Send a message to one URL; returns None if it was taken, else the reason."""
    outcome: list[str | None] = []

    def work() -> None:
        try:
            outcome.append(_deliver(url, title, body))
        except Exception as error:  # noqa: BLE001 - a hundred services' own errors
            outcome.append(type(error).__name__)

    # A daemon: a service that hangs must not keep a backup from ending.
    thread = threading.Thread(target=work, name="pgvow-notify", daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else f"no answer within {seconds:g} s"


def _deliver(url: str, title: str, body: str) -> str | None:
    import apprise  # noqa: PLC0415 - slow to load, and few runs have anything to send

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise()
    if not service.add(url):
        return "apprise knows no such URL"
    taken = service.notify(title=printable(title), body="\n".join(map(printable, body.split("\n"))))
    return None if taken else "it was not taken"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to one URL, which is masked; ``reason`` is None if it was taken."""

    url: str
    reason: str | None


def send_test(context: Context) -> list[Delivery]:
    """Send a test message to every URL; raises ConfigurationError if there is none."""
    section = context.configuration.notifications
    if not section.urls:
        raise ConfigurationError(
            "there is nobody to notify",
            steps=['In pgvow.toml:  [notifications]  urls = ["${PGVOW_NOTIFY_URL}"]'],
        )
    title, body = "pgvow: a test", "This is how pgvow will tell you when something is wrong."
    return [
        Delivery(masked(url), deliver(url, title, body, section.timeout)) for url in section.urls
    ]


def masked(url: str) -> str:
    """Return a URL of which only the kind of service is left."""
    return f"{urlsplit(url).scheme or '…'}://…"


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    with refusals("write", path):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)


def _read(fd: int, warn: Callable[[str], None]) -> State:
    data = os.pread(fd, 10_000_000, 0)
    if not data.strip():
        return State()
    try:
        return _decoded(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        warn(f"{NAME} cannot be read; what was told before is forgotten")
        return State()


def _decoded(stored: dict[str, Any]) -> State:
    for subject in stored["failed"]:
        if len(json.loads(subject)) not in (_SUBJECT, _SUBJECT + 1):
            raise ValueError("not a subject")
    return State(
        failed=set(stored["failed"]),
        alarms={str(key): str(text) for key, text in stored["alarms"].items()},
        waiting=[
            Message(
                Event(each["event"]),
                str(each["title"]),
                str(each["body"]),
                _moment(each["at"]),
                None if each.get("lacking") is None else tuple(map(str, each["lacking"])),
            )
            for each in stored["waiting"]
        ],
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment


def _write(fd: int, state: State) -> None:
    stored = {
        "failed": sorted(state.failed),
        "alarms": state.alarms,
        "waiting": [
            {
                "event": message.event,
                "title": message.title,
                "body": message.body,
                "at": message.at.isoformat(),
                "lacking": message.lacking,
            }
            for message in state.waiting
        ],
    }
    data = json.dumps(stored, indent=1).encode("utf-8", "backslashreplace") + b"\n"
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))
    os.fsync(fd)
