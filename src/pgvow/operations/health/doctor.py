"""Look at everything a backup needs, without making one and without changing anything."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, PgvowError
from pgvow.formats import elapsed, moment, size
from pgvow.model import BackupStatus, Compress
from pgvow.operations.health import doctor_server
from pgvow.operations.health.findings import Finding, Severity
from pgvow.operations.notify.post import lack_of_apprise
from pgvow.operations.schedule.installed import installed, jobs_twice
from pgvow.operations.space import BackupSeries, RequiredSpace, last_backup, required_space
from pgvow.postgres.binaries import find_installations
from pgvow.settings import (
    FILES,
    Variables,
    load,
    load_pg_bin,
    password_variables,
    readable_by_others,
    variables_of,
)
from pgvow.spool import Spool
from pgvow.store import backups_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.postgres.binaries import Installation
    from pgvow.settings import Configuration, Settings

_CLOCKS_DIFFER = timedelta(minutes=5)
_LEFT_TO_LIBPQ = "left to libpq"
_CUTOFF = 0.85
"""How alike two names are: DEV_DB_NAM and DB_PSSWORD pass, PGDATA and PGDATABASE do not."""


class _Exit(IntEnum):
    FINE = 0
    ATTENTION = 11
    WRONG = 12


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings, in the order in which a backup needs the things that they are about."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0, 11 or 12, by the worst finding."""
        worst = max((finding.level for finding in self.findings), default=Severity.GOOD)
        return {Severity.GOOD: _Exit.FINE, Severity.ATTENTION: _Exit.ATTENTION}.get(
            worst, _Exit.WRONG
        )


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """The environment that was named and the directory of its backups.

    ``unreadable`` is the error of a pgvow.toml that cannot be used: its defaults hold instead.
    """

    env: str
    output_dir: Path
    unreadable: PgvowError | None = None


def diagnose(options: DoctorOptions, context: Context) -> Diagnosis:
    """Examine settings, tools, server, directory and backups. An error is a finding."""
    output_dir, unreadable = options.output_dir, options.unreadable
    findings: list[Finding] = list(_configuration_problems(unreadable)) if unreadable else []
    configuration = context.configuration

    def read() -> Settings:
        return load(
            env=options.env,
            environ=context.environ,
            directory=context.directory,
            environments=configuration.environments,
        )

    settings = _settings(findings, read)
    findings.extend(_files(context))
    findings.extend(_notifications(configuration))
    environment = settings.environment if settings else None
    fresh = configuration.status_of(environment).max_age
    installations = _tools(findings, settings, context)
    space = None
    if settings is not None:
        server = doctor_server.examine_server(settings, installations, context)
        findings.extend(server.findings)
        space = _reckoner(settings, configuration, server.database_size)
    findings.extend(_looked("directory", lambda: _directory(output_dir, space)))
    findings.extend(_looked("schedule", lambda: _schedule(context)))
    store = Spool(output_dir)
    findings.extend(_looked("backups", lambda: _backups(store, settings, fresh, context.clock())))
    return Diagnosis(tuple(findings))


