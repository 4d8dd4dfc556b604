"""Look at everything a backup needs, without making one and without changing anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, PgvowError
from pgvow.model import BackupStatus
from pgvow.operations.health import doctor_server
from pgvow.operations.health.doctor_files import configuration_problems, examine_files
from pgvow.operations.health.findings import Finding, Level
from pgvow.postgres.binaries import find_installations
from pgvow.settings import Configuration, load, load_pg_bin
from pgvow.spool import Spool
from pgvow.store import backups_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pgvow.postgres.binaries import Installation
    from pgvow.settings import Settings

_CLOCKS_DIFFER = timedelta(minutes=5)
_LEFT_TO_LIBPQ = "left to libpq"


class _Exit(IntEnum):
    FINE = 0
    ATTENTION = 11
    WRONG = 12


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was looked at, in the order in which a backup needs it."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0, 11 or 12, by the worst finding."""
        worst = max((finding.level for finding in self.findings), default=Level.GOOD)
        return {Level.GOOD: _Exit.FINE, Level.ATTENTION: _Exit.ATTENTION}.get(worst, _Exit.WRONG)


def examine(
    *,
    env: str,
    output_dir: Path,
    environ: Mapping[str, str],
    directory: Path,
    configuration: Configuration = Configuration(),  # noqa: B008 - frozen
    unreadable: PgvowError | None = None,
) -> Examination:
    """Examine settings, tools, server, directory and backups. What fails is a finding.

    ``unreadable`` is the error of a pgvow.toml that cannot be used: its defaults hold instead.
    """
    findings: list[Finding] = list(configuration_problems(unreadable)) if unreadable else []
    environments = configuration.environments

    def read() -> Settings:
        return load(env=env, environ=environ, directory=directory, environments=environments)

    settings = _settings(findings, read)
    findings.extend(examine_files(configuration, environ, directory))
    environment = settings.environment if settings else None
    factor = configuration.backup_of(environment).space_factor
    fresh = configuration.status_of(environment).max_age
    installations = _tools(findings, settings, environ=environ, directory=directory)
    size = None
    if settings is not None:
        server = doctor_server.examine_server(settings, installations, environ)
        findings.extend(server.findings)
        size = server.database_size
    findings.extend(_looked("directory", lambda: _directory(output_dir, size, factor)))
    findings.extend(_looked("backups", lambda: _backups(Spool(output_dir), settings, fresh)))
    return Examination(tuple(findings))


def _looked(name: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Look at one thing; what would have ended a backup is what was found."""
    try:
        return list(look())
    except PgvowError as error:
        return [Finding.from_error(name, error)]


def _settings(findings: list[Finding], read: Callable[[], Settings]) -> Settings | None:
    try:
        settings = read()
    except ConfigurationError as error:
        complaints = [str(problem) for problem in error.problems] or [error.cause]
        findings.extend(Finding(Level.BAD, "settings", each) for each in complaints)
        return None
    except PgvowError as error:
        findings.append(Finding.from_error("settings", error))
        return None
    findings.extend(_in_force(settings))
    findings.extend(Finding(Level.ATTENTION, "settings", warning) for warning in settings.warnings)
    return settings


def _in_force(settings: Settings) -> Iterator[Finding]:
    """Say which settings are in force, and where each comes from; a password is not shown."""
    connection = settings.connection
    values = {
        "host": connection.host,
        "port": connection.ports,
        "dbname": connection.dbname,
        "user": connection.user or _LEFT_TO_LIBPQ,
        "password": _LEFT_TO_LIBPQ if connection.password is None else "set, not shown",
    }
    reason = settings.environment_reason
    yield Finding(Level.GOOD, "environment", settings.environment, origin=reason)
    for name, value in values.items():
        label = "database" if name == "dbname" else name
        yield Finding(Level.GOOD, label, value, origin=settings.origins.get(name))
    for variable, source in settings.libpq_origins.items():
        yield Finding(Level.GOOD, "libpq", variable, origin=f"from {source}")


def _tools(
    findings: list[Finding],
    settings: Settings | None,
    *,
    environ: Mapping[str, str],
    directory: Path,
) -> tuple[Installation, ...]:
    try:
        # Where other settings are wrong, the folder of the tools may still be right.
        pg_bin = settings.pg_bin if settings else load_pg_bin(environ=environ, directory=directory)
        found = find_installations(pg_bin=pg_bin, environ=environ)
    except ConfigurationError:
        return ()  # among the problems of the settings already
    except PgvowError as error:
        findings.append(Finding.from_error("tools", error))
        return ()
    named = " (PGVOW_PG_BIN)" if pg_bin else ""
    findings.extend(
        Finding(Level.GOOD, "tools", f"pg_dump {one.version} in {one.bin}{named}") for one in found
    )
    return found


def _directory(output_dir: Path, database_size: int | None, factor: float) -> Iterator[Finding]:
    existing = output_dir.absolute()
    # Not Path.exists, which raises where a folder above may not be entered.
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        hint = "Choose another directory: --output-dir DIR"
        yield Finding(Level.BAD, "directory", f"{existing} is not a directory", hint)
        return
    if not os.access(existing, os.W_OK | os.X_OK):
        hint = f"Let this user write there: ls -ld {existing}"
        yield Finding(Level.BAD, "directory", f"{existing} is not writable", hint)
        return
    made = "" if existing == output_dir.absolute() else " (will be created)"
    yield Finding(Level.GOOD, "directory", f"{output_dir}{made}")
    yield from _space(Spool(existing), database_size, factor)


def _space(store: Spool, database_size: int | None, factor: float) -> Iterator[Finding]:
    if database_size is None:
        return
    free, required = store.free_bytes(), int(factor * database_size)
    text = f"{free:,} bytes free, {required:,} required ({factor:g} times the database)"
    if free < required:
        hint = "Free some, choose another disk (--output-dir), or ask for less (--space-factor)"
        yield Finding(Level.BAD, "space", text, hint)
    else:
        yield Finding(Level.GOOD, "space", text)


def _backups(store: Spool, settings: Settings | None, fresh: timedelta) -> Iterator[Finding]:
    for path in store.abandoned():
        hint = "The next backup into this directory completes or removes it"
        yield Finding(Level.ATTENTION, "partial file", f"left by a run that died: {path}", hint)
    backups = backups_in(store.store)
    for backup in backups:
        if backup.status is not BackupStatus.OK:
            text = f"{backup.path}: {backup.complaint or backup.status.value}"
            hint = f"See all that is wrong with it: pgvow verify {backup.path}"
            yield Finding(Level.ATTENTION, "backup", text, hint)
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
    yield _age(max(moments, default=None), settings, fresh)


def _age(newest: datetime | None, settings: Settings, fresh: timedelta) -> Finding:
    command = f"Make one: pgvow backup --env {settings.environment}"
    if newest is None:
        text = f"none of {settings.connection.dbname} ({settings.environment}) yet"
        return Finding(Level.ATTENTION, "newest backup", text, command)
    age = datetime.now(UTC) - newest
    if age < -_CLOCKS_DIFFER:
        text = f"{newest:%Y-%m-%dT%H:%M:%SZ}, which is in the future"
        return Finding(
            Level.ATTENTION, "newest backup", text, "Check this machine's clock: date -u"
        )
    text = f"{newest:%Y-%m-%dT%H:%M:%SZ}, {age.total_seconds() / 3600:.1f} hours old"
    if age > fresh:
        return Finding(Level.ATTENTION, "newest backup", text, command)
    return Finding(Level.GOOD, "newest backup", text)
