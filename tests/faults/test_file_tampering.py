"""Another user of the machine meddles with the files while a backup of a real server is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import BackupFailed
from pgvow.progress import Silent
from pgvow.store import DirectoryStore, backups_in
from tests.support.hostile.local_user import DIRECTORY_KINDS, FILE_KINDS, THEIRS, theirs
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pgvow.progress import Step
    from tests.support.servers import TestServer

_PHASES = ("lock", "integrity")


class _Meddler(Silent):
    """Meddles once, when the run comes to a phase."""

    def __init__(self, phase: str, meddle: Callable[[], None]) -> None:
        super().__init__()
        self._phase = phase
        self._meddle = meddle
        self.has_meddled = False

    def update(self, step: Step) -> None:
        """Meddle if it is time."""
        if step.phase == self._phase and not self.has_meddled:
            self.has_meddled = True
            self._meddle()


def _partial(directory: Path) -> Path:
    (path,) = directory.glob("*.dump.partial")
    return path


@pytest.fixture
def filled(server: TestServer, database: str) -> str:
    """A database with some rows."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n")
    return database


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("phase", _PHASES)
@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_replaced_partial_file_is_not_published(
    server: TestServer, filled: str, tmp_path: Path, kind: str, phase: str, jobs: int
) -> None:
    """Whatever is done to the dump's name, by either engine: 7, no backup, and theirs untouched."""
    directory = tmp_path / "backups"
    theirs(directory).write_bytes(THEIRS)
    meddler = _Meddler(phase, lambda: FILE_KINDS[kind](_partial(directory)))
    with pytest.raises(BackupFailed, match="nothing was published") as caught:
        back_up(server, filled, tmp_path, jobs=jobs, progress=meddler)
    assert 7 == caught.value.status
    assert meddler.has_meddled
    assert [] == list(backups_in(DirectoryStore(directory)))
    assert THEIRS == theirs(directory).read_bytes()


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("phase", _PHASES)
@pytest.mark.parametrize("kind", DIRECTORY_KINDS)
def test_a_replaced_directory_is_not_written_to(
    server: TestServer, filled: str, tmp_path: Path, kind: str, phase: str, jobs: int
) -> None:
    """A directory that is moved or swapped while we work: 7, and nothing in its place touched."""
    directory = tmp_path / "backups"
    meddler = _Meddler(phase, lambda: DIRECTORY_KINDS[kind](directory))
    with pytest.raises(BackupFailed, match="moved or replaced") as caught:
        back_up(server, filled, tmp_path, jobs=jobs, progress=meddler)
    assert 7 == caught.value.status
    there = list(directory.iterdir()) if directory.exists() else []
    assert {THEIRS} >= {path.read_bytes() for path in there}
    assert [] == list((tmp_path / "elsewhere").glob("*.dump*"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_truncated_partial_file_is_not_published(
    server: TestServer, filled: str, tmp_path: Path, jobs: int
) -> None:
    """Truncated between reading back and publishing: 7, and no backup."""
    directory = tmp_path / "backups"
    meddler = _Meddler("integrity", lambda: _partial(directory).write_bytes(b"PGDMP"))
    with pytest.raises(BackupFailed) as caught:
        back_up(server, filled, tmp_path, jobs=jobs, progress=meddler)
    assert 7 == caught.value.status
    assert [] == list(backups_in(DirectoryStore(directory)))
