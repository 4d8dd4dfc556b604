"""Failures at night: exit code, history, notification, ping, metric and status agree."""

from __future__ import annotations

import json
import re
import signal
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.commands import Commands, settings_for
from tests.support.disks import needs_root
from tests.support.receiver import receiving
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.receiver import Receiver
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A service for one test."""
    with receiving() as found:
        yield found


def configured(folder: Path, receiver: Receiver, more: str = "") -> None:
    """Write a settings file with everything that speaks up."""
    (folder / "pgvow.toml").write_text(
        f"""
[notifications]
urls = ["json://127.0.0.1:{receiver.port}/notify/${{TOKEN}}"]
ping = "http://127.0.0.1:{receiver.port}/ping/${{TOKEN}}"
[metrics]
file = "pgvow.prom"
{more}
"""
    )
    (folder / ".env").write_text("TOKEN=s3cr3t\n")


def metric(folder: Path, name: str) -> float | None:
    """A metric's value."""
    text = (folder / "pgvow.prom").read_text()
    found = re.search(rf"^pgvow_{name}{{.*}} (.*)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def fails(
    commands: Commands, receiver: Receiver, code: int, *words: str | Path, **more: str
) -> str:
    """Run a backup that fails with a code, see that all agree, and return the cause."""
    before = len(receiver.messages())
    output = [str(word) for word in words if word == "--output-dir" or "/" in str(word)]
    done = commands.run(*words, **more)
    assert code == done.code, done.err
    run = commands.pgvow("history", "--json", *output).json[0]
    assert ("backup", "failed", code) == (run["operation"], run["outcome"], run["exit_code"])
    assert run["ended"] >= run["started"]
    (failure,) = (
        body
        for body in receiver.bodies()[before:]
        if "backup dev" in body["title"] and body["title"].endswith("failed")
    )
    assert f"on {socket.gethostname()} failed" in failure["title"]
    assert "failure" == failure["type"]
    assert 1 == (failure["title"] + failure["message"]).count(run["cause"].split("\n")[0])
    assert [f"1. {run['steps'][0]}"] == re.findall(r"^1\. .*$", failure["message"], re.MULTILINE)
    assert ["/ping/s3cr3t/start", "/ping/s3cr3t/fail"] == receiver.pings()[-2:]
    assert 1 == metric(commands.cwd, "last_run_failed")
    moment = metric(commands.cwd, "last_failure_timestamp_seconds")
    assert moment is not None
    status = commands.pgvow("status", "--json", *output)
    assert 12 == status.code
    alarms = [one for each in status.json["databases"] for one in each["alarms"]]
    assert any(run["cause"].split("\n")[0] in one["message"] for one in alarms)
    nagios = commands.pgvow("status", "--nagios", *output)
    assert (2, True) == (nagios.code, nagios.out.startswith("PGVOW CRITICAL - "))
    assert "s3cr3t" not in done.out + done.err + nagios.out + status.out
    return str(run["cause"])


def succeeds(commands: Commands, receiver: Receiver, *words: str | Path) -> None:
    """Run a backup that succeeds after one that failed, and see that all agree."""
    output = [str(word) for word in words if word == "--output-dir" or "/" in str(word)]
    done = commands.run("--space-factor", "0", *words)
    assert (0, "") == (done.code, done.err)
    run = commands.pgvow("history", "--json", *output).json[0]
    assert ("succeeded", 0) == (run["outcome"], run["exit_code"])
    assert run["bytes"] == metric(commands.cwd, "backup_size_bytes")
    assert "lock" in run["seconds"]
    (again,) = (body for body in receiver.bodies() if body["title"].endswith("works again"))
    assert "success" == again["type"]
    assert ["/ping/s3cr3t/start", "/ping/s3cr3t"] == receiver.pings()[-2:]
    assert 0 == metric(commands.cwd, "last_run_failed")
    assert 0 == commands.pgvow("status", "--quiet", *output).code


