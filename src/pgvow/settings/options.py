"""The sections of ``pgvow.toml``, as frozen types; each field declares its option.

The order of the fields is that of docs/configuration.md and ``pgvow config show``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

from pgvow.settings import values
from pgvow.settings.declared_option import option

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path
    from typing import Any

    from pgvow.model import Compress
    from pgvow.retention import RetentionRules


class Event(StrEnum):
    """The events that a notification can be about."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    ALARM = "alarm"
    SUCCESS = "success"


class DigestPeriod(StrEnum):
    """How often a digest is sent, of all that happened since the one before."""

    OFF = "off"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class SheetFormat(StrEnum):
    """The formats of a recovery sheet."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


class Job(StrEnum):
    """The operations that can be scheduled."""

    BACKUP = "backup"
    PRUNE = "prune"
    VERIFY = "verify"
    PROVE = "prove"


def _patterns(meaning: str, example: str, *, short: str = "", help_text: str = "") -> Any:
    return option(
        values.PATTERNS,
        default=[],
        group="dump",
        help=f"{help_text or meaning}, as pg_dump has it; may be repeated",
        short=short,
        metavar="PATTERN",
        meaning=meaning,
        shown="no patterns",
        example=example,
    )


@dataclass(frozen=True, slots=True)
class BackupSection:
    """Defaults of ``pgvow backup``; an option typed goes before. ``jobs`` is a number, or auto."""

    jobs: int | str = option(
        values.JOBS,
        default=1,
        group="speed",
        help="copy with so many workers into the one file; auto: the cores of this machine, at most"
        " 8 (default: {default}, pg_dump alone)",
        metavar="N|auto",
        meaning="workers that copy into the one file",
        example='"auto"',
    )
    engine: str | None = option(
        values.ENGINE,
        group="speed",
        help="who copies the rows (default: pg_dump, or parallel where --jobs is 2 or more)",
        choices=values.ENGINES,
        meaning="`pg_dump` or `parallel`",
        shown="by `jobs`",
        example='"pg_dump"',
    )
    compress: Compress | None = option(
        values.COMPRESS,
        group="speed",
        help="gzip, gzip:1-9, zstd, zstd:1-22 (from PostgreSQL 16 on) or none (default: {default})",
        metavar="HOW",
        meaning="`gzip`, `gzip:1-9`, `zstd`, `zstd:1-22`, `none`",
        shown='"gzip"',
        example='"zstd:3"',
    )
    inspect: bool = option(
        values.FLAG,
        default=True,
        group="checks",
        help="do not read the dump back to its last byte and compare it with the server's counts",
        opposite="read it back, whatever pgvow.toml says (default)",
        meaning="read the dump back to its last byte and compare",
        example="true",
    )
    statistics: bool = option(
        values.FLAG,
        default=False,
        group="statistics",
        help="keep the planner's statistics too, so that a restore need not analyze (pg_dump 18)",
        meaning="keep the planner's statistics too (pg_dump 18 and newer)",
        example="true",
    )
    globals: bool = option(
        values.FLAG,
        default=True,
        group="checks",
        help="do not keep roles and tablespaces beside the dump",
        opposite="keep them, whatever pgvow.toml says (default)",
        meaning="keep roles and tablespaces beside the dump",
        example="true",
    )
    space_factor: float | None = option(
        values.NUMBER,
        group="limits",
        help="free space required, as a multiple of the database's size (default: by the last"
        " backup's size; 2 without one)",
        metavar="N",
        meaning="free space required, in sizes of the database",
        shown="by the last backup; 2 without one",
        example="1.5",
    )
    lock_wait_timeout: float = option(
        values.NUMBER,
        default=60,
        group="limits",
        help="how long to try for the locks on all tables (default: {default})",
        metavar="SECONDS",
        meaning="seconds to try for the locks on all tables",
        example="30",
    )
    stall_timeout: timedelta = option(
        values.DURATION,
        default="15m",
        group="patience",
        help="end the run after so long without a sign of progress from server or tool: 90s, 15m,"
        " 2h (default: {default})",
        metavar="TIME",
        meaning="end a run after so long without a sign of progress",
        example='"30m"',
    )
    run_timeout: timedelta | None = option(
        values.DURATION,
        group="patience",
        help="end the run if it takes longer than this (default: no limit)",
        metavar="TIME",
        meaning="end a backup that takes longer",
        example='"6h"',
    )
    schema: tuple[str, ...] = _patterns("only schemas that match", '["public"]', short="-n")
    exclude_schema: tuple[str, ...] = _patterns(
        "leave out schemas that match", '["scratch*"]', short="-N"
    )
    table: tuple[str, ...] = _patterns("only tables that match", '["orders"]', short="-t")
    exclude_table: tuple[str, ...] = _patterns(
        "leave out tables that match", '["cache_*"]', short="-T"
    )
    exclude_table_data: tuple[str, ...] = _patterns(
        "leave out the rows of these",
        '["sessions"]',
        help_text="leave out the rows of tables that match",
    )

    @property
    def selection(self) -> tuple[str, ...]:
        """Return pg_dump's selecting options, as the metadata of such a backup have them."""
        patterns = {name: getattr(self, name) for name in values.SELECTING}
        return values.selecting_options(patterns)


def _keep(meaning: str, help_text: str, example: str) -> Any:
    return option(
        values.COUNT,
        default=0,
        group="keep",
        by_environment=True,
        help=help_text,
        metavar="N",
        meaning=meaning,
        example=example,
    )


