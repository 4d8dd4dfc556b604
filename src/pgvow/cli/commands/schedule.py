"""``pgvow schedule``: have cron, systemd or ourselves run what must be run."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgvow.cli import options
from pgvow.cli.arguments import Parser, path
from pgvow.errors import ConfigurationError
from pgvow.settings.configuration import SCHEDULED_JOB, SECTIONS
from pgvow.settings.sections import Job
from pgvow.store import DirectoryStore, backups_in

if TYPE_CHECKING:
    import argparse

    from pgvow.operations.schedule.crontab import Installed
    from pgvow.operations.schedule.installed import Entry
    from pgvow.operations.schedule.scheduled import Scheduled

_TEXT = """\
install: write a line into the crontab, or a timer of systemd's, for one job. show: what is
installed, and the next five times. remove: take away what install wrote. run: run the jobs of
pgvow.toml in the foreground, for containers. verify: verify the backup whose last check is oldest.
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
    schedule = commands.add_parser(
        "schedule", help="cron, systemd, or in the foreground", description=_TEXT
    )
    schedule.add_argument("what", choices=("install", "show", "remove", "run", "verify"))
    schedule.add_argument("--at", metavar="CRON", help='five fields, as cron has it: "0 2 * * *"')
    schedule.add_argument("--every", choices=tuple(_EVERY), help="instead of --at, with --time")
    schedule.add_argument("--time", metavar="HH:MM", default="02:00", help="default: 02:00")
    schedule.add_argument(
        "--on", metavar="DAY", help="with --every week: monday …; with --every month: 1 to 28"
    )
    schedule.add_argument(
        "--job",
        choices=("backup", "prune", "verify", "prove"),
        help="what to run (default: backup; with remove: any)",
    )
    schedule.add_argument("--with", dest="with_", choices=("cron", "systemd"), default="cron")
    schedule.add_argument("--system", action="store_true", help="systemd: for the whole machine")
    schedule.add_argument("--timezone", metavar="ZONE", help="Europe/Berlin …; systemd only")
    schedule.add_argument("--all", dest="remove_all", action="store_true", help="remove: all")
    schedule.add_argument(
        "--log", metavar="FILE", type=path, help="default: pgvow.log beside the backups"
    )
    options.add(schedule, "env", "output_dir", "report")


def schedule(arguments: argparse.Namespace) -> int:
    """Install, show, remove, run or verify."""
    return {
        "install": _install,
        "show": _show,
        "remove": _remove,
        "run": _run,
        "verify": _verify,
    }[arguments.what](arguments)


def _install(arguments: argparse.Namespace) -> int:
    from pgvow.operations.schedule import crontab  # noqa: PLC0415 - for --help
    from pgvow.spool import Spool  # noqa: PLC0415

    scheduled = _scheduled(arguments)
    Spool(arguments.output_dir).prepare()  # the log is there, from the first time on
    if arguments.with_ == "systemd":
        return _install_units(arguments, scheduled)
    before = crontab.read_crontab()
    after = crontab.with_entry(before, scheduled)
    if after != before:
        crontab.write_crontab(after)
    return _report_installed(arguments, scheduled, "the crontab", after != before, None)


def _install_units(arguments: argparse.Namespace, scheduled: Scheduled) -> int:
    from pgvow.operations.schedule import systemd_units  # noqa: PLC0415

    system = arguments.system or os.geteuid() == 0
    directory = systemd_units.unit_directory(os.environ, system=system)
    changed = systemd_units.write_units(directory, systemd_units.units_for(scheduled))
    timer = f"pgvow-{scheduled.identity}.timer"
    said = systemd_units.systemctl(["daemon-reload"], system=system)
    said = said or systemd_units.systemctl(["enable", "--now", timer], system=system)
    scope = "--system" if system else "--user"
    again = f"systemctl {scope} daemon-reload && systemctl {scope} enable --now {timer}"
    heard = " ".join((said or "").split())
    note = f"{heard}; where systemd runs, type: {again}" if heard else None
    if not system and not systemd_units.lingers():
        linger = "it runs only while you are logged in, until you type: loginctl enable-linger"
        note = f"{note}; {linger}" if note else linger
    return _report_installed(arguments, scheduled, str(directory / timer), changed, note)


def _report_installed(
    arguments: argparse.Namespace,
    scheduled: Scheduled,
    where: str,
    changed: bool,  # noqa: FBT001
    note: str | None,
) -> int:
    from rich.text import Text  # noqa: PLC0415

    from pgvow.cli.console import printable  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415

    said = "is in" if changed else "was already in"
    lines = [
        f"{scheduled.identity} {said} {where}",
        f"  {scheduled.at}  {' '.join(scheduled.command)}",
        f"  log: {scheduled.log}",
    ]
    if note:
        lines.append(f"! {note}")
    print_result(
        arguments,
        lambda: {
            "id": scheduled.identity,
            "at": scheduled.at,
            "where": where,
            "changed": changed,
            "command": scheduled.command,
            "log": str(scheduled.log),
            "note": note,
        },
        lambda: Text("\n".join(map(printable, lines))),
        good=note is None,
    )
    return 0


