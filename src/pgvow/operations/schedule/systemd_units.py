"""A timer and a service of systemd for each job: systemd.timer(5), systemd.time(7)."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cronsim import CronSim

from pgvow.errors import ConfigurationError, PgvowError
from pgvow.file_errors import refusals
from pgvow.operations.schedule.jobs import InstallResult, ScheduleEntry
from pgvow.operations.schedule.times import made_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pgvow.operations.context import Context
    from pgvow.operations.schedule.jobs import JobToInstall

_PREFIX = "pgvow-"
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""To read an expression; only the times at which it is due depend on the time to begin with."""
_FIRST_LINE = "# Written by pgvow schedule install: changes are lost when it is run again.\n"
_AT = "# at: "
_ZONE = "# zone: "
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_EVERY_DAY = frozenset(range(7))
_SUNDAY_TOO = 7
_DAY_FIELD, _WEEKDAY_FIELD = 2, 4
_SECONDS = 60


def unit_directory(environ: Mapping[str, str], *, system: bool) -> Path:
    """Return the directory of a user's or the system's units."""
    if system:
        return Path("/etc/systemd/system")
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")) / ".config")
    return Path(home) / "systemd/user"


def calendar_lines(at: str, timezone: str | None) -> list[str]:
    """Write a cron expression as OnCalendar expressions, two if cron means "or".

    Raises ConfigurationError for expressions that only cron has: the last day of a month.
    """
    parsed = CronSim(at, _ANY_TIME)
    days, weekdays = set(parsed.days), set(parsed.weekdays)
    strange = [day for day in (*days, *weekdays) if not isinstance(day, int) or day < 0]
    if strange:
        raise ConfigurationError(
            f"systemd has nothing for {at!r}", steps=["Use cron, or days by their numbers"]
        )
    names = {int(str(day)) % _SUNDAY_TOO for day in weekdays}
    weekday = "" if names >= _EVERY_DAY else ",".join(_DAYS[day] for day in sorted(names)) + " "
    hours, minutes = _list(parsed.hours, range(24)), _list(parsed.minutes, range(60))
    months, day = _list(parsed.months, range(1, 13)), _list(days, range(1, 32))
    end = f"{hours}:{minutes}:00" + (f" {timezone}" if timezone else "")
    if parsed.day_and:
        return [f"{weekday}*-{months}-{day} {end}"]
    if not weekday or day == "*":
        # A field that names every day does not narrow the other one, unless cron takes both.
        is_free = not (_is_any(at, _DAY_FIELD) or _is_any(at, _WEEKDAY_FIELD))
        return [f"{'' if is_free else weekday}*-{months}-{'*' if is_free else day} {end}"]
    return [f"*-{months}-{day} {end}", f"{weekday}*-{months}-* {end}"]


def gap_lines(at: str, timezone: str | None, year: int) -> list[str]:
    """Name the days on which systemd would pass over a job that falls into a gap of the clock."""
    end = f" {timezone}" if timezone else ""
    return [f"{moment:%Y-%m-%d %H:%M:%S}{end}" for moment in made_up(at, timezone, year)]


def _is_any(at: str, field: int) -> bool:
    """Return whether a field begins with ``*``: cron then takes both days together, not either."""
    return at.split()[field].startswith("*")


def _list(chosen: Iterable[int], every: range) -> str:
    values = sorted(chosen)
    if len(values) == len(every):
        return "*"
    return ",".join(f"{value:02}" for value in values)


