"""Notifications: which are sent, and when; hooks that misbehave."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pgvow.errors import BackupFailed
from pgvow.operations.context import Context
from pgvow.operations.notify import NAME, State, decide, notify
from pgvow.operations.notify.hooks import ping_ended, run_after, run_before
from pgvow.operations.notify.message import Message, MessageType
from pgvow.operations.notify.post import Post, deliver, masked
from pgvow.runs import Alarm, AlarmKind, Operation, Outcome, Run
from pgvow.settings import (
    Configuration,
    Event,
    HooksSection,
    NotificationsSection,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
_ALL = frozenset(Event)


def run(outcome: Outcome, environment: str | None = "prod", database: str | None = "shop") -> Run:
    """A backup that ended."""
    return Run("1", Operation.BACKUP, _NOW, outcome, _NOW, None, environment, database)


def at(moment: datetime, section: NotificationsSection) -> Context:
    """A context with these notifications, at a timestamp."""
    return Context(Configuration(notifications=section), {}, clock=lambda: moment)


def of(state: State, ended: Run, alarms: Sequence[Alarm] = (), **more: Any) -> list[Message]:
    """The messages about a run on the machine db1, with the settings ``section``, if any."""
    section = more.pop("section", NotificationsSection())
    return decide(state, ended, alarms, section, _NOW, machine="db1", **more)


def tell(
    moment: datetime,
    section: NotificationsSection,
    ended: Run,
    directory: Path,
    warn: Callable[[str], None],
) -> None:
    """Notify of a run as a recorded run does at its end."""
    post = Post(section, moment, warn)
    notify(ended, at(moment, section), directory=directory, alarms=(), post=post, warn=warn)


def told(
    state: State,
    outcome: Outcome,
    alarms: Sequence[Alarm] = (),
    on: frozenset[Event] = NotificationsSection().on,
    *,
    every_time: bool = False,
) -> list[str]:
    """Return the events that are to be sent."""
    section = NotificationsSection(on=on, every_time=every_time)
    found = decide(state, run(outcome), alarms, section, _NOW, machine="db1")
    return [str(message.event) for message in found]


def test_repeated_failures_are_one_message() -> None:
    """Twenty failures are told once, their end once, and the next night anew."""
    state = State()
    assert ["failure"] == told(state, Outcome.FAILED)
    assert [] == [event for _ in range(19) for event in told(state, Outcome.FAILED)]
    assert [] == told(state, Outcome.INTERRUPTED)
    assert ["recovery"] == told(state, Outcome.SUCCEEDED)
    assert [] == told(state, Outcome.SUCCEEDED)
    assert ["failure"] == told(state, Outcome.DIED)


def test_every_failure_is_sent_if_asked_for() -> None:
    """With every_time each failure is sent."""
    state = State()
    assert [["failure"], ["failure"], ["recovery"], ["success"]] == [
        told(state, outcome, every_time=True, on=_ALL)
        for outcome in (Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.SUCCEEDED)
    ]


def test_an_acknowledged_alarm_is_neither_news_nor_over() -> None:
    """Told once; acknowledged, it is not told as over; another fault of that file is told anew."""
    state = State()
    alarm = Alarm(AlarmKind.DAMAGED, "x.dump is damaged", is_critical=True, name="x.dump")
    known = replace(alarm, known="acknowledged on 2026-11-22")
    assert ["alarm"] == told(state, Outcome.SUCCEEDED, [alarm])
    assert [] == told(state, Outcome.SUCCEEDED, [known])
    assert [] == told(
        state, Outcome.SUCCEEDED, [known], every_time=True, on=frozenset({Event.ALARM})
    )
    assert ["alarm"] == told(state, Outcome.SUCCEEDED, [replace(alarm, message="x is unreadable")])
    assert [] == told(State(), Outcome.SUCCEEDED, [known])


@pytest.mark.parametrize("event", Event)
def test_an_event_not_in_on_is_not_sent(event: Event) -> None:
    """An event that is not among ``on`` is not sent; the state is kept all the same."""
    state = State()
    alarm = Alarm(AlarmKind.TOO_OLD, "old", is_critical=True)
    found = [
        *told(state, Outcome.FAILED, on=_ALL - {event}),
        *told(state, Outcome.SUCCEEDED, on=_ALL - {event}),
        *told(state, Outcome.SUCCEEDED, [alarm], on=_ALL - {event}),
    ]
    assert sorted(set(_ALL) - {event}) == sorted(set(found))


def test_a_failure_without_database_is_ended_by_any_success() -> None:
    """Settings that are wrong name no database: any success of the operation ends that."""
    state = State()
    assert 1 == len(of(state, run(Outcome.FAILED, None, None)))
    assert ["recovery"] == told(state, Outcome.SUCCEEDED)
    assert ["failure"] == told(state, Outcome.FAILED)
    other = run(Outcome.SUCCEEDED, "staging")
    assert [] == of(state, other)
    assert ["recovery"] == told(state, Outcome.SUCCEEDED)


def test_an_alarm_is_sent_when_new_and_when_over() -> None:
    """An alarm is told when it is new, whatever the numbers in it become, and when it is over."""
    state = State()
    first = Alarm(AlarmKind.TABLE_GONE, "the table a is gone", is_critical=False, name="a")
    second = replace(first, name="b")
    assert ["alarm"] == told(state, Outcome.SUCCEEDED, [first])
    again = replace(first, message="the table a is still gone")
    assert [] == told(state, Outcome.SUCCEEDED, [again])
    assert ["alarm"] == told(state, Outcome.SUCCEEDED, [first, second])
    assert ["recovery"] == told(state, Outcome.SUCCEEDED, [second])


@pytest.mark.parametrize(
    ("environment", "database", "title"),
    [
        ("prod", "shop", "pgvow: backup prod shop on db1 failed"),
        (None, None, "pgvow: backup on db1 failed"),
    ],
)
def test_a_failure_is_told_in_full(
    environment: str | None, database: str | None, title: str
) -> None:
    """Machine, environment and database in the subject; the cause once; then what to type."""
    ended = replace(
        run(Outcome.FAILED, environment, database),
        exit_code=3,
        ended=_NOW + timedelta(seconds=200),
        bytes=50_000_000,
        cause="connection refused",
        steps=("Is the server up? pg_isready -h h", "pgvow doctor"),
    )
    (message,) = of(State(), ended)
    assert (title, "failure") == (message.title, message.type)
    assert 1 == (message.title + message.body).count("connection refused")
    lines = message.body.split("\n")
    assert ["connection refused", "", "Next:"] == lines[:3]
    assert ["1. Is the server up? pg_isready -h h", "2. pgvow doctor"] == lines[3:5]
    assert {"took: 3 min 20 s", "size: 50.0 MB"} <= set(lines)


def test_each_kind_of_message_has_its_type() -> None:
    """As apprise names them: a failure, a warning, a success; services show it as a colour."""
    state, everything = State(), NotificationsSection(on=_ALL)
    grave = Alarm(AlarmKind.TOO_OLD, "30h old", True, "prod", "shop")  # noqa: FBT003
    small = Alarm(AlarmKind.NO_PROOF, "never proven", False, "prod", "shop")  # noqa: FBT003
    types = [
        [str(message.type) for message in of(state, ended, alarms, section=everything)]
        for ended, alarms in (
            (run(Outcome.SUCCEEDED), []),
            (replace(run(Outcome.SUCCEEDED), warnings=("slow",)), []),
            (run(Outcome.FAILED), [small]),
            (run(Outcome.SUCCEEDED), [small, grave]),
            (run(Outcome.SUCCEEDED), []),
        )
    ]
    assert [
        ["success"],
        ["warning"],
        ["failure"],
        ["success", "failure"],
        ["success", "success"],
    ] == types


def test_an_alarm_is_told_once_with_its_command() -> None:
    """Its kind is in the subject, its words are in the text alone, with the command to type."""
    state = State()
    alarm = Alarm(AlarmKind.NO_PROOF, "never proven", False, "prod", "shop")  # noqa: FBT003
    (message,) = of(state, run(Outcome.SUCCEEDED), [alarm])
    assert "pgvow: prod shop on db1: no proof" == message.title
    assert "warning: prod shop: never proven" == message.body.split("\n")[0]
    assert "pgvow prove --latest --env prod" == message.body.split("\n")[1].strip()
    (over,) = of(state, run(Outcome.SUCCEEDED))
    assert "pgvow: prod shop on db1: over: no proof" == over.title
    assert "never proven" == over.body
    several = [replace(alarm, database=name) for name in ("a", "b")]
    (message,) = of(state, run(Outcome.SUCCEEDED), several)
    assert "pgvow: 2 databases on db1: no proof" == message.title


def test_a_bad_night_is_one_message_and_so_is_its_end() -> None:
    """A failed backup, and the alarms that come of it, with the steps of all; then all is over."""
    state, failed = State(), replace(run(Outcome.FAILED), cause="the disk is full")
    old = Alarm(AlarmKind.TOO_OLD, "30h old", True, "prod", "shop")  # noqa: FBT003
    full = Alarm(AlarmKind.DISK_FILLING, "1 kB free", True, "prod", "shop")  # noqa: FBT003
    (message,) = of(state, failed, [old, full])
    assert "pgvow: backup prod shop on db1 failed" == message.title
    for text in ("the disk is full", "30h old", "pgvow history --env prod", "1 kB free"):
        assert 1 == message.body.count(text)
    assert [] == of(state, failed, [old, full])
    (message,) = of(state, run(Outcome.SUCCEEDED))
    assert "pgvow: backup prod shop on db1 works again" == message.title
    assert ["over: 30h old", "over: 1 kB free"] == message.body.split("\n")[-2:]


@pytest.mark.parametrize(("environment", "database"), [("dev", "shop"), ("prod", "other")])
def test_an_alarm_of_another_database_is_a_message_of_its_own(
    environment: str, database: str
) -> None:
    """It is no matter of the run that failed, and may be another person's."""
    alarm = Alarm(AlarmKind.TOO_OLD, "30h old", True, environment, database)  # noqa: FBT003
    first, second = of(State(), run(Outcome.FAILED), [alarm])
    assert ("failure", "alarm") == (str(first.event), str(second.event))
    assert "30h old" not in first.body


