"""The digest: when it is due, and what it says of whom."""

from __future__ import annotations

import json
import multiprocessing
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import NoSpace
from pgvow.model import Level
from pgvow.operations.context import Context
from pgvow.operations.health.status import SeriesStatus, StatusReport
from pgvow.operations.notify.digest import digest_of, is_due, message_of, send_if_due
from pgvow.operations.notify.post import Post
from pgvow.operations.notify.state import NAME
from pgvow.runs import Alarm, AlarmKind, Operation, Outcome, Run
from pgvow.settings import Configuration, DigestPeriod, NotificationsSection
from pgvow.store.history import History
from tests.support.disks import needs_root
from tests.support.receiver import receiving

if TYPE_CHECKING:
    from tests.support.receiver import Receiver

# apprise loads it for one of its services, on a Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

_SUNDAY = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
_MONDAY = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)
_DAY = timedelta(days=1)
_HERE = Path("db/backups")


@pytest.mark.parametrize(
    ("period", "last", "now", "expected"),
    [
        ("off", _SUNDAY, _MONDAY, False),
        ("daily", _SUNDAY, _SUNDAY + timedelta(minutes=5), False),
        ("daily", _SUNDAY, _MONDAY, True),
        ("weekly", _SUNDAY, _MONDAY, True),
        ("weekly", _MONDAY, _MONDAY + 6 * _DAY, False),
        # A night that ends three minutes earlier than the week before is no day late.
        ("weekly", _MONDAY, _MONDAY + 7 * _DAY - timedelta(minutes=3), True),
        ("weekly", _MONDAY, _MONDAY + 400 * _DAY, True),
        ("monthly", _SUNDAY, _MONDAY, False),
        ("monthly", _MONDAY, _MONDAY + 8 * _DAY, True),
        ("daily", _MONDAY, _SUNDAY, False),  # the clock was set back
    ],
)
def test_when_it_is_due(period: str, last: datetime, now: datetime, expected: bool) -> None:  # noqa: FBT001
    """Once in each day, week from Monday on, or month, by the calendar: no drift."""
    assert expected == is_due(DigestPeriod(period), last, now, "UTC")


def test_the_calendar_is_that_of_the_schedule() -> None:
    """Half past eleven at night in UTC is Monday in Tokyo."""
    saturday = _SUNDAY - timedelta(days=1)
    assert is_due(DigestPeriod.WEEKLY, saturday, _SUNDAY, "Asia/Tokyo")
    assert not is_due(DigestPeriod.WEEKLY, saturday, _SUNDAY, "UTC")


def ran(operation: Operation, days: float, outcome: Outcome, **more: object) -> Run:
    """A run that ended so many days before Monday."""
    moment = _MONDAY - days * _DAY
    fields = {"environment": "prod", "database": "shop", **more}
    return Run(f"{operation}{days}", operation, moment, outcome, moment, **fields)  # type: ignore[arg-type]


def series(*alarms: Alarm, database: str = "shop") -> SeriesStatus:
    """The status of a database without backups."""
    nothing = dict.fromkeys(
        ("newest", "age", "size_change", "rows_change", "proven_at", "last_success",
         "last_failure", "next_run", "free_bytes", "days_left")
    )  # fmt: skip
    return SeriesStatus("prod", database, _HERE, alarms=alarms, **nothing)  # type: ignore[arg-type]


def context(section: NotificationsSection, now: datetime = _MONDAY) -> Context:
    """A context with these notifications, at a timestamp."""
    return Context(Configuration(notifications=section), {}, clock=lambda: now)


_GOOD, _BAD = Outcome.SUCCEEDED, Outcome.FAILED
_RUNS = [
    ran(Operation.BACKUP, 8, _GOOD, bytes=10_000_000),
    ran(Operation.BACKUP, 3, _GOOD, bytes=11_000_000, removed=2, freed=20_000_000),
    ran(Operation.BACKUP, 2, _BAD, exit_code=3),
    ran(Operation.BACKUP, 1, _GOOD, bytes=12_000_000, removed=1, freed=10_000_000),
    ran(Operation.BACKUP, 0.5, _GOOD, bytes=1_000_000, selection=("--table=a",)),
    ran(Operation.PROVE, 1, _GOOD, level=Level.PROVEN),
    ran(Operation.BACKUP, 1, _BAD, exit_code=9),
    ran(Operation.VERIFY, 1, _BAD, environment=None, database=None, exit_code=8),
    ran(Operation.VERIFY, 1, _GOOD, parts=2),
]