@dataclass(frozen=True, slots=True)
class RetentionSection:
    """Which backups ``pgvow prune`` keeps, and whether a successful backup prunes by itself."""

    keep_last: int = _keep("keep the newest N", "keep the newest N", "3")
    keep_hourly: int = _keep(
        "keep the newest of each of the last N hours with one",
        "keep the newest of each of the last N hours that have one",
        "24",
    )
    keep_daily: int = _keep("the same for days, in UTC", "keep the same for days", "7")
    keep_weekly: int = _keep("the same for ISO weeks", "keep the same for ISO weeks", "4")
    keep_monthly: int = _keep("the same for months", "keep the same for months", "12")
    keep_yearly: int = _keep("the same for years", "keep the same for years", "5")
    keep_within: timedelta | None = option(
        values.DURATION,
        group="keep",
        by_environment=True,
        help="keep all that are at most so much older than the newest: 12h, 30d, 8w",
        metavar="TIME",
        meaning="keep all at most so much older than the newest",
        example='"30d"',
    )
    prune_after_backup: bool = option(
        values.FLAG,
        default=False,
        meaning="prune after each successful backup",
        example="true",
    )

    @property
    def rules(self) -> RetentionRules:
        """Return the rules of retention that the section sets."""
        from pgvow.retention import RetentionRules  # noqa: PLC0415 - not for --help

        return RetentionRules(
            **{rule.name: getattr(self, f"keep_{rule.name}") for rule in fields(RetentionRules)}
        )


@dataclass(frozen=True, slots=True)
class StatusSection:
    """The limits beyond which ``pgvow status`` warns; without ``max_proof_age`` proofs have none.

    ``max_age`` is by default that of a daily backup, and two hours of grace.
    """

    max_age: timedelta = option(
        values.DURATION,
        default="26h",
        group="age",
        by_environment=True,
        help="how old the newest backup may be: {default} (default), 8d",
        metavar="TIME",
        meaning="how old the newest backup may be",
        example='"26h"',
    )
    max_proof_age: timedelta | None = option(
        values.DURATION, meaning="how old the newest proof may be", example='"8d"'
    )
    shrink: float = option(
        values.SHARE,
        default=0.4,
        meaning="by which share a backup or a table may be smaller",
        example="0.4",
    )
    disk_days: float = option(
        values.NUMBER, default=7, meaning="for how many days there should be space", example="14"
    )


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """One job: ``at`` is a cron expression of five fields, in the schedule's time zone."""

    job: Job = option(
        values.one_of(Job),
        required=True,
        meaning="`backup`, `prune`, `verify` or `prove`",
        example='"backup"',
    )
    at: str = option(
        values.CRON,
        required=True,
        meaning="when, as cron has it: five fields",
        example='"0 2 * * *"',
    )
    env: str | None = option(
        values.ENVIRONMENT,
        shown="all, or detected",
        meaning="of which environment",
        example='"prod"',
    )


@dataclass(frozen=True, slots=True)
class ScheduleSection:
    """The jobs of ``pgvow schedule run``; ``timezone`` is an IANA name."""

    timezone: str = option(
        values.ZONE, default="UTC", meaning="in which zone `at` is meant", example='"Europe/Berlin"'
    )
    jobs: tuple[ScheduledJob, ...] = ()


@dataclass(frozen=True, slots=True)
class NotificationsSection:
    """Recipients of notifications, and the events. URLs are secrets, without ``${VARIABLE}``."""

    urls: tuple[str, ...] = option(
        values.TEXTS,
        default=[],
        secret=True,
        meaning="whom to tell, as apprise's URLs",
        example='["${PGVOW_NOTIFY_URL}"]',
    )
    on: frozenset[Event] = option(
        values.some_of(Event),
        default=["failure", "recovery", "alarm"],
        shown="all but `success`",
        meaning="of what: `failure`, `recovery`, `alarm`, `success`",
        example='["failure", "recovery", "alarm"]',
    )
    every_time: bool = option(
        values.FLAG,
        default=False,
        meaning="tell of each event, not of changes alone",
        example="false",
    )
    digest: DigestPeriod = option(
        values.one_of(DigestPeriod),
        default="off",
        meaning="sum up besides: `daily`, `weekly` (from Monday on), `monthly`, `off`",
        example='"weekly"',
    )
    page_url: str | None = option(
        values.WEB_PAGE,
        meaning="a page of yours about the backups, linked at the end of each message",
        example='"https://wiki.example.org/backups"',
    )
    ping: str | None = option(
        values.TEXT,
        secret=True,
        meaning="a dead-man's switch, as healthchecks.io has it",
        example='"${PGVOW_PING_URL}"',
    )
    timeout: float = option(values.POSITIVE, default=10, meaning="seconds for each", example="10")


@dataclass(frozen=True, slots=True)
class HooksSection:
    """Commands before and after a backup, as lists of arguments."""

    before: tuple[str, ...] = option(
        values.COMMAND,
        default=[],
        meaning="run before a backup; cancels it by failing",
        example='["/usr/local/bin/pause"]',
    )
    after: tuple[str, ...] = option(
        values.COMMAND,
        default=[],
        meaning="run after a backup, whatever became of it",
        example='["/usr/local/bin/resume"]',
    )
    timeout: float = option(values.POSITIVE, default=300, meaning="seconds for each", example="60")


@dataclass(frozen=True, slots=True)
class RecoverySheetSection:
    """The recovery sheet, and whether a proof makes it anew. ``output`` is its file."""

    after_proof: bool = option(
        values.FLAG,
        default=False,
        meaning="make it anew after each proof, into `output`",
        example="true",
    )
    output: Path | None = option(
        values.PATH,
        meaning="the file that a proof writes; relative to this file",
        example='"recovery-sheet.html"',
    )
    format: SheetFormat = option(
        values.one_of(SheetFormat),
        default="text",
        group="sheet",
        choices=tuple(map(str, SheetFormat)),
        help="how it is written (default: {default})",
        meaning="`text`, `markdown` or `html`",
        example='"html"',
    )