def _scheduled(arguments: argparse.Namespace) -> Scheduled:
    """What is to be installed; raises ConfigurationError where it cannot be."""
    from pgvow.cli.configured import environment_of  # noqa: PLC0415
    from pgvow.operations.schedule.scheduled import Scheduled  # noqa: PLC0415

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
    output_dir = here / arguments.output_dir
    config = arguments.configuration.path
    named = ("PGVOW_PG_BIN",)  # cron has a bare PATH, and .env files are read all the same
    return Scheduled(
        job=Job(arguments.job or "backup"),
        at=_checked("--at", "cron", _at(arguments)),
        directory=here,
        log=here / arguments.log if arguments.log else output_dir / "pgvow.log",
        env=environment_of(arguments),
        output_dir=output_dir if "output_dir" in arguments.typed else None,
        config=here / config if config is not None and config != Path("pgvow.toml") else None,
        timezone=arguments.timezone and _checked("--timezone", "zone", arguments.timezone),
        variables=tuple((name, os.environ[name]) for name in named if os.environ.get(name)),
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


def _show(arguments: argparse.Namespace) -> int:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from pgvow.cli.console import printable  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.operations.schedule.installed import configured, installed  # noqa: PLC0415

    now = datetime.now(UTC)
    entries = [*installed(os.environ), *configured(arguments.configuration)]
    found = [_object(entry, now) for entry in entries]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Where", "Job", "At", "Next"):
        table.add_column(heading, overflow="fold")
    for one in found:
        cells = [Text(printable(one[name])) for name in ("where", "id", "at")]
        table.add_row(*cells, Text("\n".join(one["next"])))
    nothing = Text("Nothing is scheduled: pgvow schedule install --every day --time 02:00")
    print_result(arguments, lambda: found, lambda: table if found else nothing)
    return 0


def _object(entry: Entry, now: datetime) -> dict[str, Any]:
    following = [moment.isoformat(timespec="minutes") for moment in entry.next_times(now, _SHOWN)]
    return {
        "where": entry.where,
        "id": entry.identity,
        "at": entry.at,
        "command": entry.command,
        "next": following,
    }


def _remove(arguments: argparse.Namespace) -> int:
    from rich.text import Text  # noqa: PLC0415

    from pgvow.cli.configured import environment_of  # noqa: PLC0415
    from pgvow.cli.console import printable  # noqa: PLC0415
    from pgvow.cli.printing import print_result  # noqa: PLC0415
    from pgvow.operations.schedule import crontab, systemd_units  # noqa: PLC0415

    environment = environment_of(arguments)
    if not (arguments.remove_all or arguments.job or environment):
        raise ConfigurationError("say which: --env, --job, or --all")

    here = str(Path.cwd())

    def is_meant(one: Installed) -> bool:
        job, _, rest = one.identity.partition("-")
        name = rest.rpartition("-")[0]
        is_ours = arguments.remove_all or one.directory == here  # not those of other projects
        return is_ours and arguments.job in (None, job) and environment in (None, name)

    removed: list[str] = []
    if arguments.with_ == "cron":
        before = crontab.read_crontab()
        meant = [one.identity for one in crontab.installed_in(before) if is_meant(one)]
        if meant:
            crontab.write_crontab(crontab.without_entries(before, frozenset(meant)))
        removed += meant
    else:
        system = arguments.system or os.geteuid() == 0
        directory = systemd_units.unit_directory(os.environ, system=system)
        found = systemd_units.installed_units(directory)
        removed = [one.identity for one in found if is_meant(one)]
        for identity in removed:
            systemd_units.systemctl(["disable", "--now", f"pgvow-{identity}.timer"], system=system)
        systemd_units.remove_units(directory, removed)
        systemd_units.systemctl(["daemon-reload"], system=system)
    told = [f"removed {printable(one)}" for one in removed]
    told = told or ["nothing of ours was installed here"]
    print_result(arguments, lambda: removed, lambda: Text("\n".join(told)))
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from pgvow.cli.foreground import run_in_foreground  # noqa: PLC0415

    return run_in_foreground(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    """Verify, to its last byte, the backup whose last check is oldest."""
    from pgvow.cli.app import dispatch  # noqa: PLC0415
    from pgvow.cli.configured import directories_of, environment_of  # noqa: PLC0415
    from pgvow.cli.parser import parse_pgvow  # noqa: PLC0415
    from pgvow.errors import VerificationFailed  # noqa: PLC0415
    from pgvow.operations.health.alarms import longest_unchecked  # noqa: PLC0415

    directories = directories_of(arguments)
    backups = [
        backup for directory in directories for backup in backups_in(DirectoryStore(directory))
    ]
    backup = longest_unchecked(backups, environment_of(arguments))
    if backup is None:
        raise VerificationFailed(
            f"there is no backup to verify in {', '.join(map(str, directories))}",
            steps=["pgvow list"],
        )
    words = ["verify", str(backup.path), "--deep"]
    words += ["--json"] if arguments.json else []
    words += ["--quiet"] if arguments.quiet else []
    if arguments.config is not None:
        words += ["--config", str(arguments.config)]
    return dispatch(parse_pgvow(words))
