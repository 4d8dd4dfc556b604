"""Schedules: a real crontab, systemd's own judgement, and two minutes in the foreground."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from pgvow.errors import ConfigurationError
from pgvow.operations.schedule.crontab import (
    installed_in,
    lines_for,
    with_entry,
    without_entries,
)
from pgvow.operations.schedule.jobs import JobToInstall
from pgvow.operations.schedule.systemd_units import calendar_lines, gap_lines, units_for
from pgvow.settings import Job
from pgvow.spool import Spool
from pgvow.store import backups_in
from tests.support.commands import Commands, settings_for
from tests.support.programs import system_program
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.servers import TestServer

_SPOOL = Path("/var/spool/cron/crontabs")
_FOREIGN = [
    b"",
    b"MAILTO=me@example.org\n\n# a comment\n*/5 * * * * /bin/true\n",
    b"0 1 * * * echo caf\xe9 >> /tmp/x 2>&1\n",
    b"# pgvow: something that a person wrote\n1 1 * * * true\n",
    b"1 1 * * * crlf\r\n2 2 * * * x\r\n",
    b"@daily /bin/true\n# pgvow: backup-prod-01234567\n#0 2 * * * switched off by hand\n",
    b"# pgvow: backup-prod-01234567\n30 3 * * * /usr/local/bin/rotate -m pgvowel backup now\n",
]


def scheduled(folder: Path, **more: object) -> JobToInstall:
    """A nightly backup of production."""
    found = {"job": Job.BACKUP, "at": "0 2 * * *", "env": "prod", **more}
    return JobToInstall(directory=folder, log=folder / "pgvow.log", **found)  # type: ignore[arg-type]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """A shell in which crontab is the real one, with a spool of the test's own."""
    system_program("crontab", package="cron")
    if os.geteuid() != 0:
        pytest.skip("a spool of its own needs root")
    spool = tmp_path / "spool"
    spool.mkdir()
    status = _SPOOL.stat()
    os.chown(spool, status.st_uid, status.st_gid)
    spool.chmod(status.st_mode & 0o7777)
    script = f'mount --bind "{spool}" {_SPOOL} && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    return Commands(tmp_path, prefix=prefix)


def table(commands: Commands) -> bytes:
    """This user's crontab, by crontab itself."""
    done = subprocess.run([*commands.prefix, "crontab", "-l"], capture_output=True, check=False)
    return done.stdout


def test_crontab_entry_is_installed_replaced_and_removed(commands: Commands) -> None:
    """It takes our lines; twice changes nothing; another time replaces; removal leaves the rest."""
    foreign = b"MAILTO=me@example.org\n5 4 * * 0 echo 'caf\xe9 100\\%'\n"
    subprocess.run([*commands.prefix, "crontab", "-"], input=foreign, check=True)
    words = ("schedule", "install", "--env", "prod")
    first = commands.pgvow(*words, "--at", "0 2 * * *", "--json")
    assert (0, "", True) == (first.code, first.err, first.json["changed"])
    assert table(commands).startswith(foreign)
    assert 4 == table(commands).count(b"\n")
    assert not commands.pgvow(*words, "--at", "0  2 * * *", "--json").json["changed"]
    again = commands.pgvow(*words, "--every", "week", "--on", "monday", "--time", "3:07", "--json")
    assert "7 3 * * 1" == again.json["at"]
    assert 4 == table(commands).count(b"\n")
    commands.pgvow("schedule", "install", "--job", "prove", "--every", "month", "--on", "28")
    shown = commands.pgvow("schedule", "show", "--json").json
    assert [("7 3 * * 1", 5), ("0 2 28 * *", 5)] == [(one["at"], len(one["next"])) for one in shown]
    status = commands.pgvow("status", "--env", "prod", "--json").json["databases"]
    due = [datetime.fromisoformat(one["next_run"]) for one in status]
    assert [datetime.fromisoformat(shown[0]["next"][0])] == due
    elsewhere = ("status", "--env", "prod", "--json", "--output-dir", "elsewhere")
    assert [None] == [one["next_run"] for one in commands.pgvow(*elsewhere).json["databases"]]
    said = commands.pgvow("schedule", "remove", "--job", "prove")
    assert said.out.startswith("removed prove-auto-")
    assert ["backup"] == [one["id"].split("-")[0] for one in _shown(commands)]
    commands.pgvow("schedule", "remove", "--all")
    assert foreign == table(commands)


def _shown(commands: Commands) -> list[dict[str, str]]:
    found: list[dict[str, str]] = commands.pgvow("schedule", "show", "--json").json
    return found


