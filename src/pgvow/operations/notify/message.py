"""Messages about runs and alarms: their type, subject and text."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow.formats import counted, duration, moment, number, size
from pgvow.operations.health.alarms import next_steps
from pgvow.runs import Operation, Outcome
from pgvow.settings import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pgvow.runs import Alarm, Run

_MOST_KINDS = 3


class MessageType(StrEnum):
    """How grave a message is, as apprise's NotifyType has it: services show a colour or a sign."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """A message; ``at`` is when its event happened, which is None of a digest.

    ``html`` is the same text for services that take HTML, if it has a form of its own there.
    ``lacking`` are digests of the URLs that it has not been delivered to yet; None: all of them.
    """

    event: Event | None
    type: MessageType
    title: str
    body: str
    at: datetime
    html: str | None = None
    lacking: tuple[str, ...] | None = None


def of_failure(run: Run, machine: str) -> Message:
    """Return the message that a run failed or died: the cause, the next step, the facts."""
    lines = [*_lines(run.cause), "", *_steps(run), "", *_facts(run)]
    if run.operation is Operation.BACKUP:
        lines += ["", "Earlier backups are untouched."]
    title = f"pgvow: {_subject(run, machine)} {run.outcome}"
    return _message(Event.FAILURE, MessageType.FAILURE, title, lines, run.started)


def of_recovery(run: Run, machine: str) -> Message:
    """Return the message that an operation succeeds again."""
    lines = [*_facts(run), *_warnings(run)]
    title = f"pgvow: {_subject(run, machine)} works again"
    return _message(Event.RECOVERY, MessageType.SUCCESS, title, lines, run.started)


def of_success(run: Run, machine: str) -> Message:
    """Return the message that a run succeeded; with warnings it is one itself."""
    kind = MessageType.WARNING if run.warnings else MessageType.SUCCESS
    title = f"pgvow: {_subject(run, machine)} succeeded"
    return _message(Event.SUCCESS, kind, title, [*_facts(run), *_warnings(run)], run.started)


def of_alarms(alarms: Sequence[Alarm], machine: str, now: datetime) -> Message:
    """Return the message about alarms that are new, each with its next steps."""
    is_critical = any(alarm.is_critical for alarm in alarms)
    kind = MessageType.FAILURE if is_critical else MessageType.WARNING
    title = _title({(alarm.environment, alarm.database) for alarm in alarms}, machine)
    title += _kinds([alarm.kind for alarm in alarms])
    lines = [line for alarm in alarms for line in alarm_lines(alarm)]
    return _message(Event.ALARM, kind, title, lines, now)


def of_end(over: Mapping[str, str], machine: str, now: datetime) -> Message:
    """Return the message that alarms are over; ``over`` maps ``Alarm.key`` as JSON to its text."""
    keys = [json.loads(key) for key in over]
    title = _title({(environment, database) for _, environment, database, _ in keys}, machine)
    title += f"over: {_kinds([kind for kind, *_ in keys])}"
    return _message(Event.RECOVERY, MessageType.SUCCESS, title, list(over.values()), now)


def with_alarms(message: Message, alarms: Sequence[Alarm]) -> Message:
    """Add alarms to the message of a failure, of which they mostly come."""
    return _followed(message, [line for alarm in alarms for line in alarm_lines(alarm)])


def with_end(message: Message, over: Mapping[str, str]) -> Message:
    """Add to the message that an operation succeeds again the alarms that are over with it."""
    return _followed(message, [f"over: {text}" for text in over.values()])


def _followed(message: Message, lines: Sequence[str]) -> Message:
    return replace(message, body="\n".join([message.body, "", *lines])) if lines else message


def alarm_lines(alarm: Alarm) -> list[str]:
    """Write an alarm as a line, and each of its next steps as another."""
    grave = "critical" if alarm.is_critical else "warning"
    head = ": ".join(part for part in (grave, _database(alarm), alarm.message) if part)
    return [head, *(f"    {step}" for step in next_steps(alarm))]


def _message(
    event: Event, kind: MessageType, title: str, lines: Sequence[str], at: datetime
) -> Message:
    return Message(event, kind, title, "\n".join(lines).strip("\n"), at)


def _subject(run: Run, machine: str) -> str:
    """Name the operation, the database and the machine: there is more than one of each."""
    known = (run.operation, run.environment, run.database, *run.selection)
    return f"{' '.join(part for part in known if part)} on {machine}"


def _database(one: Alarm) -> str:
    return " ".join(part for part in (one.environment, one.database) if part)


def _title(databases: set[tuple[str | None, str | None]], machine: str) -> str:
    if len(databases) > 1:
        return f"pgvow: {len(databases)} databases on {machine}: "
    ((environment, database),) = databases
    known = [part for part in (environment, database) if part]
    return f"pgvow: {' '.join([*known, 'on', machine])}: "


def _kinds(kinds: Sequence[str]) -> str:
    several = list(dict.fromkeys(map(str, kinds)))
    more = [f"{len(several) - _MOST_KINDS} more"] if len(several) > _MOST_KINDS else []
    return ", ".join([*several[:_MOST_KINDS], *more])


def _lines(text: str | None) -> list[str]:
    return (text or "").split("\n")


def _steps(run: Run) -> Iterator[str]:
    yield "Next:"
    for place, step in enumerate(run.steps or _usual_steps(run), 1):
        yield f"{place}. {step}"


def _usual_steps(run: Run) -> list[str]:
    """Return the steps of a run whose error has none, or that died without one."""
    env = f" --env {run.environment}" if run.environment else ""
    if run.outcome is Outcome.DIED:
        return [
            f"See when it was: pgvow history{env}",
            f"See how the backups stand: pgvow status{env}",
        ]
    if run.operation is Operation.VERIFY and run.file:
        return [f"See all that differs: pgvow verify {shlex.quote(run.file)} --deep"]
    return [
        f"See how the backups stand: pgvow status{env}",
        f"Check what a backup needs: pgvow doctor{env}",
    ]


def _facts(run: Run) -> Iterator[str]:
    """Yield the facts about a run that are known, a line each."""
    took = (run.ended - run.started).total_seconds() if run.ended else None
    facts = {
        "began": moment(run.started),
        "took": duration(took) if took is not None else None,
        "exit code": run.exit_code,
        "file": run.file,
        "size": size(run.bytes) if run.bytes is not None else None,
        "rows": number(run.rows) if run.rows is not None else None,
        "level": run.level,
        "removed": f"{counted(run.removed, 'backup')}, {size(run.freed or 0)}"
        if run.removed
        else None,
    }
    yield from (f"{name}: {value}" for name, value in facts.items() if value is not None)


def _warnings(run: Run) -> Iterator[str]:
    if run.warnings:
        yield ""
        yield from (f"warning: {warning}" for warning in run.warnings)