def test_an_unreachable_server_is_reported_once_until_it_recovers(
    server: TestServer, database: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Refused: 3, everywhere; twice is told once; and then it works again."""
    configured(tmp_path, receiver)
    commands = Commands(tmp_path, settings_for(server, database))
    fails(commands, receiver, 3, DEV_DB_HOST="127.0.0.1", DEV_DB_PORT="1")
    told = receiver.messages()
    assert 3 == commands.run(DEV_DB_HOST="127.0.0.1", DEV_DB_PORT="1").code
    assert told == receiver.messages()
    succeeds(commands, receiver)


def test_a_failed_dump_is_reported_and_keeps_the_good_backup(
    server: TestServer, database: str, tmp_path: Path, receiver: Receiver
) -> None:
    """A table stays locked: 7, everywhere, and the good backup from before is still the newest."""
    configured(tmp_path, receiver)
    commands = Commands(tmp_path, settings_for(server, database))
    with server.connect(database) as session:
        session.execute("CREATE TABLE held AS SELECT 1")
    first = commands.run("--space-factor", "0", "--json").json["backup_path"]
    with server.connect(database) as session, session.transaction():
        session.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        cause = fails(commands, receiver, 7, "--space-factor", "0", "--lock-wait-timeout", "1")
    assert "held" in cause
    (one,) = commands.pgvow("status", "--json").json["databases"]
    assert first == one["newest"]
    succeeds(commands, receiver)


@needs_root
def test_a_disk_full_midway_is_reported_everywhere(
    server: TestServer, database: str, tmp_path: Path, small_disk: Path, receiver: Receiver
) -> None:
    """Full midway: 5, everywhere; the history is on the same disk."""
    configured(tmp_path, receiver)
    commands = Commands(tmp_path, settings_for(server, database))
    with server.connect(database) as session:
        session.execute(
            "CREATE TABLE noise AS SELECT n, md5(n::text) || md5((-n)::text)"
            " FROM generate_series(1, 300000) AS n"
        )
    words = ("--output-dir", small_disk, "--space-factor", "0")
    fails(commands, receiver, 5, *words)
    with server.connect(database) as session:
        session.execute("DROP TABLE noise")
    succeeds(commands, receiver, "--output-dir", small_disk)


@needs_root
def test_a_disk_full_from_the_start_is_still_notified(
    server: TestServer, database: str, tmp_path: Path, small_disk: Path, receiver: Receiver
) -> None:
    """Not even a line fits: 5, the message and the metric all the same, and no words lost."""
    configured(tmp_path, receiver)
    commands = Commands(tmp_path, settings_for(server, database))
    with (small_disk / "filler").open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    done = commands.run("--output-dir", small_disk, "--space-factor", "0")
    assert 5 == done.code, done.err
    assert any(title.endswith("failed") for title in receiver.messages())
    assert 1 == metric(commands.cwd, "last_run_failed")


def test_a_stop_during_the_hook_keeps_the_backup_recorded(
    server: TestServer, database: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The backup was made, and stays so in the history; the run says that it was stopped."""
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\ntouch "{tmp_path}/there"\nexec sleep 600\n')
    script.chmod(0o755)
    configured(tmp_path, receiver, f'[hooks]\nafter = ["{script}"]')
    commands = Commands(tmp_path, settings_for(server, database))
    run = commands.start("--space-factor", "0")
    wait_until((tmp_path / "there").exists)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=600)
    assert 143 == run.returncode
    (recorded,) = commands.pgvow("history", "--json").json
    assert "succeeded" == recorded["outcome"]
    (listed,) = commands.run("--list", "--json").json
    assert "ok" == listed["status"]


def test_unreadable_settings_are_unknown_to_the_monitor(tmp_path: Path) -> None:
    """Settings that cannot be read: one line and 3, the plug-ins' word for it."""
    (tmp_path / "pgvow.toml").write_text("[nonsense]\n")
    done = Commands(tmp_path).pgvow("status", "--nagios")
    assert (3, 1) == (done.code, len(done.out.splitlines()))
    assert done.out.startswith("PGVOW UNKNOWN - ")


def test_an_undelivered_notification_is_sent_with_the_next_run(
    server: TestServer, database: str, tmp_path: Path, receiver: Receiver
) -> None:
    """A notification that fails is a warning, and comes with the next run; the backup is well."""
    configured(tmp_path, receiver)
    commands = Commands(tmp_path, settings_for(server, database))
    receiver.status = 500
    done = commands.run(DEV_DB_HOST="127.0.0.1", DEV_DB_PORT="1")
    assert 3 == done.code
    assert "a notification to json://… failed" in done.err
    assert "the ping to http://127.0.0.1/… failed: HTTP 500" in done.err
    assert "s3cr3t" not in done.err
    assert [] == receiver.messages()
    receiver.status = 200
    done = commands.run("--space-factor", "0")
    assert (0, "") == (done.code, done.err)
    titles = receiver.messages()
    assert "pgvow: backup dev" in titles[0]
    assert titles[0].endswith("failed")
    assert any(title.endswith("works again") for title in titles)


def test_notify_test_reaches_the_service_or_fails(tmp_path: Path, receiver: Receiver) -> None:
    """``notify test`` reaches the service, or says that it does not."""
    configured(tmp_path, receiver)
    commands = Commands(tmp_path)
    done = commands.pgvow("notify", "test", "--json")
    assert (0, True) == (done.code, done.json[0]["delivered"])
    (body,) = receiver.bodies()
    assert f"pgvow: a test from {socket.gethostname()}" == body["title"]
    assert "info" == body["type"]
    receiver.status = 503
    done = commands.pgvow("notify", "test")
    assert (1, "") == (done.code, done.err)
    assert "✗ json://…" in done.out
    (tmp_path / "pgvow.toml").unlink()
    assert 2 == commands.pgvow("notify", "test").code


