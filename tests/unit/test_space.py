"""The free space that a backup needs, by what is known of the last one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pgvow.formats import size
from pgvow.model import Compress
from pgvow.operations.space import BackupSeries, last_backup, required_space
from pgvow.store import DirectoryStore
from tests.support.backups import MOMENT, metadata, place

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = BackupSeries("dev", "shop", Compress())
_DATABASE = 10_000_000
_LAST = replace(
    metadata(), backup_size_bytes=1_000_000, compression="gzip", database_size_bytes=_DATABASE
)


def needed(database: int = _DATABASE, **changes: object) -> tuple[int, str]:
    """Reckon with the last backup, changed so."""
    last = replace(_LAST, **changes)  # type: ignore[arg-type]
    required = required_space(database, factor=None, last=last, source=_SOURCE)
    return required.bytes, required.reckoning


def test_the_last_backup_and_a_margin() -> None:
    """A database that has not grown needs the last backup's size and 10 %."""
    assert (1_100_000, f"the last backup's {size(1_000_000)} and 10 %") == needed()
    assert 1_100_000 == needed(_DATABASE - 5_000_000)[0]


def test_growth_counts_byte_by_byte() -> None:
    """What the database has grown by since may not compress at all."""
    required, reckoning = needed(_DATABASE + 3_000_000)
    assert required == 4_100_000
    assert f"and {size(3_000_000)} by which the database has grown since" in reckoning


def test_never_more_than_twice_the_database() -> None:
    """A last backup larger than the database, then or now, asks for no more than without it."""
    assert (20_000_000, "2 times the database's size") == needed(backup_size_bytes=19_000_000)
    assert (1_000_000, "2 times the database's size") == needed(500_000)


@pytest.mark.parametrize("compression", ["gzip:1", "none", None])
def test_another_compression_tells_nothing(compression: str | None) -> None:
    """The size under another compression is no measure: twice the database."""
    assert 20_000_000 == needed(compression=compression)[0]


def test_an_unknown_size_of_the_database_then() -> None:
    """Metadata of 0.1 have the tables' sizes: what is above them counts as growth."""
    assert 1_100_000 + _DATABASE - 24_576 == needed(database_size_bytes=None)[0]


def test_a_factor_that_is_given_counts_alone() -> None:
    """``--space-factor`` keeps its meaning, 2 and 0 too."""
    for factor, expected in ((2.0, 20_000_000), (0.5, 5_000_000), (0.0, 0)):
        required = required_space(_DATABASE, factor=factor, last=_LAST, source=_SOURCE)
        assert (expected, f"{factor:g} times the database's size") == (
            required.bytes,
            required.reckoning,
        )
    assert 20_000_000 == required_space(_DATABASE, factor=None, last=None, source=_SOURCE).bytes


def test_the_newest_whole_backup_of_the_same_source(tmp_path: Path) -> None:
    """Not another database's or environment's, not a part, not a damaged one. None for a part."""
    store = DirectoryStore(tmp_path)
    assert last_backup(store, _SOURCE) is None
    hour = timedelta(hours=1)
    place(tmp_path, metadata())
    place(tmp_path, metadata(MOMENT + hour))
    expected = metadata(MOMENT + hour)
    place(tmp_path, metadata(MOMENT + 2 * hour, environment="prod"))
    place(tmp_path, metadata(MOMENT + 3 * hour, database="other"))
    place(tmp_path, replace(metadata(MOMENT + 4 * hour), selection=("--table=orders",)))
    place(tmp_path, metadata(MOMENT + 5 * hour)).unlink()
    assert expected == last_backup(store, _SOURCE)
    part = replace(_SOURCE, selection=("--table=orders",))
    assert last_backup(store, part) is None
    configured = last_backup(store, replace(part, configured=("--table=orders",)))
    assert configured is not None
    assert ("--table=orders",) == configured.selection