def test_an_alarm_that_comes_later_is_a_message() -> None:
    """Nights later there is no good backup any more: that is news, though the failure is none."""
    state, alarm = State(), Alarm(AlarmKind.TOO_OLD, "30h old", is_critical=True)
    assert ["failure"] == told(state, Outcome.FAILED)
    assert ["alarm"] == told(state, Outcome.FAILED, [alarm])


@pytest.mark.parametrize("lacking", [Event.FAILURE, Event.ALARM])
def test_an_alarm_goes_only_to_those_who_want_alarms(lacking: Event) -> None:
    """Without failures it comes by itself; without alarms it is not in the failure's message."""
    alarm = Alarm(AlarmKind.TOO_OLD, "30h old", is_critical=True)
    section = NotificationsSection(on=_ALL - {lacking})
    (message,) = of(State(), run(Outcome.FAILED), [alarm], section=section)
    assert (lacking is Event.FAILURE) == ("30h old" in message.body)


@pytest.mark.parametrize("page", [None, "https://wiki.example.org/backups"])
def test_the_page_is_the_last_line(page: str | None) -> None:
    """A link to a page of the user's, if he has set one."""
    (message,) = of(State(), run(Outcome.DIED), section=NotificationsSection(page_url=page))
    last = message.body.split("\n")[-1]
    assert (page or "Earlier backups are untouched.") == last
    assert "1. See when it was: pgvow history --env prod" in message.body