@pytest.mark.parametrize("foreign", _FOREIGN)
def test_foreign_crontab_entries_are_unchanged(tmp_path: Path, foreign: bytes) -> None:
    """Byte for byte, whatever they are, before and after."""
    one = scheduled(tmp_path)
    there = with_entry(foreign, one)
    assert there.startswith(foreign)
    assert there == with_entry(there, one)
    more = there + b"9 9 * * * added later\n"
    later = with_entry(more, scheduled(tmp_path, at="5 5 * * *"))
    assert [("5 5 * * *", one.identity)] == [
        (found.at, found.identity) for found in installed_in(later)
    ]
    assert foreign + b"9 9 * * * added later\n" == without_entries(later, frozenset({one.identity}))


def test_a_foreign_job_below_our_mark_is_kept(tmp_path: Path) -> None:
    """Our job deleted, or a foreign one put above it: that stays, and ours is there once."""
    one = scheduled(tmp_path)
    mark, ours = lines_for(one).splitlines(keepends=True)
    foreign = b"30 3 * * * /usr/local/bin/rotate-something every night\n"
    assert mark + foreign == without_entries(mark + foreign, frozenset({one.identity}))
    there = with_entry(mark + foreign + ours, one)
    assert mark + foreign + lines_for(one) == there
    assert mark + foreign == without_entries(there, frozenset({one.identity}))


def test_a_job_in_two_schedulers(commands: Commands) -> None:
    """Cron and systemd for one job: install, show, doctor and status warn; remove takes both.

    What others wrote into either stays, and so does another job.
    """
    units = commands.cwd / "config/systemd/user"
    shell = Commands(
        commands.cwd, {"XDG_CONFIG_HOME": str(commands.cwd / "config")}, prefix=commands.prefix
    )
    foreign = b"MAILTO=me@example.org\n"
    subprocess.run([*commands.prefix, "crontab", "-"], input=foreign, check=True)
    shell.pgvow("schedule", "install", "--job", "prune", "--at", "0 3 * * *")
    words = ("schedule", "install", "--env", "prod", "--at", "0 2 * * *")
    assert None is shell.pgvow(*words, "--json").json["note"]
    assert "twice" not in shell.pgvow("schedule", "show").out
    code = "import os, sys; os.geteuid = lambda: 1000; from pgvow.cli import main; sys.exit(main())"
    done = shell._run(["-c", code, *words, "--with", "systemd"], 60, {})
    twice = f"backup of prod is scheduled twice: in the crontab and in {units}"
    remedy = "pgvow schedule remove --job backup --env prod"
    for said in (
        done.out,
        shell.pgvow("schedule", "show").out,
        shell.pgvow("doctor", "--env", "prod").out,
        shell.pgvow("status", "--env", "prod").out,
    ):
        assert twice in " ".join(said.split())
        assert remedy in " ".join(said.split())
    rows = shell.pgvow("schedule", "show", "--json").json
    assert [("prune", False), ("backup", True), ("backup", True)] == [
        (row["id"].split("-")[0], row["twice"]) for row in rows
    ]
    kinds = [
        alarm["kind"]
        for one in shell.pgvow("status", "--env", "prod", "--json").json["databases"]
        for alarm in one["alarms"]
    ]
    assert kinds.count("scheduled twice") == 1
    removed = shell.pgvow(*remedy.split()[1:])
    assert (0, 1) == (removed.code, removed.out.count("removed backup-prod-"))
    assert [] == list(units.iterdir())
    assert ["prune"] == [row["id"].split("-")[0] for row in _shown(shell)]
    assert table(shell).startswith(foreign)


def test_one_of_two_schedulers_can_be_removed(commands: Commands) -> None:
    """``remove --with cron`` leaves systemd's, for whoever moves from one to the other."""
    shell = Commands(
        commands.cwd, {"XDG_CONFIG_HOME": str(commands.cwd / "config")}, prefix=commands.prefix
    )
    words = ("schedule", "install", "--env", "prod", "--at", "0 2 * * *")
    shell.pgvow(*words)
    code = "import os, sys; os.geteuid = lambda: 1000; from pgvow.cli import main; sys.exit(main())"
    shell._run(["-c", code, *words, "--with", "systemd"], 60, {})
    shell.pgvow("schedule", "remove", "--with", "cron", "--env", "prod")
    (left,) = _shown(shell)
    assert left["where"].endswith("config/systemd/user")


def test_entries_of_other_projects_are_kept(commands: Commands) -> None:
    """Two folders, and two settings files of one: each has its own entry, and removes its own."""
    for folder, config in (("a", "one.toml"), ("a", "two.toml"), ("b", "one.toml")):
        place = commands.cwd / folder
        place.mkdir(exist_ok=True)
        (place / config).touch()
        shell = Commands(place, prefix=commands.prefix)
        words = ("--env", "prod", "--at", "0 2 * * *", "--config", config)
        assert 0 == shell.pgvow("schedule", "install", *words).code
    assert 3 == len(_shown(commands))
    Commands(commands.cwd / "a", prefix=commands.prefix).pgvow("schedule", "remove", "--env=prod")
    (left,) = _shown(commands)
    assert str(commands.cwd / "b") in left["command"]
    commands.pgvow("schedule", "remove", "--all")
    assert [] == _shown(commands)


