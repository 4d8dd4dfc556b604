"""Others meddle while a backup is published: it fails, and their files are untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import BackupFailed
from pgvow.model import BackupStatus
from pgvow.spool import Spool, publish
from pgvow.store import DirectoryStore, backups_in
from tests.support import backups
from tests.support.hostile.local_user import DIRECTORY_KINDS, FILE_KINDS, THEIRS, theirs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STEM = "shop_dev_2025-01-27T14-30-00Z"
_SUFFIXES = (".dump", ".globals.sql", ".metadata.json")
_BEFORE_THE_END = range(publish.STEPS.index(publish.rename_metadata) + 1)
_MOMENTS = [
    (suffix, after)
    for suffix in _SUFFIXES
    for after in _BEFORE_THE_END
    # Before that there is no metadata to meddle with.
    if suffix != ".metadata.json" or after > publish.STEPS.index(publish.write_metadata)
]


def _publish(directory: Path, meddle: Callable[[], None], *, after: int) -> None:
    """Publish a backup, and meddle after so many steps."""

    def step(_: object) -> None:
        meddle()

    steps = publish.STEPS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "STEPS", (*steps[:after], step, *steps[after:]))
        store = Spool(directory)
        store.prepare()
        with (
            store.lock("shop", "dev", backups.clock),
            store.begin("shop", "dev", backups.MOMENT) as draft,
        ):
            draft.publish(backups.fill(draft))


def _named(directory: Path, suffix: str) -> Path:
    """Find the file, whichever of its names it has."""
    final = directory / (_STEM + suffix)
    return final if final.exists() else final.with_name(f"{final.name}.partial")


@pytest.mark.parametrize(("suffix", "after"), _MOMENTS)
@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_replaced_draft_file_is_never_published(
    tmp_path: Path, kind: str, suffix: str, after: int
) -> None:
    """A removed, replaced, linked or opened file of the draft: exit 7, no backup, none of ours."""
    directory = tmp_path / "backups"
    theirs(directory).write_bytes(THEIRS)

    def meddle() -> None:
        FILE_KINDS[kind](_named(directory, suffix))

    with pytest.raises(BackupFailed, match="nothing was published") as caught:
        _publish(directory, meddle, after=after)
    assert 7 == caught.value.status
    assert BackupStatus.OK not in {
        backup.status for backup in backups_in(DirectoryStore(directory))
    }
    assert THEIRS == theirs(directory).read_bytes()
    final = [directory / (_STEM + one) for one in _SUFFIXES]
    ours = [path for path in final if path.is_file() and not path.is_symlink()]
    assert {THEIRS} >= {path.read_bytes() for path in ours}


@pytest.mark.parametrize("after", _BEFORE_THE_END)
@pytest.mark.parametrize("kind", DIRECTORY_KINDS)
def test_a_replaced_directory_exits_7_untouched(tmp_path: Path, kind: str, after: int) -> None:
    """Exit 7, and nothing in the directory that took the place of ours is touched."""
    directory = tmp_path / "backups"
    with pytest.raises(BackupFailed, match="moved or replaced") as caught:
        _publish(directory, lambda: DIRECTORY_KINDS[kind](directory), after=after)
    assert 7 == caught.value.status
    there = list(directory.iterdir()) if directory.exists() else []
    assert {THEIRS} >= {path.read_bytes() for path in there}
    assert [] == [
        path.name for path in (tmp_path / "elsewhere").iterdir() if path.suffix != ".lock"
    ]


@pytest.mark.parametrize("after", _BEFORE_THE_END)
@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_a_link_under_a_final_name_is_not_followed_nor_replaced(
    tmp_path: Path, suffix: str, after: int
) -> None:
    """A name that others take at any step before the last stays theirs, be it a dangling link."""
    directory = tmp_path / "backups"
    final = directory / (_STEM + suffix)

    def meddle() -> None:
        if final.exists():
            final.unlink()
        final.symlink_to(tmp_path / "nowhere")

    with pytest.raises(BackupFailed):
        _publish(directory, meddle, after=after)
    assert final.is_symlink()
    assert not (tmp_path / "nowhere").exists()
