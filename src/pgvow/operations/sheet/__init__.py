"""The recovery sheet: for each source, how to get it back on a bare machine.

It is made of the newest whole backup, whose archive has the things that a restore needs, and of the
newest proof, which has the time that it took. There is no secret in it, only the names of the
places that have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow import __version__
from pgvow.archive import ArchiveError, read_toc
from pgvow.errors import ConfigurationError, PgvowError
from pgvow.model import BackupStatus, Level, is_partial
from pgvow.operations.core.needs import needs_of
from pgvow.operations.list import ListOptions, list_backups
from pgvow.operations.schedule.installed import configured, installed
from pgvow.operations.sheet.commands import RecoveredBackup, own_commands, stock_commands
from pgvow.settings.configuration import DEVELOPMENT, PRODUCTION
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Backup, Evidence, Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.sheet.commands import SheetCommand
    from pgvow.recovery import RecoveryNeeds, RecoveryTime

__all__ = ["MeasuredTime", "RecoverySheet", "SheetBackup", "SheetOptions", "SourceSheet"]


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """The sources to write about: all of an environment or database, or that of one ``dump``."""

    environment: str | None = None
    database: str | None = None
    dump: Path | None = None


@dataclass(frozen=True, slots=True)
class SheetBackup:
    """One backup of a source; ``level`` is the highest with no evidence against it."""

    path: Path
    timestamp: datetime
    size_bytes: int
    checksum_sha256: str
    level: Level | None


@dataclass(frozen=True, slots=True)
class MeasuredTime:
    """The time that a proof took at a moment, and the one to expect of the newest backup.

    The second is the first, in proportion to the sizes of the dumps if the newest is larger.
    """

    at: datetime
    measured: RecoveryTime
    expected_seconds: float


@dataclass(frozen=True, slots=True)
class SourceSheet:
    """One database of one environment.

    ``newest`` is the whole backup that the commands bring back, None if there is none: then
    ``complaint`` is the reason. ``proven`` is the newest one that was proven. ``time`` is None if
    no proof measured one. ``secrets`` and ``checked`` are sentences.
    """

    environment: str
    database: str | None
    complaint: str | None = None
    newest: SheetBackup | None = None
    proven: SheetBackup | None = None
    postgresql_version: str | None = None
    tables: int = 0
    rows: int = 0
    globals_path: Path | None = None
    needs: RecoveryNeeds | None = None
    time: MeasuredTime | None = None
    without_pgvow: tuple[SheetCommand, ...] = ()
    with_pgvow: tuple[SheetCommand, ...] = ()
    secrets: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecoverySheet:
    """The whole sheet: its sources, and the sentences on who or what checks them."""

    made: datetime
    pgvow_version: str
    sources: tuple[SourceSheet, ...]
    checks: tuple[str, ...]


def recovery_sheet(
    directories: Sequence[Path], options: SheetOptions, context: Context
) -> RecoverySheet:
    """Make the sheet of the backups in some directories.

    Raises ConfigurationError if there is no backup to write about, and the errors of listing.
    """
    listed = list_backups(directories, ListOptions(options.environment, options.database), context)
    if options.dump is not None:
        listed = _alone(options.dump, listed, context)
    groups: dict[tuple[str, str | None], list[Backup]] = {}
    for backup in listed:
        groups.setdefault((backup.environment or "", backup.database), []).append(backup)
    if options.dump is None and options.database is None:
        for name in _without_backups({name for name, _ in groups}, options, context):
            groups[name, None] = []
    if not groups:
        places = ", ".join(map(str, directories))
        raise ConfigurationError(
            f"there is no backup to write about in {places}",
            steps=["See what there is: pgvow list", "Make one: pgvow backup"],
        )
    sources = [_source(*names, group, context) for names, group in sorted(groups.items(), key=_key)]
    return RecoverySheet(context.now(), __version__, tuple(sources), tuple(_checks(context)))


def _key(item: tuple[tuple[str, str | None], list[Backup]]) -> tuple[str, str]:
    (environment, database), _ = item
    return environment, database or ""


def _alone(dump: Path, listed: Sequence[Backup], context: Context) -> list[Backup]:
    """Return one backup of a directory; raises ConfigurationError if it is none."""
    there = [*listed, *list_backups([dump.parent], ListOptions(), context)]
    for backup in there:
        if backup.path.name == dump.name and backup.path.parent.resolve() == dump.parent.resolve():
            return [backup]
    raise ConfigurationError(f"{dump} is no backup", steps=["See what there is: pgvow list"])


def _without_backups(seen: set[str], options: SheetOptions, context: Context) -> Iterator[str]:
    """Yield the environments of pgvow.toml that have no backup at all."""
    for name in context.configuration.environments:
        if name not in seen and options.environment in (None, name):
            yield name


def _source(
    environment: str, database: str | None, backups: Sequence[Backup], context: Context
) -> SourceSheet:
    sheet = SourceSheet(
        environment, database, secrets=tuple(_secrets_of_connection(environment, context))
    )
    good = [backup for backup in backups if _is_good(backup, context)]
    if not good:
        return replace(sheet, complaint=_why_none(backups))
    newest = good[0]
    proven = next((each for each in good if each.trusted is Level.PROVEN), None)
    sheet = replace(
        sheet,
        newest=_described(newest),
        proven=_described(proven) if proven else None,
        time=_time(newest, good),
        checked=tuple(_checked(newest)),
    )
    try:
        return _with_commands(sheet, newest, good)
    except (ArchiveError, PgvowError, OSError) as error:
        cause = error.cause if isinstance(error, PgvowError) else str(error)
        return replace(sheet, complaint=f"{newest.path.name} cannot be read: {cause}")


def _is_good(backup: Backup, context: Context) -> bool:
    """Whether a backup is whole, and no check speaks against it."""
    failed = backup.proof.failed if backup.proof else None
    if backup.status is not BackupStatus.OK or (failed and backup.trusted is None):
        return False
    configured_part = context.configuration.selection_of(backup.environment)
    return not is_partial(backup.selection, configured_part)


def _why_none(backups: Sequence[Backup]) -> str:
    if not backups:
        return "there is no backup"
    newest = backups[0]
    reason = newest.complaint or ("it is a part" if newest.selection else "a check failed")
    return f"there is no whole backup; of the newest, {newest.path.name}: {reason}"


def _metadata(backup: Backup) -> Metadata:
    """Return the metadata, which every good backup has."""
    if backup.metadata is None:
        raise PgvowError(f"{backup.path.name} has no metadata")
    return backup.metadata


def _described(backup: Backup) -> SheetBackup:
    metadata = _metadata(backup)
    return SheetBackup(
        path=backup.path.absolute(),
        timestamp=metadata.backup_timestamp,
        size_bytes=metadata.backup_size_bytes,
        checksum_sha256=metadata.checksum_sha256,
        level=backup.trusted,
    )


def _proof_of(backup: Backup) -> Evidence | None:
    """Return the evidence that a backup was proven by, if it has measured a recovery."""
    passed = backup.proof.passed if backup.proof else ()
    proofs = [each for each in passed if each.level is Level.PROVEN and each.recovery]
    return proofs[0] if proofs else None


def _time(newest: Backup, good: Sequence[Backup]) -> MeasuredTime | None:
    for backup in good:
        evidence = _proof_of(backup)
        if evidence is None or evidence.recovery is None:
            continue
        measured = evidence.recovery
        now, then = _metadata(newest).backup_size_bytes, measured.dump_bytes
        growth = max(1.0, now / then) if then else 1.0
        return MeasuredTime(evidence.at, measured, round(measured.estimated_seconds * growth, 1))
    return None


def _with_commands(sheet: SourceSheet, newest: Backup, good: Sequence[Backup]) -> SourceSheet:
    stored, metadata = StoredBackup.at(newest.path.absolute()), _metadata(newest)
    with stored.open_dump() as file:
        toc = read_toc(file)
    evidence = next(filter(None, map(_proof_of, good)), None)
    proven = evidence.needs if evidence else None
    needs = needs_of(
        stored,
        metadata,
        toc,
        versions={each.name: each.version for each in proven.extensions if each.version}
        if proven
        else {},
        database_bytes=proven.database_bytes if proven else None,
    )
    name = stored.globals_name(metadata)
    globals_path = stored.path.with_name(name) if stored.has(name) else None
    broken = len(evidence.broken_rules) if evidence else 0
    recovered = RecoveredBackup(
        sheet.environment, stored.path, globals_path, metadata, toc, needs, broken
    )
    return replace(
        sheet,
        postgresql_version=metadata.postgresql_version,
        tables=len(metadata.table_counts),
        rows=sum(metadata.table_counts.values()),
        globals_path=globals_path,
        needs=needs,
        without_pgvow=stock_commands(recovered),
        with_pgvow=own_commands(recovered),
        secrets=(*sheet.secrets, _secrets_of_roles(metadata, globals_path)),
    )


def _secrets_of_roles(metadata: Metadata, globals_path: Path | None) -> str:
    if globals_path is None or metadata.globals is None:
        return (
            "No roles are kept beside the backup: give them new passwords, ALTER ROLE NAME PASSWORD"
        )
    if metadata.globals.role_passwords:
        return f"The roles' passwords, as hashes, are in {globals_path}: the old ones go on to work"
    return f"The roles are in {globals_path} without passwords: give them new ones"


def _secrets_of_connection(environment: str, context: Context) -> Iterator[str]:
    """Yield where the password of the connection is; the value is never looked at."""
    known = {
        DEVELOPMENT.name: DEVELOPMENT,
        PRODUCTION.name: PRODUCTION,
        **context.configuration.environments,
    }
    source = known.get(environment)
    if source is None:
        return
    yield (
        f"pgvow reads the connection from {source.variables.url_variable}, or from"
        f" {', '.join(source.variables.of(part)[0] for part in _PARTS)}, in the environment,"
        " .env.local or .env of its working directory"
    )
    try:
        place = context.load_settings(environment).origins["password"]
    except PgvowError:
        return
    yield f"The password of the source's server, for backups: {place}"


_PARTS = ("HOST", "PORT", "NAME", "USER", "PASSWORD")


def _checked(backup: Backup) -> Iterator[str]:
    """Yield a sentence for each check that the backup passed."""
    for evidence in backup.proof.passed if backup.proof else ():
        on = f" on PostgreSQL {evidence.server_version}" if evidence.server_version else ""
        yield f"{evidence.level} {evidence.at:%Y-%m-%dT%H:%M:%SZ}{on}"


def _checks(context: Context) -> Iterator[str]:
    """Yield sentences on the jobs that are scheduled, and on who is notified."""
    entries = [*installed(context), *configured(context.configuration)]
    for entry in entries:
        yield f"pgvow {entry.job}: {entry.at} ({entry.where})"
    if not entries:
        yield "Nothing is scheduled on this machine: pgvow schedule install"
    section = context.configuration.notifications
    if section.urls:
        events = ", ".join(sorted(section.on))
        yield f"Notifications go to {len(section.urls)} of pgvow.toml's urls, of: {events}"
    else:
        yield "Nobody is notified: [notifications] in pgvow.toml"