def _looked(name: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return the findings of one look; an error that would have ended a backup is a finding."""
    try:
        return list(look())
    except PgvowError as error:
        return [Finding.from_error(name, error)]


def _settings(findings: list[Finding], read: Callable[[], Settings]) -> Settings | None:
    try:
        settings = read()
    except ConfigurationError as error:
        complaints = [str(problem) for problem in error.problems] or [error.cause]
        findings.extend(Finding(Severity.BAD, "settings", each) for each in complaints)
        return None
    except PgvowError as error:
        findings.append(Finding.from_error("settings", error))
        return None
    findings.extend(_in_force(settings))
    findings.extend(
        Finding(Severity.ATTENTION, "settings", warning) for warning in settings.warnings
    )
    return settings


def _in_force(settings: Settings) -> Iterator[Finding]:
    """Yield the settings in force with their origins; a password is not shown."""
    connection = settings.connection
    values = {
        "host": connection.host,
        "port": connection.ports,
        "dbname": connection.dbname,
        "user": connection.user or _LEFT_TO_LIBPQ,
        "password": _LEFT_TO_LIBPQ if connection.password is None else "set, not shown",
    }
    reason = settings.environment_reason
    yield Finding(Severity.GOOD, "environment", settings.environment, origin=reason)
    for name, value in values.items():
        label = "database" if name == "dbname" else name
        yield Finding(Severity.GOOD, label, value, origin=settings.origins.get(name))
    for variable, source in settings.libpq_origins.items():
        yield Finding(Severity.GOOD, "libpq", variable, origin=f"from {source}")


def _configuration_problems(error: PgvowError) -> Iterator[Finding]:
    """Yield a finding for each thing that is wrong with pgvow.toml, with file and line."""
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    hint = error.steps[0] if error.steps else None
    for problem in problems:
        yield Finding(Severity.BAD, "pgvow.toml", str(problem))
    if not problems:
        yield Finding(Severity.BAD, "pgvow.toml", error.cause, hint)


def _notifications(configuration: Configuration) -> Iterator[Finding]:
    if lack := lack_of_apprise(configuration.notifications):
        yield Finding(Severity.ATTENTION, "notifications", lack.cause, lack.steps[0])


def _schedule(context: Context) -> Iterator[Finding]:
    """Yield the jobs of this directory that are installed twice, by cron and by systemd."""
    for job in jobs_twice(installed(context), context.directory.absolute()):
        yield Finding(
            Severity.ATTENTION, "schedule", job.complaint, f"Take both away: {job.remedy}"
        )


def _files(context: Context) -> Iterator[Finding]:
    """Yield findings about ``.env.local`` and ``.env``: their variables, and who may read them."""
    environments = context.configuration.environments
    try:
        sources = Variables.read(environ=context.environ, directory=context.directory)
    except PgvowError:
        return  # among the problems of the settings already
    passwords = password_variables(environments)
    yield from _readable(sources, context.directory, passwords)
    yield from _replaced(sources, passwords)
    yield from _nearly_right(sources, variables_of(environments))


def _readable(sources: Variables, directory: Path, passwords: frozenset[str]) -> Iterator[Finding]:
    for name in FILES:
        path = directory / name
        if sources.file_has_secret(name, passwords) and readable_by_others(path):
            text = f"{path} has a password in it, and every user of this machine may read it"
            yield Finding(Severity.ATTENTION, "settings file", text, f"chmod 600 {path}")


def _replaced(sources: Variables, passwords: frozenset[str]) -> Iterator[Finding]:
    """Find passwords with ``${`` in them, which python-dotenv took for a reference.

    A value that is one reference and nothing else is meant as one.
    """
    for variable in sorted(passwords):
        sourced = sources.get(variable)
        if sourced is not None and sourced.mixed:
            text = f"{variable} from {sourced.source}: a ${{…}} within it was replaced"
            hint = "If the password has ${ itself, write ${:-$}{ for it; single quotes do not help"
            yield Finding(Severity.ATTENTION, "password", text, hint)


def _nearly_right(sources: Variables, known: frozenset[str]) -> Iterator[Finding]:
    for name, place in sources.names():
        if name in known:
            continue
        for meant in difflib.get_close_matches(name, sorted(known), 1, _CUTOFF):
            if sources.get(meant) is None:
                text = f"{name} from {place} is read by nobody"
                hint = f"Is {meant} meant, which is not set?"
                yield Finding(Severity.ATTENTION, "variable", text, hint)


def _tools(
    findings: list[Finding], settings: Settings | None, context: Context
) -> tuple[Installation, ...]:
    try:
        # If other settings are wrong, the folder of the tools may still be right.
        pg_bin = (
            settings.pg_bin
            if settings
            else load_pg_bin(environ=context.environ, directory=context.directory)
        )
        installations = find_installations(pg_bin=pg_bin, environ=context.environ)
    except ConfigurationError:
        return ()  # among the problems of the settings already
    except PgvowError as error:
        findings.append(Finding.from_error("tools", error))
        return ()
    named = " (PGVOW_PG_BIN)" if pg_bin else ""
    findings.extend(
        Finding(Severity.GOOD, "tools", f"pg_dump {each.version} in {each.bin}{named}")
        for each in installations
    )
    return installations


def _reckoner(
    settings: Settings, configuration: Configuration, database_size: int | None
) -> Callable[[Spool], RequiredSpace] | None:
    """Return the function that reckons the space for a backup; None without a server."""
    if database_size is None:
        return None
    environment = settings.environment
    section, selection = (
        configuration.backup_of(environment),
        configuration.selection_of(environment),
    )
    source = BackupSeries(
        environment,
        settings.connection.dbname,
        section.compress or Compress(),
        selection,
        selection,
    )

    def reckon(spool: Spool) -> RequiredSpace:
        return required_space(
            database_size,
            factor=section.space_factor,
            last=last_backup(spool.store, source),
            source=source,
        )

    return reckon


def _directory(
    output_dir: Path, space: Callable[[Spool], RequiredSpace] | None
) -> Iterator[Finding]:
    existing = output_dir.absolute()
    # Not Path.exists, which raises if a folder above may not be entered.
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        hint = "Choose another directory: --output-dir DIR"
        yield Finding(Severity.BAD, "directory", f"{existing} is not a directory", hint)
        return
    if not os.access(existing, os.W_OK | os.X_OK):
        hint = f"Let this user write there: ls -ld {existing}"
        yield Finding(Severity.BAD, "directory", f"{existing} is not writable", hint)
        return
    made = "" if existing == output_dir.absolute() else " (will be created)"
    yield Finding(Severity.GOOD, "directory", f"{output_dir}{made}")
    if space is not None:
        yield from _space(Spool(existing), space)


def _space(spool: Spool, space: Callable[[Spool], RequiredSpace]) -> Iterator[Finding]:
    free, required = spool.free_bytes(), space(spool)
    text = f"{size(free)} free, {size(required.bytes)} required: {required.reckoning}"
    if free < required.bytes:
        hint = "Free some, choose another disk (--output-dir), or ask for less (--space-factor)"
        yield Finding(Severity.BAD, "space", text, hint)
    else:
        yield Finding(Severity.GOOD, "space", text)


def _backups(
    store: Spool, settings: Settings | None, fresh: timedelta, now: datetime
) -> Iterator[Finding]:
    for path in store.abandoned():
        hint = "The next backup into this directory completes or removes it"
        yield Finding(Severity.ATTENTION, "partial file", f"left by a run that died: {path}", hint)
    backups = backups_in(store.store)
    for backup in backups:
        if backup.status is not BackupStatus.OK:
            text = f"{backup.path}: {backup.complaint or backup.status.value}"
            hint = f"See all that is wrong with it: pgvow verify {backup.path}"
            yield Finding(Severity.ATTENTION, "backup", text, hint)
    if settings is None:
        return
    moments = [
        backup.metadata.backup_timestamp
        for backup in backups
        if backup.status is BackupStatus.OK
        and backup.metadata is not None
        and backup.metadata.environment == settings.environment
        and backup.metadata.database_name == settings.connection.dbname
    ]
    yield _age(max(moments, default=None), settings, fresh, now)


def _age(newest: datetime | None, settings: Settings, fresh: timedelta, now: datetime) -> Finding:
    command = f"Make one: pgvow backup --env {settings.environment}"
    if newest is None:
        text = f"none of {settings.connection.dbname} ({settings.environment}) yet"
        return Finding(Severity.ATTENTION, "newest backup", text, command)
    age = now - newest
    if age < -_CLOCKS_DIFFER:
        text = f"{moment(newest)}, which is in the future"
        return Finding(
            Severity.ATTENTION, "newest backup", text, "Check this machine's clock: date -u"
        )
    text = f"{moment(newest)}, {elapsed(age.total_seconds())} old"
    if age > fresh:
        return Finding(Severity.ATTENTION, "newest backup", text, command)
    return Finding(Severity.GOOD, "newest backup", text)