def test_all_of_a_week_is_in_it() -> None:
    """Runs by their outcomes, proofs, removals, growth, and what is wrong now, with its command."""
    alarm = Alarm(AlarmKind.TOO_OLD, "it is 30h old & <b>old</b>", True, "prod", "shop")  # noqa: FBT003
    report = StatusReport(_MONDAY, (series(alarm), series(database="quiet")))
    digest = digest_of(report, {_HERE: _RUNS}, _MONDAY - 7 * _DAY)
    section = NotificationsSection(digest=DigestPeriod.WEEKLY, page_url="https://w.example/b?a&b")
    message = message_of(digest, context(section))
    assert message.title.startswith("pgvow: weekly digest of 2 databases on ")
    assert message.title.endswith(": 1 thing is wrong")
    assert "failure" == message.type
    shop, quiet, strays, wrong, link = message.body.split("\n\n")[1:]
    assert [
        "prod shop",
        "Newest: there is no good backup",
        "Backup: 3 succeeded, 1 failed",
        "Prove: 1 succeeded",
        "Removed: 3 backups, 30.0 MB freed",
        "Grows: +20.0%, from 10.0 MB to 12.0 MB",
    ] == [line.strip() for line in shop.split("\n")]
    assert "Backup: none was made" in quiet
    assert "Prove: no backup has been proven yet" in quiet
    assert "Verify: 0 succeeded, 1 failed" in strays
    assert "pgvow history --env prod" == wrong.split("\n")[-1].strip()
    assert "https://w.example/b?a&b" == link
    assert message.html is not None
    assert "it is 30h old &amp; &lt;b&gt;old&lt;/b&gt;" in message.html
    assert '<a href="https://w.example/b?a&amp;b">' in message.html
    assert "<td>3 succeeded, 1 failed</td>" in message.html


def test_a_good_week_says_so() -> None:
    """In the subject, for whoever reads no further."""
    report = StatusReport(_MONDAY, (series(),))
    digest = digest_of(report, {_HERE: _RUNS[:2]}, _MONDAY - 7 * _DAY)
    message = message_of(digest, context(NotificationsSection(digest=DigestPeriod.WEEKLY)))
    assert ("info", True) == (message.type, message.title.endswith(": all is well"))
    assert "weekly digest of prod shop on " in message.title
    assert "Nothing is wrong now." in message.body


def sent_at(folder: Path, receiver: Receiver | int, now: datetime) -> list[str]:
    """Let a run end at a moment; the warnings."""
    port = receiver if isinstance(receiver, int) else receiver.port
    urls = (f"json://127.0.0.1:{port}/notify/text", f"json://127.0.0.1:{port}/notify/h?format=html")
    section = NotificationsSection(urls=urls, digest=DigestPeriod.WEEKLY, timeout=60)
    warnings: list[str] = []
    run = ran(Operation.BACKUP, 0, _GOOD)
    here = context(section, now)
    send_if_due(folder, run, here, Post(section, now, warnings.append), warnings.append)
    return warnings


def test_once_a_period_and_until_it_is_taken(tmp_path: Path) -> None:
    """The first run begins the period; the first of the next sends; a failure waits for the next.

    Text for a service of text, HTML for one of HTML, one message each.
    """
    History(tmp_path).finish(ran(Operation.BACKUP, 0.2, _GOOD, bytes=1 << 20))
    with receiving() as receiver:
        for moment in (_SUNDAY - _DAY, _SUNDAY):
            assert [] == sent_at(tmp_path, receiver, moment)
        assert [] == receiver.got
        receiver.status = 503
        assert 2 == len(sent_at(tmp_path, receiver, _MONDAY))
        receiver.status = 200
        for hours in (1, 5, 30):
            assert [] == sent_at(tmp_path, receiver, _MONDAY + timedelta(hours=hours))
        assert ["/notify/h", "/notify/text"] == sorted(
            path.split("?")[0] for path, _ in receiver.got
        )
        bodies = {path.split("?")[0]: body["message"] for path, body in receiver.got}
        assert "<table>" in bodies["/notify/h"]
        assert "<" not in bodies["/notify/text"]
        assert "    Backup: 2 succeeded" in bodies["/notify/text"].replace("\r", "")
        assert {"From 2026-11-21 23:30 to 2026-11-23 02:05 UTC."} == {
            line for line in bodies["/notify/text"].split("\n") if line.startswith("From")
        }
    assert 0o600 == (tmp_path / NAME).stat().st_mode & 0o777


def test_two_runs_at_once_send_one(tmp_path: Path) -> None:
    """Eight processes that end in the same moment: one of them sends it."""
    with receiving() as receiver:
        sent_at(tmp_path, receiver, _SUNDAY)
        with multiprocessing.get_context("spawn").Pool(8) as pool:
            pool.starmap(sent_at, [(tmp_path, receiver.port, _MONDAY)] * 8)
        assert 2 == len(receiver.got)  # one for each URL


@needs_root
def test_a_full_disk_sends_none_and_forgets_nothing(small_disk: Path) -> None:
    """A digest that cannot be written down would come again with each run: it waits for room."""
    failed = [json.dumps(["backup", "e" * 3800, "shop"])]
    stored = {"failed": failed, "alarms": {}, "waiting": [], "digest": _SUNDAY.isoformat()}
    (small_disk / NAME).write_text(json.dumps(stored))
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with receiving() as receiver:
        with pytest.raises(NoSpace):
            sent_at(small_disk, receiver, _MONDAY)
        assert [] == receiver.got
        assert stored == json.loads((small_disk / NAME).read_text())
        filler.unlink()
        sent_at(small_disk, receiver, _MONDAY)
        assert 2 == len(receiver.got)


def test_a_clock_that_was_wrong_begins_anew(tmp_path: Path) -> None:
    """A time in the future does not silence the digest until then."""
    with receiving() as receiver:
        sent_at(tmp_path, receiver, _MONDAY + 4000 * _DAY)
        sent_at(tmp_path, receiver, _SUNDAY)
        assert _SUNDAY.isoformat() == json.loads((tmp_path / NAME).read_text())["digest"]
        sent_at(tmp_path, receiver, _MONDAY)
        assert 2 == len(receiver.got)
