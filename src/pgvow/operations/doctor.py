"""Look at everything a backup needs, without making one and without changing anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, PgvowError
from pgvow.model import BackupStatus
from pgvow.operations import doctor_server
from pgvow.operations.findings import Finding, Level
from pgvow.postgres.binaries import find_installations
from pgvow.settings import load
from pgvow.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pgvow.postgres.binaries import Installation
    from pgvow.settings import Settings

_FRESH = timedelta(hours=26)
"""A daily backup, and two hours of grace."""


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
    *, env: str, output_dir: Path, environ: Mapping[str, str], directory: Path
) -> Examination:
    """Examine settings, tools, server, directory and backups. What fails is a finding."""
    findings: list[Finding] = []
    settings = _settings(findings, env=env, environ=environ, directory=directory)
    installations = _tools(findings, settings, environ)
    size = None
    if settings is not None:
        server = doctor_server.examine_server(settings, installations, environ)
        findings.extend(server.findings)
        size = server.database_size
    findings.extend(_directory(output_dir, size))
    findings.extend(_backups(LocalStore(output_dir), settings))
    return Examination(tuple(findings))


def _settings(
    findings: list[Finding], *, env: str, environ: Mapping[str, str], directory: Path
) -> Settings | None:
    try:
        settings = load(env=env, environ=environ, directory=directory)
    except ConfigurationError as error:
        complaints = [str(problem) for problem in error.problems] or [error.cause]
        findings.extend(Finding(Level.BAD, "settings", each) for each in complaints)
        return None
    except PgvowError as error:
        findings.append(Finding.from_error("settings", error))
        return None
    text = f"environment {settings.environment} ({settings.environment_reason})"
    findings.append(Finding(Level.GOOD, "settings", text))
    origins = "; ".join(f"{name}: {origin}" for name, origin in settings.origins.items())
    findings.append(Finding(Level.GOOD, "settings", origins))
    findings.extend(Finding(Level.ATTENTION, "settings", warning) for warning in settings.warnings)
    return settings


def _tools(
    findings: list[Finding], settings: Settings | None, environ: Mapping[str, str]
) -> tuple[Installation, ...]:
    try:
        found = find_installations(pg_bin=settings.pg_bin if settings else None, environ=environ)
    except PgvowError as error:
        findings.append(Finding.from_error("tools", error))
        return ()
    text = ", ".join(f"{one.version} in {one.bin}" for one in found)
    findings.append(Finding(Level.GOOD, "tools", f"pg_dump {text}"))
    return found


def _directory(output_dir: Path, database_size: int | None) -> Iterator[Finding]:
    existing = output_dir.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        yield Finding(Level.BAD, "directory", f"{existing} is not a directory")
        return
    if not os.access(existing, os.W_OK | os.X_OK):
        hint = f"Let this user write there: ls -ld {existing}"
        yield Finding(Level.BAD, "directory", f"{existing} is not writable", hint)
        return
    made = "" if existing == output_dir.absolute() else " (will be created)"
    yield Finding(Level.GOOD, "directory", f"{output_dir}{made}")
    yield from _space(LocalStore(existing), database_size)


def _space(store: LocalStore, database_size: int | None) -> Iterator[Finding]:
    if database_size is None:
        return
    free = store.free_bytes()
    text = f"{free:,} bytes free, the database has {database_size:,}"
    if free < 2 * database_size:
        hint = "A backup wants twice the database's size: free some, or --space-factor"
        yield Finding(Level.BAD, "space", text, hint)
    else:
        yield Finding(Level.GOOD, "space", text)


def _backups(store: LocalStore, settings: Settings | None) -> Iterator[Finding]:
    abandoned = store.abandoned()
    if abandoned:
        names = ", ".join(sorted(path.name for path in abandoned))
        hint = "The next backup of that database clears them"
        yield Finding(Level.ATTENTION, "partial files", f"left by a run that died: {names}", hint)
    backups = store.list()
    broken = [backup for backup in backups if backup.status is not BackupStatus.OK]
    if broken:
        names = ", ".join(f"{backup.path.name} ({backup.status.value})" for backup in broken)
        yield Finding(Level.ATTENTION, "backups", names, "Verify them: pgvow verify FILE")
    if settings is None:
        return
    moments = [
        backup.metadata.backup_timestamp
        for backup in backups
        if backup.status is BackupStatus.OK
        and backup.metadata is not None
        and backup.metadata.environment == settings.environment
    ]
    yield _age(max(moments, default=None), settings.environment)


def _age(newest: datetime | None, environment: str) -> Finding:
    command = f"pgvow backup --env {environment}"
    if newest is None:
        return Finding(Level.ATTENTION, "newest backup", f"none of {environment} yet", command)
    age = datetime.now(UTC) - newest
    text = f"{newest:%Y-%m-%dT%H:%M:%SZ}, {age.total_seconds() / 3600:.1f} hours old"
    if age > _FRESH:
        return Finding(Level.ATTENTION, "newest backup", text, command)
    return Finding(Level.GOOD, "newest backup", text)