def test_messages_of_the_version_before_are_sent(tmp_path: Path) -> None:
    """A state that 0.1 wrote, without types and digests, loses no message."""
    waiting = {"event": "failure", "title": "old", "body": "b", "at": _NOW.isoformat()}
    stored = {"failed": [], "alarms": {}, "waiting": [waiting]}
    (tmp_path / NAME).write_text(json.dumps(stored))
    warnings: list[str] = []
    section = NotificationsSection(urls=("nonsense://x",))
    tell(_NOW, section, run(Outcome.SUCCEEDED), tmp_path, warnings.append)
    (kept,) = json.loads((tmp_path / NAME).read_text())["waiting"]
    assert "old" == kept["title"]
    assert not [warning for warning in warnings if "forgotten" in warning]


def test_a_dead_run_is_sent_as_a_failure() -> None:
    """Runs that were found dead are failures, and the run that found them may be the recovery."""
    died = replace(run(Outcome.DIED), id="0")
    found = of(State(), run(Outcome.SUCCEEDED), died=[died])
    assert ["failure", "recovery"] == [str(message.event) for message in found]


def test_an_undelivered_message_is_sent_later(tmp_path: Path) -> None:
    """It is kept, bounded in number and age, and comes with a word on why it is late."""
    section = NotificationsSection(urls=("json://127.0.0.1:1/x",), every_time=True, timeout=5)
    warnings: list[str] = []
    for number in range(60):
        moment = _NOW + timedelta(minutes=number)
        dead, ended = replace(section, urls=("nonsense://x",)), run(Outcome.FAILED)
        tell(moment, dead, replace(ended, started=moment), tmp_path, warnings.append)
    text = (tmp_path / NAME).read_text()
    assert 50 == text.count('"title"')
    assert 0o600 == (tmp_path / NAME).stat().st_mode & 0o777
    assert all("nonsense://…" in warning for warning in warnings)
    (tmp_path / NAME).write_text("{broken")
    warnings.clear()
    late = _NOW + timedelta(days=30)
    tell(late, section, run(Outcome.SUCCEEDED), tmp_path, warnings.append)
    assert "what was told before is forgotten" in warnings[0]


