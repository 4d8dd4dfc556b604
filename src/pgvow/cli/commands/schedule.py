"""``pgvow schedule``: have cron, systemd or ourselves run jobs."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from pgvow.cli import options
from pgvow.cli.arguments import Parser, Topic, path
from pgvow.cli.call import call_of
from pgvow.cli.commands import verify
from pgvow.cli.console import WARNING
from pgvow.cli.parser import parse_pgvow
from pgvow.cli.table import Column, FittedTable
from pgvow.cli.words import moment
from pgvow.errors import ConfigurationError, VerificationFailed
from pgvow.operations.health.alarms import longest_unchecked
from pgvow.operations.list import ListOptions, list_backups
from pgvow.operations.schedule import crontab, systemd_units
from pgvow.operations.schedule.installed import (
    configured,
    installed,
    jobs_twice,
    remove_everywhere,
)
from pgvow.operations.schedule.jobs import JobToInstall
from pgvow.operations.schedule.scheduler import run_in_foreground
from pgvow.quoted_texts import printable
from pgvow.retention import acknowledged
from pgvow.settings import Job
from pgvow.settings.configuration import SCHEDULED_JOB, SECTIONS
from pgvow.spool import Spool

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pgvow.cli.call import Call
    from pgvow.cli.report import Report
    from pgvow.operations.schedule.jobs import InstallResult, ScheduleEntry

_TEXT = """\
install: write a line into the crontab, or a timer of systemd's, for one job. show: what is
installed, and the next five times. remove: take away what install wrote, from cron and from
systemd. run: run the jobs of pgvow.toml in the foreground, for containers. verify: verify the
backup whose last check is oldest.
"""
_EVERY = {
    "hour": "{minute} * * * *",
    "day": "{minute} {hour} * * *",
    "week": "{minute} {hour} * * {weekday}",
    "month": "{minute} {hour} {day} * *",
}
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_LAST_SAFE_DAY = 28
_SHOWN = 5


def add_schedule(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    schedule = commands.add_parser("schedule", description=_TEXT)
    schedule.add_argument("what", choices=("install", "show", "remove", "run", "verify"))
    schedule.topic(Topic.WHAT).add_argument(
        "--at", metavar="CRON", help='five fields, as cron has it: "0 2 * * *"'
    )
    schedule.topic(Topic.WHAT).add_argument(
        "--every", choices=tuple(_EVERY), help="instead of --at, with --time"
    )
    schedule.topic(Topic.WHAT).add_argument(
        "--time", metavar="HH:MM", default="02:00", help="default: 02:00"
    )
    schedule.topic(Topic.WHAT).add_argument(
        "--on", metavar="DAY", help="with --every week: monday …; with --every month: 1 to 28"
    )
    schedule.topic(Topic.WHAT).add_argument(
        "--job",
        choices=("backup", "prune", "verify", "prove"),
        help="what to run (default: backup; with remove: any)",
    )
    schedule.topic(Topic.WHERE).add_argument(
        "--with",
        dest="with_",
        choices=("cron", "systemd"),
        help="install: by which (default: cron); remove: from which alone (default: both)",
    )
    schedule.topic(Topic.WHERE).add_argument(
        "--system", action="store_true", help="systemd: for the whole machine"
    )
    schedule.topic(Topic.WHAT).add_argument(
        "--timezone", metavar="ZONE", help="Europe/Berlin …; systemd only"
    )
    schedule.topic(Topic.WHAT).add_argument(
        "--all", dest="remove_all", action="store_true", help="remove: all"
    )
    schedule.topic(Topic.OUTPUT).add_argument(
        "--log", metavar="FILE", type=path, help="default: pgvow.log beside the backups"
    )
    options.add(schedule, "env", "output_dir", "report")


def run(arguments: argparse.Namespace, report: Report) -> int:
    """Install, show, remove, run or verify; returns the exit code."""
    call = call_of(arguments)
    match arguments.what:
        case "install":
            _install(call, report)
        case "show":
            _show(call, report)
        case "remove":
            _remove(call, report)
        case "run":
            _run(call)
        case "verify":
            return _verify(call, report)
    return 0


def _install(call: Call, report: Report) -> None:
    scheduled = _scheduled(call)
    Spool(call.output_dir).prepare()  # the log is there, from the first time on
    if call.arguments.with_ == "systemd":
        result = systemd_units.install(scheduled, call.context, system=_is_for_system(call))
    else:
        result = crontab.install(scheduled, call.context)
    result = _with_other(result, scheduled, call)
    report.print(
        lambda: {
            "id": scheduled.identity,
            "at": scheduled.at,
            "where": result.where,
            "changed": result.changed,
            "command": scheduled.command,
            "log": str(scheduled.log),
            "note": result.note,
        },
        lambda: _installed_text(scheduled, result),
        good=result.note is None,
    )


def _with_other(result: InstallResult, scheduled: JobToInstall, call: Call) -> InstallResult:
    """Add to the note that the same job is installed by another scheduler as well."""
    for job in jobs_twice(installed(call.context)):
        if job.identity == scheduled.identity:
            text = f"{job.complaint}; {job.remedy} takes both away, then install one"
            return replace(result, note=f"{result.note}; {text}" if result.note else text)
    return result


def _is_for_system(call: Call) -> bool:
    return bool(call.arguments.system) or os.geteuid() == 0


def _installed_text(scheduled: JobToInstall, result: InstallResult) -> Text:
    verb = "is in" if result.changed else "was already in"
    lines = [
        f"{scheduled.identity} {verb} {result.where}",
        f"  {scheduled.at}  {' '.join(scheduled.command)}",
        f"  log: {scheduled.log}",
    ]
    if result.note:
        lines.append(f"! {result.note}")
    return Text("\n".join(map(printable, lines)))


def _scheduled(call: Call) -> JobToInstall:
    """Return the job to install; raises ConfigurationError if it cannot be installed."""
    arguments = call.arguments
    if arguments.timezone and arguments.with_ != "systemd":
        raise ConfigurationError(
            "cron has no time zone that works everywhere",
            steps=[
                "Give the time in the zone of this machine, and leave --timezone out",
                "Or use systemd: --with systemd --timezone ZONE",
                "Or pgvow itself: [schedule] timezone in pgvow.toml, and pgvow schedule run",
            ],
        )
    here = Path.cwd()
    output_dir = here / call.output_dir
    config = call.context.configuration.path
    named = ("PGVOW_PG_BIN",)  # cron has a bare PATH, and .env files are read all the same
    environ = call.context.environ
    return JobToInstall(
        job=Job(arguments.job or "backup"),
        at=_checked("--at", "cron", _at(arguments)),
        directory=here,
        log=here / arguments.log if arguments.log else output_dir / "pgvow.log",
        env=call.environment,
        output_dir=output_dir if "output_dir" in arguments.typed else None,
        config=here / config if config is not None and config != Path("pgvow.toml") else None,
        timezone=arguments.timezone and _checked("--timezone", "zone", arguments.timezone),
        variables=tuple((name, environ[name]) for name in named if environ.get(name)),
    )


def _checked(option: str, kind: str, value: str) -> str:
    declared = SCHEDULED_JOB["at"] if kind == "cron" else SECTIONS["schedule"]["timezone"]
    try:
        return str(declared.kind.of_value(value))
    except ValueError as error:
        raise ConfigurationError(
            f"{option}: {value!r} {error}", steps=[f"For example {option} {declared.example}"]
        ) from None


def _at(arguments: argparse.Namespace) -> str:
    if bool(arguments.at) == bool(arguments.every):
        raise ConfigurationError(
            "say when: --at or --every",
            steps=['--at "0 2 * * *"', "or --every day --time 02:00"],
        )
    if arguments.at:
        return " ".join(arguments.at.split())
    time = _TIME.fullmatch(arguments.time)
    if time is None:
        raise ConfigurationError(f"--time: {arguments.time!r} is no time such as 02:00")
    on = (arguments.on or "").lower()
    weekday, day = 0, 1
    if arguments.every == "week" and on:
        if on not in _WEEKDAYS:
            raise ConfigurationError(f"--on: {on!r} is none of {', '.join(_WEEKDAYS)}")
        weekday = _WEEKDAYS.index(on)
    elif arguments.every == "month" and on:
        if not (on.isascii() and on.isdecimal() and 1 <= int(on) <= _LAST_SAFE_DAY):
            raise ConfigurationError(f"--on: {on!r} is none of 1 to 28, which every month has")
        day = int(on)
    elif on:
        raise ConfigurationError("--on goes with --every week or --every month")
    return _EVERY[arguments.every].format(
        minute=int(time[2]), hour=int(time[1]), weekday=weekday, day=day
    )


def _show(call: Call, report: Report) -> None:
    now = call.context.clock()
    ours = list(installed(call.context))
    twice = jobs_twice(ours)
    rows = [
        {**_object(entry, now), "twice": any(job.identity == entry.identity for job in twice)}
        for entry in (*ours, *configured(call.context.configuration))
    ]
    notes = [f"! {job.complaint}; in its directory, {job.remedy} takes both away" for job in twice]
    lines = [Text(printable(note), style=WARNING) for note in notes]
    report.print(lambda: rows, lambda: Group(_table(rows), *lines), good=not twice)


def _object(entry: ScheduleEntry, now: datetime) -> dict[str, Any]:
    following = [due.isoformat(timespec="minutes") for due in entry.next_times(now, _SHOWN)]
    return {
        "where": entry.where,
        "id": entry.identity,
        "at": entry.at,
        "command": entry.command,
        "next": following,
    }


def _table(rows: Sequence[dict[str, Any]]) -> RenderableType:
    if not rows:
        return Text("Nothing is scheduled: pgvow schedule install --every day --time 02:00")
    columns = (
        Column("Where", drop=1),
        Column("Job"),
        Column("At"),
        Column("Next", drop=2, is_below=True),
    )
    cells = []
    for row in rows:
        known = [printable(row[name]) for name in ("where", "id", "at")]
        due = [moment(datetime.fromisoformat(each)) for each in row["next"]]
        cells.append([*known, due[0] if due else ""])
        cells += [["", "", "", each] for each in due[1:]]
    return FittedTable(columns, cells)


def _remove(call: Call, report: Report) -> None:
    arguments, environment = call.arguments, call.environment
    if not (arguments.remove_all or arguments.job or environment):
        raise ConfigurationError("say which: --env, --job, or --all")
    here = str(Path.cwd())

    def is_meant(entry: ScheduleEntry) -> bool:
        is_ours = arguments.remove_all or entry.directory == here  # not those of other projects
        return is_ours and (
            arguments.job in (None, entry.job) and environment in (None, entry.environment)
        )

    if arguments.with_ == "cron":
        removed = crontab.remove(is_meant, call.context)
    elif arguments.with_ == "systemd":
        removed = systemd_units.remove(is_meant, call.context, system=_is_for_system(call))
    else:
        removed = remove_everywhere(is_meant, call.context)
    lines = [f"removed {printable(identity)}" for identity in removed]
    lines = lines or ["nothing of ours was installed here"]
    report.print(lambda: removed, lambda: Text("\n".join(lines)))


def _run(call: Call) -> None:
    def say(text: str) -> None:
        if not call.arguments.quiet:
            now = moment(call.context.clock())
            print(f"{now} {printable(text)}", file=sys.stderr, flush=True)

    is_typed = "output_dir" in call.arguments.typed
    run_in_foreground(call.output_dir, call.context, say=say, is_typed=is_typed)


def _verify(call: Call, report: Report) -> int:
    """Verify, to its last byte, the backup whose last check is oldest."""
    directories = call.directories
    now = call.context.clock()
    listed = list_backups(directories, ListOptions(), call.context)
    unknown = [each for each in listed if acknowledged(each, now) is None]
    backup = longest_unchecked(unknown, call.environment)
    if backup is None:
        raise VerificationFailed(
            f"there is no backup to verify in {', '.join(map(str, directories))}",
            steps=["pgvow list"],
        )
    words = ["verify", str(backup.path), "--deep"]
    words += ["--json"] if report.as_json else []
    words += ["--quiet"] if report.quiet else []
    if call.arguments.config is not None:
        words += ["--config", str(call.arguments.config)]
    return verify.run(parse_pgvow(words), report)
