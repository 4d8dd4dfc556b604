"""The free space that a backup needs: by the last backup of the same source, or by the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import PgvowError
from pgvow.formats import size
from pgvow.model import BackupStatus, in_one_order, is_partial
from pgvow.store import backups_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgvow.model import Compress, Metadata
    from pgvow.store import Store

_FACTOR = 2.0
"""Sizes of the database, without an earlier backup: how well its rows compress is unknown."""
_MARGIN_PERCENT = 10
"""Added to the last backup: rows may have been replaced by others that compress less well."""


@dataclass(frozen=True, slots=True)
class BackupSeries:
    """The origin of a series of backups, and the options on which their size depends.

    ``configured`` is the selection that the settings name as the whole of the environment.
    """

    environment: str
    database: str
    compress: Compress
    selection: Sequence[str] = ()
    configured: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RequiredSpace:
    """The free bytes that a backup needs, and the reckoning that leads to them."""

    bytes: int
    reckoning: str


def last_backup(store: Store, source: BackupSeries) -> Metadata | None:
    """Return the metadata of the newest good backup of a source; None without one.

    A part is compared with nothing. A store that cannot be listed has no earlier backup: the run
    itself meets the same error, if it is one.
    """
    if is_partial(source.selection, source.configured):
        return None
    selection = in_one_order(source.selection)
    try:
        backups = backups_in(store)
    except PgvowError:
        return None
    return next(
        (
            backup.metadata
            for backup in backups
            if backup.status is BackupStatus.OK
            and backup.metadata is not None
            and backup.metadata.environment == source.environment
            and backup.metadata.database_name == source.database
            and backup.selection == selection
        ),
        None,
    )


def required_space(
    database_size: int, *, factor: float | None, last: Metadata | None, source: BackupSeries
) -> RequiredSpace:
    """Reckon the free bytes that a backup needs.

    A ``factor`` that was given counts alone. Else it is the last backup's size and a margin, and
    every byte by which the database has grown since: rows that came may not compress at all. It is
    never more than without an earlier backup, and is made without one if compression differs.
    """
    if factor is not None:
        return _by_database(database_size, factor)
    by_database = _by_database(database_size, _FACTOR)
    if last is None or last.compression != str(source.compress):
        return by_database
    growth = max(0, database_size - _database_size(last))
    needed = last.backup_size_bytes * (100 + _MARGIN_PERCENT) // 100 + growth
    if needed >= by_database.bytes:
        return by_database
    grown = f", and {size(growth)} by which the database has grown since" if growth else ""
    reckoning = f"the last backup's {size(last.backup_size_bytes)} and {_MARGIN_PERCENT} %{grown}"
    return RequiredSpace(needed, reckoning)


def _by_database(database_size: int, factor: float) -> RequiredSpace:
    return RequiredSpace(int(database_size * factor), f"{factor:g} times the database's size")


def _database_size(last: Metadata) -> int:
    """Return the database's size at the last backup; of its tables alone if that is unknown."""
    if last.database_size_bytes is not None:
        return last.database_size_bytes
    return sum(table.size_bytes for table in last.tables)