def units_for(scheduled: JobToInstall, year: int) -> dict[str, str]:
    """Return the two files of a job: names and contents; ``year`` is that of ``gap_lines``."""
    scheduled.check()
    name = _PREFIX + scheduled.identity
    command = " ".join(map(_word, scheduled.command))
    environment = "".join(
        f"Environment={_quoted(f'{key}={value}')}\n" for key, value in scheduled.variables
    )
    lines = [
        *calendar_lines(scheduled.at, scheduled.timezone),
        *gap_lines(scheduled.at, scheduled.timezone, year),
    ]
    calendar = "".join(f"OnCalendar={line}\n" for line in lines)
    service = (
        f"{_FIRST_LINE}[Unit]\nDescription=pgvow {scheduled.job} {scheduled.env or ''}\n"
        "Wants=network-online.target\nAfter=network-online.target\n\n"
        f"[Service]\nType=oneshot\nWorkingDirectory={_percent(str(scheduled.directory))}\n"
        f"{environment}ExecStart={command}\n"
        f"StandardOutput=append:{_percent(str(scheduled.log))}\n"
        f"StandardError=append:{_percent(str(scheduled.log))}\nNice=10\nUMask=0077\n"
    )
    zone = f"{_ZONE}{scheduled.timezone}\n" if scheduled.timezone else ""
    timer = (
        f"{_FIRST_LINE}{_AT}{scheduled.at}\n{zone}[Unit]\n"
        f"Description=When pgvow {scheduled.job} {scheduled.env or ''} is due\n\n"
        f"[Timer]\n{calendar}Persistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )
    return {f"{name}.service": service, f"{name}.timer": timer}


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Quote one word of a command line, in which ``$`` would begin a variable."""
    return _quoted(text.replace("$", "$$"))


def _quoted(text: str) -> str:
    """Quote one word or assignment as systemd.syntax(7) has it."""
    escaped = _percent(text).replace("\\", "\\\\").replace('"', '\\"')
    return escaped if re.fullmatch(r"[\w@%+=:,./$-]+", escaped) else f'"{escaped}"'


def write_units(directory: Path, units: Mapping[str, str]) -> bool:
    """Write the files that are missing or differ; returns whether any was. Raises PgvowError."""
    changed = False
    with refusals("write", directory):
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            path = directory / name
            data = text.encode("utf-8", "surrogateescape")
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
                changed = True
    return changed


def installed_units(directory: Path) -> list[ScheduleEntry]:
    """Return our timers in a directory."""
    entries = []
    for path in sorted(directory.glob(f"{_PREFIX}*.timer")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.startswith(_FIRST_LINE):
            at = re.search(rf"^{_AT}(.*)$", text, re.MULTILINE)
            zone = re.search(rf"^{_ZONE}(.*)$", text, re.MULTILINE)
            service = path.with_suffix(".service")
            command = re.search(r"^ExecStart=(.*)$", _read(service), re.MULTILINE)
            where = re.search(r"^WorkingDirectory=(.*)$", _read(service), re.MULTILINE)
            identity = path.stem.removeprefix(_PREFIX)
            entries.append(
                ScheduleEntry(
                    str(directory),
                    identity,
                    at[1] if at else "?",
                    command[1] if command else "?",
                    where[1].replace("%%", "%") if where else "",
                    zone[1] if zone else None,
                )
            )
    return entries


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _remove_files(directory: Path, identities: Iterable[str]) -> None:
    """Remove the files of these jobs, if we wrote them; raises AccessDenied, PgvowError."""
    for identity in identities:
        for suffix in (".timer", ".service"):
            path = directory / f"{_PREFIX}{identity}{suffix}"
            if _read(path).startswith(_FIRST_LINE):
                with refusals("remove", path):
                    path.unlink()


def lingers() -> bool:
    """Return whether this user's timers run without a login: loginctl(1), enable-linger."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container the user may have no entry
        return False
    return (Path("/var/lib/systemd/linger") / user).exists()


def systemctl(words: list[str], environ: Mapping[str, str], *, system: bool) -> str | None:
    """Run systemctl; returns None if it succeeded, else its complaint, or that it is missing."""
    if shutil.which("systemctl") is None:
        return "there is no systemctl here"
    scope = ["--system"] if system else ["--user"]
    try:
        done = subprocess.run(
            ["systemctl", *scope, *words],  # noqa: S607 - wherever it is
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PgvowError(f"systemctl did not answer: {error}") from error
    return done.stderr.decode("utf-8", "replace").strip() or None if done.returncode else None


def install(scheduled: JobToInstall, context: Context, *, system: bool) -> InstallResult:
    """Write a service and a timer of systemd's, and enable the timer; raises PgvowError."""
    directory = unit_directory(context.environ, system=system)
    changed = write_units(directory, units_for(scheduled, context.clock().year))
    timer = f"pgvow-{scheduled.identity}.timer"
    environ = context.environ
    complaint = systemctl(["daemon-reload"], environ, system=system)
    complaint = complaint or systemctl(["enable", "--now", timer], environ, system=system)
    scope = "--system" if system else "--user"
    again = f"systemctl {scope} daemon-reload && systemctl {scope} enable --now {timer}"
    reason = " ".join((complaint or "").split())
    note = f"{reason}; where systemd runs, type: {again}" if reason else None
    if not system and not lingers():
        linger = "it runs only while you are logged in, until you type: loginctl enable-linger"
        note = f"{note}; {linger}" if note else linger
    return InstallResult(str(directory / timer), changed, note)


def remove(
    is_meant: Callable[[ScheduleEntry], bool], context: Context, *, system: bool
) -> list[str]:
    """Disable and remove the timers and services of jobs; returns their identities."""
    directory = unit_directory(context.environ, system=system)
    entries = installed_units(directory)
    meant = [entry.identity for entry in entries if is_meant(entry)]
    for identity in meant:
        systemctl(["disable", "--now", f"pgvow-{identity}.timer"], context.environ, system=system)
    _remove_files(directory, meant)
    systemctl(["daemon-reload"], context.environ, system=system)
    return meant