_names = st.text(st.characters(exclude_characters="\n\r\0/", exclude_categories=["Cs"]), min_size=1)


@given(_names)
@settings(max_examples=60)
def test_the_crontab_line_runs_pgvow_in_this_directory(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """As cron reads it, /bin/sh runs our program in this directory with these words."""
    folder = tmp_path_factory.mktemp("cron") / ("d" + name[:40])
    try:
        folder.mkdir()
    except OSError:
        return
    one = scheduled(folder, output_dir=folder / "a 'b' $c %d", variables=(("X", name),))
    line = os.fsdecode(lines_for(one).split(b"\n", 1)[1].removesuffix(b"\n"))
    command = line.split(None, 5)[5].replace("\\%", "%")
    probe = "import json, os, sys; print(json.dumps([os.getcwd(), os.environ['X'], sys.argv[1:]]))"
    script = folder / "probe.py"
    script.write_text(probe)
    command = command.replace("-m pgvow", "probe.py", 1)
    subprocess.run(["/bin/sh", "-c", command], check=True)
    said = json.loads(one.log.read_text())
    words = ["backup", "--env", "prod", "--output-dir", str(one.output_dir), "--quiet"]
    assert [str(folder), name, words] == said


def test_a_line_break_in_a_crontab_line_is_refused(tmp_path: Path) -> None:
    """A line break would be a second job: refused."""
    with pytest.raises(ConfigurationError, match="line break"):
        lines_for(scheduled(tmp_path / "a\n* * * * * rm"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "say when"),
        (("--at", "0 2 * * *", "--every", "day"), "say when"),
        (("--at", "0 2 * *"), "is no cron expression"),
        (("--at", "0 0 2 * * *"), "five fields"),
        (("--every", "day", "--time", "25:00"), "is no time"),
        (("--every", "week", "--on", "moonday"), "is none of"),
        (("--every", "month", "--on", "31"), "1 to 28"),
        (("--every", "day", "--on", "monday"), "goes with"),
        (("--every", "day", "--timezone", "Europe/Berlin"), "no time zone that works everywhere"),
    ],
)
def test_invalid_schedules_are_refused_without_writing(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    """With a valid example; nothing is written."""
    done = Commands(tmp_path).pgvow("schedule", "install", *words)
    assert 2 == done.code
    assert complaint in done.err


def _systemd_analyze() -> str:
    return system_program("systemd-analyze", package="systemd")


def elapses(line: str, begin: datetime) -> list[str]:
    """When systemd says that a calendar line is due, 40 times, in UTC."""
    done = subprocess.run(
        [_systemd_analyze(), "calendar", "--iterations=40", f"--base-time={begin:%Y-%m-%d} UTC",
         line],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found = [part.split(": ", 1)[1] for part in done.stdout.splitlines() if ": " in part
             and part.strip().startswith(("Next elapse", "Iter", "Iteration"))]  # fmt: skip
    return [text for text in found if text.endswith(" UTC")]  # a day that is over is due "never"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("at", ["0 2 * * *", "15 2 * * *", "30 2 * * *", "0 3 * * *", "45 1 * * *"])
def test_systemd_runs_a_daily_job_once_a_day_across_dst(zone: str, at: str) -> None:
    """A daily job runs once on each day by our units, even if the clock skips its hour."""
    for month in (3, 4, 9, 10, 11):
        begin = datetime(2027, month, 1, tzinfo=UTC)
        lines = [*calendar_lines(at, zone), *gap_lines(at, zone, 2027)]
        due = {text for line in lines for text in elapses(line, begin)}
        moments = sorted(
            datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC) for text in due
        )
        days = [moment.astimezone(ZoneInfo(zone)).date() for moment in moments]
        days = [day for day in days if begin.date() < day <= begin.date() + timedelta(days=35)]
        assert [begin.date() + timedelta(days=number) for number in range(1, 36)] == days


@pytest.mark.parametrize(
    "at",
    ["0 2 * * *", "*/15 * * * *", "5 4 1,15 * *", "30 3 * * 1-5", "0 0 1 1 *", "7 */6 * 2-11 sun",
     "0 5 13 * 5", "0 5 */2 * 1", "0 2 1 * 0-6", "0 2 1-31 * 1", "0 2 1 * *", "0 2 * * 1"],
)  # fmt: skip
def test_systemd_calendar_is_due_when_cron_is(at: str) -> None:
    """systemd-analyze takes our calendar lines, and is due when cron is, 20 times over."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    due = {text for line in calendar_lines(at, "UTC") for text in elapses(line, begin)}
    simulated = CronSim(at, begin)
    expected = [f"{next(simulated):%a %Y-%m-%d %H:%M:%S} UTC" for _ in range(20)]
    assert set(expected) <= due
    written = "%a %Y-%m-%d %H:%M:%S UTC"
    last = max(datetime.strptime(one, written) for one in expected)  # noqa: DTZ007
    early = {one for one in due if datetime.strptime(one, written) <= last}  # noqa: DTZ007
    assert set(expected) == early


def test_last_day_of_month_is_refused_for_systemd() -> None:
    """The last day of a month is cronsim's own; it is refused and not guessed."""
    with pytest.raises(ConfigurationError, match="systemd has nothing"):
        calendar_lines("0 2 L * *", None)


@pytest.mark.parametrize(
    "name", ["plain", "with space", "per%cent", 'quo"te', "dol$lar", "a=b$c", "é"]
)
def test_systemd_analyze_accepts_the_units(tmp_path: Path, name: str) -> None:
    """systemd-analyze verify has nothing to say of them, whatever the directory is called."""
    folder = tmp_path / name
    folder.mkdir()
    units = tmp_path / "units"
    units.mkdir()
    one = scheduled(
        folder, output_dir=folder / "b", timezone="Europe/Berlin", variables=(("X", "a b$c%d"),)
    )
    for file, text in units_for(one, 2027).items():
        (units / file).write_text(text)
    done = subprocess.run(
        [_systemd_analyze(), "verify", "--man=no", *map(str, units.iterdir())],
        capture_output=True, text=True, check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/system"},
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "pgvow-" in line]
    assert (0, []) == (done.returncode, ours), done.stderr


def test_user_units_are_written_once_and_removed_without_foreign_ones(tmp_path: Path) -> None:
    """Written once, shown, and removed; units that we did not write stay."""
    units = tmp_path / "config/systemd/user"
    units.mkdir(parents=True)
    foreign = units / "pgvow-mine.timer"
    foreign.write_text("[Timer]\n")
    commands = Commands(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")})
    code = "import os, sys; os.geteuid = lambda: 1000; from pgvow.cli import main; sys.exit(main())"
    words = ("--with", "systemd", "--env", "prod", "--at", "0 2 * * *", "--timezone", "Asia/Tokyo")
    for changed in (True, False):
        done = commands._run(["-c", code, "schedule", "install", *words, "--json"], 60, {})
        assert (0, changed) == (done.code, done.json["changed"]), done.err
    assert 3 == len(list(units.iterdir()))
    shown = commands.pgvow("schedule", "show", "--json").json
    (ours,) = (one for one in shown if str(units) == one["where"])
    assert ("0 2 * * *", 5) == (ours["at"], len(ours["next"]))
    assert all(moment.endswith("T02:00+09:00") for moment in ours["next"])
    # On the screen in UTC, as every time there.
    assert 5 == commands.pgvow("schedule", "show").out.count("T17:00:00Z")
    commands._run(["-c", code, "schedule", "remove", "--with", "systemd", "--all"], 60, {})
    assert [foreign] == list(units.iterdir())


@pytest.mark.majors(18)
def test_foreground_schedule_runs_each_minute_and_drains_on_sigterm(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """In the foreground, every minute: the files are there; SIGTERM drains, and ends it with 0."""
    (tmp_path / "pgvow.toml").write_text(
        "[backup]\nspace_factor = 0\n[retention]\nkeep_last = 9\n"
        '[[schedule.jobs]]\njob = "backup"\nenv = "dev"\nat = "* * * * *"\n'
        '[[schedule.jobs]]\njob = "verify"\nat = "* * * * *"\n'
    )
    commands = Commands(tmp_path, settings_for(server, database))
    run = subprocess.Popen(
        [sys.executable, "-m", "pgvow", "schedule", "run"], cwd=tmp_path,
        env=commands._environment({}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        store = Spool(tmp_path / "db/backups")
        wait_until(lambda: len(backups_in(store.store)) >= 2, 300)
        assert 9 == commands.pgvow("schedule", "run").code
    finally:
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=300)
    assert 0 == run.returncode, said
    assert said.count("backup dev ended with 0") == len(backups_in(store.store))
    assert "verify  ended with 0" in said
    assert "stopped" in said.splitlines()[-1]
    moments = sorted(backup.timestamp for backup in backups_in(store.store) if backup.timestamp)
    assert timedelta(seconds=30) < moments[1] - moments[0] < timedelta(seconds=90)
    outcomes = {run["outcome"] for run in commands.pgvow("history", "--json").json}
    assert {"succeeded"} == outcomes
    assert ["decoded"] == list({str(backup.level) for backup in backups_in(store.store)})
