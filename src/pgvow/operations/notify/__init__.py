"""Notify people of changes: a failure, its end, an alarm; once, and until it is delivered.

The state as last reported is kept beside the backups, with the messages that could not be delivered
yet. A notification that fails is a warning, and the next run tries again.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.operations.notify import state as kept
from pgvow.operations.notify.message import (
    Message,
    MessageType,
    of_alarms,
    of_end,
    of_failure,
    of_recovery,
    of_success,
    with_alarms,
    with_end,
)
from pgvow.operations.notify.post import deliver, lack_of_apprise, masked
from pgvow.operations.notify.state import NAME, SUBJECT, State
from pgvow.runs import AlarmKind, Outcome
from pgvow.settings import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.operations.notify.post import Post
    from pgvow.runs import Alarm, Run
    from pgvow.settings import NotificationsSection

__all__ = ["NAME", "Delivery", "State", "decide", "flush", "notify", "send_test", "send_to_all"]

_MOST_WAITING = 50
_LONGEST_WAIT = timedelta(days=7)
_BAD = frozenset({Outcome.FAILED, Outcome.DIED})


def decide(
    state: State,
    run: Run,
    alarms: Sequence[Alarm],
    section: NotificationsSection,
    now: datetime,
    *,
    machine: str,
    died: Sequence[Run] = (),
    parts: Sequence[Run] = (),
) -> list[Message]:
    """Return the messages about a run and the alarms after it, and update the state.

    Pure but for ``state``. An interrupted run is neither a failure nor the end of one. A failure
    before the database was known ends with the next success of the same operation. ``parts`` have
    the outcome for each database, if the run concerned several. ``machine`` is the name of this
    one, for the subjects.
    """
    of_runs = [
        (each, message)
        for each in (*died, *(parts or (run,)))
        for message in _of_run(state, each, section, machine)
        if message.event in section.on
    ]
    changes = _changed_alarms(state, alarms, section)
    messages = [_with_its_alarms(message, each, changes, section) for each, message in of_runs]
    if changes.new:
        messages.append(of_alarms(changes.new, machine, now))
    if changes.over:
        messages.append(of_end(changes.over, machine, now))
    return [
        linked(message, section.page_url) for message in messages if message.event in section.on
    ]


@dataclass(slots=True)
class _ChangedAlarms:
    """The alarms that no message has yet: new ones, and by ``Alarm.key`` as JSON those over."""

    new: list[Alarm]
    over: dict[str, str]


def _with_its_alarms(
    message: Message, run: Run, changes: _ChangedAlarms, section: NotificationsSection
) -> Message:
    """Move the alarms of a run's database into its message: one night is one message.

    Those that began go into the message of a failure, those that are over into that of its end.
    """
    if message.event is Event.FAILURE and Event.ALARM in section.on:
        its = [each for each in changes.new if _is_of(run, each.environment, each.database)]
        changes.new = [each for each in changes.new if each not in its]
        return with_alarms(message, its)
    if message.event is Event.RECOVERY:
        ended = {key: text for key, text in changes.over.items() if _is_of(run, *_place(key))}
        changes.over = {key: text for key, text in changes.over.items() if key not in ended}
        return with_end(message, ended)
    return message


def _place(key: str) -> tuple[str | None, str | None]:
    """Return the environment and database of an ``Alarm.key`` as JSON."""
    _, environment, database, _ = json.loads(key)
    return environment, database


def _is_of(run: Run, environment: str | None, database: str | None) -> bool:
    """Return whether an alarm is of a run's database; one of the two may know less than all."""
    return (None in (run.environment, environment) or run.environment == environment) and (
        None in (run.database, database) or run.database == database
    )


def linked(message: Message, page_url: str | None) -> Message:
    """Return a message with the link to the page as its last line, if there is a page."""
    return message if page_url is None else replace(message, body=f"{message.body}\n\n{page_url}")


def _subject(run: Run) -> str:
    """Return the subject of a run as the state has it: three words, and a fourth for a part."""
    part = [" ".join(sorted(run.selection))] if run.selection else []
    return json.dumps([run.operation, run.environment, run.database, *part])