def test_a_hanging_service_is_given_up_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it longer than the time set."""
    monkeypatch.setattr("pgvow.operations.notify.post._deliver", lambda *_: time.sleep(30))
    message = Message(None, MessageType.INFO, "t", "b", _NOW)
    started = time.monotonic()
    assert "no answer within 0.2 s" == deliver("json://x", message, 0.2)
    assert time.monotonic() - started < 20


def test_urls_are_masked() -> None:
    """Of a URL only the kind of service is shown."""
    assert "slack://…" == masked("slack://token/secret")
    assert "secret" not in masked("no url but secret")


def hook(*words: str, seconds: float = 60) -> HooksSection:
    """A hook before and after that is this command."""
    return HooksSection(before=words, after=words, timeout=seconds)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("/bin/false",), "ended with 1"),
        (("/no/such/program",), "cannot be started: No such file"),
        (("/etc/passwd",), "cannot be started: Permission denied"),
        (("/bin/sh", "-c", "kill -9 $$"), "was ended by signal 9"),
        (("/bin/sh", "-c", "echo why; exit 3"), "ended with 3: why"),
        (("/bin/sh", "-c", "head -c 9000000 /dev/zero | tr '\\0' x; exit 5"), "ended with 5: xxx"),
    ],
)
def test_a_failed_hook_cancels_before_and_warns_after(words: tuple[str, ...], reason: str) -> None:
    """Before it cancels, after it warns; each with the reason and the end of its output."""
    with pytest.raises(BackupFailed, match=reason):
        run_before(hook(*words), {}, os.environ)
    warnings: list[str] = []
    run_after(hook(*words), {}, os.environ, warnings.append)
    assert reason in warnings[0]
    assert len(warnings[0]) < 3000


def test_a_hanging_hook_is_killed_with_its_children(tmp_path: Path) -> None:
    """It is ended with all that it started, even what ignores SIGTERM."""
    script = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; wait; sleep 1000"
    with pytest.raises(BackupFailed, match="did not end within 1 s"):
        run_before(hook("/bin/sh", "-c", script, seconds=1), {}, os.environ)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not psutil.pid_exists(child) or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_hook_may_ignore_its_standard_input() -> None:
    """Standard input that nobody reads is no failure."""
    run_before(hook("/bin/true"), {"file": "a\0b"}, os.environ)
    warnings: list[str] = []
    run_after(hook("/bin/true"), {"cause": "x" * 100_000}, os.environ, warnings.append)
    assert [] == warnings


def test_no_password_reaches_a_hook(tmp_path: Path) -> None:
    """No password reaches a hook."""
    environ = {
        "PATH": os.environ["PATH"], "DB_PASSWORD": "s3cr3t", "STAGING_DB_PASSWORD": "s3cr3t",
        "DATABASE_URL": "postgresql://u:s3cr3t@h/d", "PGPASSWORD": "s3cr3t", "KEPT": "yes",
        "STAGING_URL": "postgresql://u:s3cr3t@h/d",
    }  # fmt: skip
    out = tmp_path / "env"
    run_before(hook("/bin/sh", "-c", f"env > {out}"), {"file": "a.dump"}, environ)
    text = out.read_text()
    assert "s3cr3t" not in text
    assert {"KEPT=yes", "PGVOW_FILE=a.dump"} <= set(text.splitlines())


def test_a_password_printed_by_a_hook_is_masked() -> None:
    """It may have found the password elsewhere; its output is masked."""
    environ = {"PATH": os.environ["PATH"], "DB_PASSWORD": "s3cr3t"}
    with pytest.raises(BackupFailed, match=r"\*\*\*") as caught:
        run_before(hook("/bin/sh", "-c", "echo it is s3cr3t; exit 1"), {}, environ)
    assert "s3cr3t" not in str(caught.value.cause)


@pytest.mark.parametrize(
    "ping", ["http://hc:s3cr3t@127.0.0.1:1/x", "http://127.0.0.1:port/s3cr3t", "http://h /s3cr3t"]
)
def test_a_failed_ping_is_a_warning_without_secrets(ping: str) -> None:
    """Whatever is wrong with the URL, it is a warning, without its secrets."""
    warnings: list[str] = []
    section = NotificationsSection(ping=ping, timeout=2)
    ping_ended(run(Outcome.FAILED), section, warnings.append)
    assert 1 == len(warnings)
    assert "s3cr3t" not in warnings[0]


def test_a_dead_url_does_not_repeat_messages_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that works is told once; the dead one is asked once a run, and told when it lives."""
    asked: list[tuple[str, str]] = []
    dead = {"json://dead"}

    def answer(url: str, message: Message, _seconds: float) -> str | None:
        asked.append((url, message.title))
        return "no" if url in dead else None

    monkeypatch.setattr("pgvow.operations.notify.post.deliver", answer)
    section = NotificationsSection(urls=("json://alive", "json://dead"), every_time=True)
    warnings: list[str] = []

    def night(outcome: Outcome) -> None:
        asked.clear()
        tell(_NOW, section, run(outcome), tmp_path, warnings.append)

    for _ in range(3):
        night(Outcome.FAILED)
        assert ["json://alive", "json://dead"] == sorted(url for url, _ in asked)
    dead.clear()
    night(Outcome.FAILED)
    assert 1 == sum(url == "json://alive" for url, _ in asked)
    assert 4 == sum(url == "json://dead" for url, _ in asked)
