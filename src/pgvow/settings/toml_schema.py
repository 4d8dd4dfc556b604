"""Every key of ``pgvow.toml``: what it takes, what it means. The documents are made from this."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from pgvow import defaults
from pgvow.model import MOST_JOBS, Compress
from pgvow.settings.configuration import Event, Job
from pgvow.settings.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from enum import StrEnum

    Member = TypeVar("Member", bound=StrEnum)

ENVIRONMENT_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_CRON_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Key:
    """One key: ``parse`` raises ValueError with what is wrong, in words that end a sentence."""

    parse: Callable[[Any], Any]
    default: str
    meaning: str
    example: str


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("is not a text")
    return value


def _path(value: Any) -> Path:
    return Path(_text(value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")  # noqa: TRY004 - told to a user
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("is not a whole number of 0 or more")
    return value


def _jobs(value: Any) -> int | str:
    if value == "auto":
        return "auto"
    if not _whole(value) or value > MOST_JOBS:
        raise ValueError(f"is not a whole number of 1 to {MOST_JOBS}, or auto")
    return int(value)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < float("inf"):
        raise ValueError("is not a number of 0 or more")
    return float(value)


def _positive(value: Any) -> float:
    number = _number(value)
    if not number:
        raise ValueError("is not a number above 0")
    return number


def _share(value: Any) -> float:
    share = _number(value)
    if not 0 < share <= 1:
        raise ValueError("is not a share, such as 0.4 for 40 %")
    return share


def _duration(value: Any) -> timedelta:
    return parse_duration(_text(value))


def _compress(value: Any) -> Compress:
    return Compress.parse(_text(value))


def _engine(value: Any) -> str:
    if value not in ("parallel", "pg_dump"):
        raise ValueError("is neither parallel nor pg_dump")
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("is not a list of texts")  # noqa: TRY004 - told to a user
    return tuple(map(_text, value))


def _command(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('is not a list such as ["/usr/bin/program", "argument"]')  # noqa: TRY004
    return tuple(map(_text, value))


def _one_of(kind: type[Member], value: Any) -> Member:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"is none of {', '.join(kind)}") from None


def _job(value: Any) -> Job:
    return _one_of(Job, value)


def _events(value: Any) -> frozenset[Event]:
    return frozenset(_one_of(Event, one) for one in _texts(value))


def _zone(value: Any) -> str:
    try:
        ZoneInfo(_text(value))
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone, such as Europe/Berlin or UTC") from None
    return str(value)


def _cron(value: Any) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - with cronsim, which few need

    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    try:
        CronSim(_text(value), datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error}") from None
    if len(value.split()) != _CRON_FIELDS:
        raise ValueError("is not a cron expression of five fields, such as 0 2 * * *")
    return str(value)


def _environment(value: Any) -> str:
    if not ENVIRONMENT_NAME.fullmatch(_text(value)):
        raise ValueError("is no environment's name: small letters, digits and hyphens")
    return str(value)


def _variable(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", _text(value)):
        raise ValueError("is no name of variables")
    return str(value)


_PATTERNS = "no patterns"
BACKUP = {
    "jobs": Key(_jobs, str(defaults.JOBS), "workers that copy into the one file", '"auto"'),
    "engine": Key(_engine, "by `jobs`", "`pg_dump` or `parallel`", '"pg_dump"'),
    "compress": Key(
        _compress, '"gzip"', "`gzip`, `gzip:1-9`, `zstd`, `zstd:1-22`, `none`", '"zstd:3"'
    ),
    "inspect": Key(_flag, "true", "read the dump back to its last byte and compare", "true"),
    "statistics": Key(
        _flag, "false", "keep the planner's statistics too (pg_dump 18 and newer)", "true"
    ),
    "globals": Key(_flag, "true", "keep roles and tablespaces beside the dump", "true"),
    "space_factor": Key(
        _number,
        f"{defaults.SPACE_FACTOR:g}",
        "free space required, in sizes of the database",
        "1.5",
    ),
    "lock_wait_timeout": Key(
        _number,
        f"{defaults.LOCK_WAIT_SECONDS:g}",
        "seconds to try for the locks on all tables",
        "30",
    ),
    "stall_timeout": Key(
        _duration, '"15m"', "end a run after so long without a sign of progress", '"30m"'
    ),
    "run_timeout": Key(_duration, "none", "end a backup that takes longer", '"6h"'),
    "schema": Key(_texts, _PATTERNS, "only schemas that match", '["public"]'),
    "exclude_schema": Key(_texts, _PATTERNS, "leave out schemas that match", '["scratch*"]'),
    "table": Key(_texts, _PATTERNS, "only tables that match", '["orders"]'),
    "exclude_table": Key(_texts, _PATTERNS, "leave out tables that match", '["cache_*"]'),
    "exclude_table_data": Key(_texts, _PATTERNS, "leave out the rows of these", '["sessions"]'),
}
RETENTION = {
    "keep_last": Key(_whole, str(defaults.KEEP), "keep the newest N", "3"),
    "keep_hourly": Key(
        _whole, str(defaults.KEEP), "keep the newest of each of the last N hours with one", "24"
    ),
    "keep_daily": Key(_whole, str(defaults.KEEP), "the same for days, in UTC", "7"),
    "keep_weekly": Key(_whole, str(defaults.KEEP), "the same for ISO weeks", "4"),
    "keep_monthly": Key(_whole, str(defaults.KEEP), "the same for months", "12"),
    "keep_yearly": Key(_whole, str(defaults.KEEP), "the same for years", "5"),
    "keep_within": Key(
        _duration, "none", "keep all at most so much older than the newest", '"30d"'
    ),
    "prune_after_backup": Key(_flag, "false", "prune after each successful backup", "true"),
}
STATUS = {
    "max_age": Key(
        _duration,
        f'"{defaults.hours(defaults.MAX_AGE)}"',
        "how old the newest backup may be",
        '"26h"',
    ),
    "max_proof_age": Key(_duration, "none", "how old the newest proof may be", '"8d"'),
    "shrink": Key(
        _share, f"{defaults.SHRINK:g}", "by which share a backup or a table may be smaller", "0.4"
    ),
    "disk_days": Key(
        _number, f"{defaults.DISK_DAYS:g}", "for how many days there should be space", "14"
    ),
}
SCHEDULE = {
    "timezone": Key(_zone, '"UTC"', "in which zone `at` is meant", '"Europe/Berlin"'),
}
SCHEDULED_JOB = {
    "job": Key(_job, "required", "`backup`, `prune`, `verify` or `prove`", '"backup"'),
    "at": Key(_cron, "required", "when, as cron has it: five fields", '"0 2 * * *"'),
    "env": Key(_environment, "all, or detected", "of which environment", '"prod"'),
}
NOTIFICATIONS = {
    "urls": Key(_texts, "none", "whom to tell, as apprise's URLs", '["${PGVOW_NOTIFY_URL}"]'),
    "on": Key(
        _events,
        "all but `success`",
        "of what: `failure`, `recovery`, `alarm`, `success`",
        '["failure", "recovery", "alarm"]',
    ),
    "every_time": Key(_flag, "false", "tell of each event, not of changes alone", "false"),
    "ping": Key(
        _text, "none", "a dead-man's switch, as healthchecks.io has it", '"${PGVOW_PING_URL}"'
    ),
    "timeout": Key(_positive, "10", "seconds for each", "10"),
}
HOOKS = {
    "before": Key(
        _command, "none", "run before a backup; cancels it by failing", '["/usr/local/bin/pause"]'
    ),
    "after": Key(
        _command, "none", "run after a backup, whatever became of it", '["/usr/local/bin/resume"]'
    ),
    "timeout": Key(_positive, "300", "seconds for each", "60"),
}
METRICS = {
    "file": Key(
        _path,
        "none",
        "written after each run, for Prometheus' node exporter",
        '"/var/lib/node_exporter/pgvow.prom"',
    ),
}
TOP = {
    "output_dir": Key(
        _path, '"db/backups"', "where backups are; relative to this file", '"backups"'
    ),
}
ENVIRONMENT = {
    "prefix": Key(_variable, "the name and `_DB`", "with what its variables begin", '"STAGING_DB"'),
    "url_variable": Key(
        _variable, "the name and `_DATABASE_URL`", "the variable with its URL", '"STAGING_URL"'
    ),
    "output_dir": Key(_path, "the general one", "where its backups are", '"backups/staging"'),
}

SECTIONS: dict[str, dict[str, Key]] = {
    "backup": BACKUP,
    "retention": RETENTION,
    "status": STATUS,
    "schedule": SCHEDULE,
    "notifications": NOTIFICATIONS,
    "hooks": HOOKS,
    "metrics": METRICS,
}
OVERRIDDEN = ("backup", "retention", "status")
"""The sections that an environment may have of its own."""