def _of_run(
    state: State, run: Run, section: NotificationsSection, machine: str
) -> Iterator[Message]:
    if not run.gave_a_verdict:
        return
    subject = _subject(run)
    if run.outcome in _BAD:
        is_news = subject not in state.failed
        state.failed.add(subject)
        if is_news or section.every_time:
            yield of_failure(run, machine)
    elif run.outcome is Outcome.SUCCEEDED:
        mended = {subject for subject in state.failed if _is_mended_by(subject, run)}
        state.failed -= mended
        if mended:
            yield of_recovery(run, machine)
        elif section.every_time or Event.SUCCESS in section.on:
            yield of_success(run, machine)


def _is_mended_by(subject: str, run: Run) -> bool:
    operation, environment, database, *part = json.loads(subject)
    return (
        operation == run.operation
        # A success with a part is none of the whole; a failure that named nothing ends with any.
        and (environment is None or part == json.loads(_subject(run))[SUBJECT:])
        and environment in (None, run.environment)
        and database in (None, run.database)
    )


def _changed_alarms(
    state: State, alarms: Sequence[Alarm], section: NotificationsSection
) -> _ChangedAlarms:
    """Return the alarms that are new or over, and update the state.

    A failed run has a message already, and an alarm that a person has acknowledged is neither.
    """
    current = {
        json.dumps(alarm.key): alarm
        for alarm in alarms
        if alarm.kind is not AlarmKind.LAST_RUN_FAILED and alarm.known is None
    }
    known = {json.dumps(alarm.key) for alarm in alarms if alarm.known is not None}
    news = [
        alarm for key, alarm in current.items() if section.every_time or key not in state.alarms
    ]
    over = {
        key: message
        for key, message in state.alarms.items()
        if key not in current and key not in known
    }
    state.alarms = {key: alarm.message for key, alarm in current.items()}
    return _ChangedAlarms(news, over)


def notify(
    run: Run,
    context: Context,
    *,
    directory: Path,
    alarms: Sequence[Alarm],
    post: Post,
    warn: Callable[[str], None],
    died: Sequence[Run] = (),
    parts: Sequence[Run] = (),
) -> None:
    """Send the messages about a run, and those that still wait; one that fails is a warning.

    ``died`` are runs that were found dead just now, ``parts`` as ``decide`` has them.
    Raises AccessDenied or PgvowError if the state cannot be kept.
    """
    section, now = context.configuration.notifications, context.clock()
    with kept.locked(directory) as fd:
        state = kept.read(fd, warn)
        state.waiting += decide(
            state, run, alarms, section, now, machine=machine_name(), died=died, parts=parts
        )
        _keep(fd, state, warn)  # a message is not lost by our death while it is sent
        flush(fd, state, post, now, warn)


def machine_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname() or "?"


def flush(fd: int, state: State, post: Post, now: datetime, warn: Callable[[str], None]) -> None:
    """Send the messages that wait, and keep those that were not taken."""
    latest = state.waiting[-_MOST_WAITING:]
    recent = [message for message in latest if now - message.at < _LONGEST_WAIT]
    sent = [(message, post.send(message)) for message in recent]
    state.waiting = [replace(message, lacking=lacking) for message, lacking in sent if lacking]
    _keep(fd, state, warn)


def _keep(fd: int, state: State, warn: Callable[[str], None]) -> None:
    """Write the state; a full disk is a warning, for the messages must go out."""
    try:
        kept.write(fd, state)
    except OSError as error:
        warn(f"what was told is not written down, and may be told again: {error.strerror}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to one URL, which is masked; ``reason`` is None if it was taken."""

    url: str
    reason: str | None


def send_test(context: Context) -> list[Delivery]:
    """Send a test message to every URL; raises ConfigurationError if there is none."""
    title = f"pgvow: a test from {machine_name()}"
    body = "This is how pgvow will tell you when something is wrong."
    message = Message(None, MessageType.INFO, title, body, context.clock())
    return send_to_all(linked(message, context.configuration.notifications.page_url), context)


def send_to_all(message: Message, context: Context) -> list[Delivery]:
    """Send a message to every URL; raises ConfigurationError without URLs or without apprise."""
    section = context.configuration.notifications
    if not section.urls:
        raise ConfigurationError(
            "there is nobody to notify",
            steps=['In pgvow.toml:  [notifications]  urls = ["${PGVOW_NOTIFY_URL}"]'],
        )
    if lack := lack_of_apprise(section):
        raise lack
    return [Delivery(masked(url), deliver(url, message, section.timeout)) for url in section.urls]
