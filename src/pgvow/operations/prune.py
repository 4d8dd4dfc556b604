"""Remove the backups that no rule keeps, with the reason why each stays or goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.errors import AlreadyRunning, PgvowError
from pgvow.model import BackupStatus
from pgvow.operations.core.readable import look_at, marked, record_flaw, unchanged
from pgvow.retention import Verdict, decide
from pgvow.spool import RecoveryAction, Spool, begun, remove
from pgvow.store import backups_in, parse_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Backup
    from pgvow.operations.context import Context
    from pgvow.retention import RetentionRules
    from pgvow.store import Store
    from pgvow.store.names import Stem

_DUMP = ".dump"
_Group = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """The backups to prune and the rules; ``environment`` and ``database`` None: all of them."""

    output_dir: Path
    rules_of: Callable[[str], RetentionRules]
    environment: str | None = None
    database: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class NotRemoved:
    """A backup that was to be removed and is still there, with the reason.

    ``is_busy``: it is in use, and the next prune takes it.
    """

    path: Path
    reason: str
    is_busy: bool = False


@dataclass
class PruneResult:
    """The verdict on each backup, newest first, and the outcome; sizes are bytes.

    ``finished`` are the stems of removals that an earlier run had begun.
    """

    verdicts: tuple[Verdict, ...] = ()
    removed: list[Backup] = field(default_factory=list)
    left: list[NotRemoved] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    freed_of: dict[_Group, int] = field(default_factory=dict)
    """The share of each database and environment in ``freed_bytes``."""

    @property
    def groups(self) -> list[_Group]:
        """Return every database and environment of which there was a backup."""
        return sorted({_group(verdict.backup) for verdict in self.verdicts})

    def of(self, group: _Group) -> tuple[list[Backup], list[NotRemoved]]:
        """Return the removed and the refused backups of a database in an environment."""
        paths = {
            verdict.backup.path for verdict in self.verdicts if _group(verdict.backup) == group
        }
        return (
            [backup for backup in self.removed if backup.path in paths],
            [left for left in self.refused if left.path in paths],
        )

    @property
    def kept(self) -> tuple[Backup, ...]:
        """The backups that some reason keeps."""
        return tuple(verdict.backup for verdict in self.verdicts if verdict.keep)

    @property
    def refused(self) -> tuple[NotRemoved, ...]:
        """The backups that could not be removed, and that no later prune takes either."""
        return tuple(left for left in self.left if not left.is_busy)

    @property
    def to_remove(self) -> tuple[Backup, ...]:
        """Those that no reason keeps."""
        return tuple(verdict.backup for verdict in self.verdicts if not verdict.keep)


def together(results: Iterable[PruneResult]) -> PruneResult:
    """Join the results of several directories to one, newest first."""
    whole = PruneResult()
    for result in results:
        whole.verdicts += result.verdicts
        whole.removed += result.removed
        whole.left += result.left
        whole.finished += result.finished
        whole.freed_bytes += result.freed_bytes
    whole.verdicts = tuple(sorted(whole.verdicts, key=_made_at, reverse=True))
    return whole


def _made_at(verdict: Verdict) -> float:
    moment = verdict.backup.timestamp
    return moment.timestamp() if moment else 0.0


def prune(options: PruneOptions, context: Context) -> PruneResult:
    """Decide on every backup of a directory, and remove what no rule keeps.

    The lock of each database's backups is held meanwhile; if another run holds it, its backups are
    left. An error of the file system for one backup is recorded in ``left`` and stops no other.
    Raises AccessDenied or PgvowError if the directory cannot be read.
    """
    spool, now = Spool(options.output_dir), context.clock()
    result = PruneResult(verdicts=_verdicts(spool.store, options, now))
    if options.dry_run:
        return result
    groups = {_group(backup) for backup in result.to_remove}
    groups |= {(stem.database, stem.environment) for stem in _half_removed(options)}
    for database, environment in sorted(groups):
        try:
            with spool.lock(database, environment, context.clock, operation="prune") as lock:
                for done in spool.recover(context.clock, holding=lock):
                    if done.action is RecoveryAction.PRUNED:
                        result.finished.append(done.stem)
                _prune_group(spool, options, now, (database, environment), result)
        except AlreadyRunning as error:
            for backup in result.to_remove:
                if _group(backup) == (database, environment):
                    result.left.append(NotRemoved(backup.path, error.cause, is_busy=True))
    return result


def _verdicts(store: Store, options: PruneOptions, now: datetime) -> tuple[Verdict, ...]:
    """Decide on the backups that are asked for, until those that are kept can be read.

    A backup that cannot be read, or is damaged, is no reason to remove another: that is recorded of
    it, and the decision is made again without it.
    """
    backups = backups_in(store)
    looked_at: set[Path] = set()
    while True:
        verdicts = tuple(_decided(backups, options, now))
        if all(verdict.keep for verdict in verdicts):
            return verdicts
        flaws = {
            backup.path: flaw
            for backup in _counted(verdicts, looked_at)
            if (flaw := look_at(store, backup)) is not None
        }
        if not flaws:
            return verdicts
        for backup in backups:
            if backup.path in flaws and not options.dry_run:
                record_flaw(store, backup, flaws[backup.path], now)
        backups = [marked(backup, flaws.get(backup.path), now) for backup in backups]


def _counted(verdicts: Sequence[Verdict], looked_at: set[Path]) -> Iterator[Backup]:
    """Yield the backups that are kept, count as good, and were not looked at yet."""
    for verdict in verdicts:
        backup = verdict.backup
        if verdict.keep and backup.status is BackupStatus.OK and backup.path not in looked_at:
            looked_at.add(backup.path)
            yield backup


def _decided(backups: Sequence[Backup], options: PruneOptions, now: datetime) -> Iterator[Verdict]:
    """Decide on the backups that are asked for; those under names of others are kept."""
    ours: list[Backup] = []
    others: list[Backup] = []
    for backup in backups:
        if options.environment is not None and backup.environment != options.environment:
            continue
        if options.database is not None and backup.database != options.database:
            continue
        (ours if _has_its_name(backup) else others).append(backup)
    yield from decide(ours, options.rules_of, now)
    reasons = ("its name is none that pgvow gives",)
    yield from (Verdict(backup, keep=True, reasons=reasons) for backup in others)


def _has_its_name(backup: Backup) -> bool:
    """Return whether the file has the name of its metadata: a renamed one is not ours."""
    stem = parse_stem(_stem(backup))
    return stem is not None and (stem.database, stem.environment) == _group(backup)


def _stem(backup: Backup) -> str:
    return backup.path.name.removesuffix(_DUMP)


def _group(backup: Backup) -> _Group:
    return (backup.database or "", backup.environment or "")


def _half_removed(options: PruneOptions) -> Iterator[Stem]:
    for name in begun(options.output_dir):
        stem = parse_stem(name)
        if stem is None or options.environment not in (None, stem.environment):
            continue
        if options.database in (None, stem.database):
            yield stem


def _prune_group(
    spool: Spool, options: PruneOptions, now: datetime, group: _Group, result: PruneResult
) -> None:
    """Remove what no rule keeps, decided once more with the lock held."""
    verdicts = _verdicts(spool.store, options, now)
    # Oldest first: if this run ends, the newer ones are left.
    for verdict in reversed(verdicts):
        backup = verdict.backup
        if verdict.keep or _group(backup) != group:
            continue
        try:
            freed = remove(options.output_dir, _stem(backup), may_go=unchanged(spool.store, backup))
        except PgvowError as error:
            result.left.append(NotRemoved(backup.path, error.cause))
            continue
        if freed is None:
            reason = "it is being read, or has just been"
            result.left.append(NotRemoved(backup.path, reason, is_busy=True))
        else:
            result.removed.append(backup)
            result.freed_bytes += freed
            result.freed_of[group] = result.freed_of.get(group, 0) + freed
