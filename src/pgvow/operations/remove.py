"""Remove the backups that a person names: never the last good one unless its name is confirmed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import AlreadyRunning, ConfigurationError, PgvowError
from pgvow.model import BackupStatus
from pgvow.operations.core.readable import look_at, marked, record_flaw, unchanged
from pgvow.retention import protected, unfit
from pgvow.spool import Spool, remove
from pgvow.store import DirectoryStore, backups_in, parse_stem
from pgvow.store.names import DUMP, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Backup
    from pgvow.operations.context import Context
    from pgvow.store import Store

_LIST = "See what there is: pgvow list"


class RemovalRefused(ConfigurationError):
    """A backup that is not removed by its name alone, or that is none of ours."""

    title = "The backup stays"


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """``confirmed`` are the full names that were typed again; ``even_kept``: also those kept."""

    confirmed: frozenset[str] = frozenset()
    even_kept: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """A backup that is named to be removed.

    ``last_good`` has the reasons for which its name must be typed again, ``kept`` the one for which
    a person keeps it, ``reasons`` why it may go otherwise. ``size_bytes`` are those of all
    its ``files``.
    """

    backup: Backup
    last_good: tuple[str, ...]
    kept: str | None
    reasons: tuple[str, ...]
    files: tuple[str, ...]
    size_bytes: int


def named_removals(
    dumps: Sequence[Path], options: RemoveOptions, context: Context
) -> tuple[Removal, ...]:
    """Judge the backups with these dumps, each as if those before it were gone; removes nothing.

    Raises RemovalRefused for one that is no backup of ours, and the errors of listing.
    """
    judged: list[Removal] = []
    for dump in dict.fromkeys(dumps):
        gone = {each.backup.path for each in judged}
        judged.append(_judged(dump, gone, context, dry_run=options.dry_run))
    return tuple(judged)


def remove_backups(
    dumps: Sequence[Path], options: RemoveOptions, context: Context
) -> tuple[Removal, ...]:
    """Remove the backups with these dumps, or none if one of them must stay.

    Each is judged again with the lock of its database's backups held. Raises RemovalRefused, and
    the errors of the file system and of the lock; those before it are removed then.
    """
    judged = named_removals(dumps, options, context)
    for removal in judged:
        _require_free(removal, options)
    if options.dry_run:
        return judged
    removed: list[Removal] = []
    for removal in judged:
        try:
            removed.append(_remove(removal.backup, options, context))
        except PgvowError as error:
            done = ", ".join(each.backup.path.name for each in removed)
            raise error.with_facts({"Removed before": done} if done else {}) from None
    return tuple(removed)


def _judged(dump: Path, gone: Collection[Path], context: Context, *, dry_run: bool) -> Removal:
    now, store = context.clock(), DirectoryStore(dump.parent)
    listed = [each for each in backups_in(store) if each.path not in gone]
    backup = next((each for each in listed if each.path.name == dump.name), None)
    if backup is None:
        raise RemovalRefused(f"{dump} is no backup", steps=[_LIST])
    if not _has_its_name(backup):
        raise RemovalRefused(
            f"{dump} has no name that pgvow gives: it is removed as any other file is",
            facts={"File": str(dump)},
            steps=["Look at it, and remove it by hand"],
        )
    siblings = [each for each in listed if _group(each) == _group(backup)]
    read, last = _last_good(store, siblings, now, dry_run=dry_run)
    backup = next(each for each in read if each.path.name == dump.name)
    own = next((reasons for each, reasons in last if each is backup), ())
    others = [(each, why) for each, why in last if each.selection == backup.selection]
    files, size = _files(store, dump)
    return Removal(
        backup=backup,
        last_good=own,
        kept=backup.notes.kept(now),
        reasons=own or _reasons(backup, others, now),
        files=files,
        size_bytes=size,
    )


def _reasons(
    backup: Backup, others: Sequence[tuple[Backup, tuple[str, ...]]], now: datetime
) -> tuple[str, ...]:
    """Return why a backup may go: it counts for nothing, or better ones stay."""
    flaw = unfit(backup, now)
    stay = [f"{each.path.name} stays: {', '.join(why)}" for each, why in others]
    return ((flaw,) if flaw else ()) + tuple(stay)


def _last_good(
    store: Store, backups: Sequence[Backup], now: datetime, *, dry_run: bool
) -> tuple[Sequence[Backup], Sequence[tuple[Backup, tuple[str, ...]]]]:
    """Return the backups, and the last good ones, once their files were looked at.

    One that cannot be read is no reason to remove another: that is recorded of it.
    """
    looked_at: set[Path] = set()
    while True:
        last = protected(backups, now)
        new = [each for each, _ in last if each.path not in looked_at]
        looked_at |= {each.path for each in new}
        flaws = {
            each.path: flaw
            for each in new
            if each.status is BackupStatus.OK and (flaw := look_at(store, each)) is not None
        }
        if not flaws:
            return backups, last
        for each in backups:
            if each.path in flaws and not dry_run:
                record_flaw(store, each, flaws[each.path], now)
        backups = [marked(each, flaws.get(each.path), now) for each in backups]


def _files(store: Store, dump: Path) -> tuple[tuple[str, ...], int]:
    """Return the names of the files that there are of a backup, and their bytes."""
    base, present = dump.name.removesuffix(DUMP), store.list()
    files = tuple(base + suffix for suffix in SUFFIXES if base + suffix in present)
    return files, sum(_size(store, name) for name in files)


def _size(store: Store, name: str) -> int:
    try:
        return store.stat(name).size
    except OSError:
        return 0


def _require_free(removal: Removal, options: RemoveOptions) -> None:
    """Raise RemovalRefused for a backup that is kept, or the last good one and not confirmed."""
    path = removal.backup.path
    if removal.kept is not None and not options.even_kept:
        raise RemovalRefused(
            f"{path.name} is {removal.kept}",
            facts={"File": str(path)},
            steps=[
                f"Let it go first: pgvow keep --release {shlex.quote(str(path))}",
                "Or remove it all the same: --even-kept",
            ],
        )
    if removal.last_good and not is_confirmed(removal, options):
        raise RemovalRefused(
            f"{path.name} goes only if its full name is typed again:"
            f" {', '.join(removal.last_good)}",
            facts={"File": str(path)},
            steps=[
                "Make another, and prove it: pgvow backup, pgvow prove latest",
                f"Or type its full name again: --confirm {path.name}",
            ],
        )


def is_confirmed(removal: Removal, options: RemoveOptions) -> bool:
    """Return whether the full name of a backup was typed again, with or without its ending."""
    name = removal.backup.path.name
    return not options.confirmed.isdisjoint({name, name.removesuffix(DUMP)})


def _remove(backup: Backup, options: RemoveOptions, context: Context) -> Removal:
    """Remove one backup, judged once more with the lock held."""
    path = backup.path
    spool = Spool(path.parent)
    database, environment = _group(backup)
    with spool.lock(database, environment, context.clock, operation="remove") as lock:
        spool.recover(context.clock, holding=lock)
        removal = _judged(path, (), context, dry_run=False)
        _require_free(removal, options)
        ask = unchanged(spool.store, removal.backup)
        freed = remove(path.parent, path.name.removesuffix(DUMP), may_go=ask)
    if freed is None:
        raise AlreadyRunning(
            f"{path.name} is being read, or has just been checked or kept",
            facts={"File": str(path)},
            steps=["See what runs, and try again: pgvow history"],
        )
    return removal


def _has_its_name(backup: Backup) -> bool:
    stem = parse_stem(backup.path.name.removesuffix(DUMP))
    return stem is not None and (stem.database, stem.environment) == _group(backup)


def _group(backup: Backup) -> tuple[str, str]:
    return (backup.database or "", backup.environment or "")