def test_a_digest(server: TestServer, database: str, tmp_path: Path, receiver: Receiver) -> None:
    """The first run of a new month sends it, with the failure beside it that is told at once.

    One by hand is printed, or sent besides; the next run of the month sends none.
    """
    configured(tmp_path, receiver)
    settings = tmp_path / "pgvow.toml"
    text = settings.read_text().replace("ping =", 'digest = "monthly"\nping =')
    settings.write_text(text.replace("/notify/", "/notify/?format=html&"))
    commands = Commands(tmp_path, settings_for(server, database))
    commands.run("--space-factor", "0")
    assert [] == receiver.messages()
    state = tmp_path / "db/backups/.pgvow-notifications.json"
    stored = json.loads(state.read_text())
    since = datetime.fromisoformat(stored["digest"]) - timedelta(days=40)
    state.write_text(json.dumps({**stored, "digest": since.isoformat()}))
    assert 3 == commands.run(DEV_DB_HOST="127.0.0.1", DEV_DB_PORT="1").code
    failure, digest = receiver.bodies()
    assert failure["title"].endswith("failed")
    assert f"pgvow: monthly digest of dev {database} on " in digest["title"]
    assert digest["title"].endswith(": 1 thing is wrong")
    assert "failure" == digest["type"]
    assert "<td>1 succeeded, 1 failed</td>" in digest["message"]
    assert "<code>pgvow history --env dev</code>" in digest["message"]
    commands.run("--space-factor", "0")
    assert 3 == len(receiver.messages())  # it works again, and no other digest
    assert 0o600 == state.stat().st_mode & 0o777
    shown = commands.pgvow("notify", "--digest", "--dry-run", "--json").json
    assert "Backup: 2 succeeded, 1 failed" in shown["text"]
    assert shown["title"].endswith(": all is well now, 1 run failed")
    assert "warning" == shown["type"]
    printed = commands.pgvow("notify", "--digest", "--dry-run").out
    assert shown["title"] == printed.splitlines()[0]
    assert 3 == len(receiver.messages())
    sent = commands.pgvow("notify", "--digest", "--json")
    assert (0, [True]) == (sent.code, [each["delivered"] for each in sent.json])
    assert 4 == len(receiver.messages())
    assert 2 == commands.pgvow("notify").code
    assert 2 == commands.pgvow("notify", "test", "--digest").code


def test_a_failing_hook_cancels_before_and_warns_after(
    server: TestServer, database: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The facts reach them; one that fails before cancels, one that fails after is a warning."""
    script = tmp_path / "hook"
    script.write_text(
        '#!/bin/sh\ncat > "$1.json"\nenv | grep -a "^PGVOW_\\|PASSWORD" > "$1.env"\nexit "$2"\n'
    )
    script.chmod(0o755)

    def hooks(before: int, after: int) -> str:
        return (
            f'[hooks]\nbefore = ["{script}", "{tmp_path}/before", "{before}"]\n'
            f'after = ["{script}", "{tmp_path}/after", "{after}"]\n'
        )

    commands = Commands(tmp_path, settings_for(server, database))
    configured(tmp_path, receiver, hooks(0, 3))
    done = commands.run("--space-factor", "0", "--json")
    assert 0 == done.code
    assert "the hook after the backup" in done.err
    assert "ended with 3" in done.err
    told = json.loads((tmp_path / "after.json").read_text())
    assert ("backup", "succeeded", 0, database) == (
        told["operation"], told["outcome"], told["exit_code"], told["database"],
    )  # fmt: skip
    assert told["file"] in done.json["backup_path"]
    assert f"PGVOW_FILE={told['file']}" in (tmp_path / "after.env").read_text()
    assert isinstance(told["bytes"], int)
    for name, kept in (("path", "backup_path"), ("metadata_path", "metadata_path")):
        assert Path(told[name]).is_absolute()
        assert Path(told[name]).samefile(tmp_path / done.json[kept])
    assert Path(told["globals_path"]).name.endswith(".globals.sql")
    assert f"PGVOW_GLOBALS_PATH={told['globals_path']}" in (tmp_path / "after.env").read_text()
    assert "PASSWORD" not in (tmp_path / "after.env").read_text()
    assert "outcome" not in json.loads((tmp_path / "before.json").read_text())
    configured(tmp_path, receiver, hooks(4, 0))
    cause = fails(commands, receiver, 7, "--space-factor", "0")
    assert "the hook before the backup" in cause
    assert "ended with 4" in cause
    assert "failed" == json.loads((tmp_path / "after.json").read_text())["outcome"]


def test_a_hook_ends_with_a_killed_run(server: TestServer, database: str, tmp_path: Path) -> None:
    """After ``kill -9`` of a run that waits for its hook, the hook is gone as well."""
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid.new"\n'
                      f'mv "{tmp_path}/pid.new" "{tmp_path}/pid"\nexec sleep 3600\n')  # fmt: skip
    script.chmod(0o755)
    (tmp_path / "pgvow.toml").write_text(f'[hooks]\nbefore = ["{script}"]\n')
    run = Commands(tmp_path, settings_for(server, database)).start()
    wait_until((tmp_path / "pid").exists)
    hook = psutil.Process(int((tmp_path / "pid").read_text()))
    run.kill()
    run.communicate()
    hook.wait(60)
