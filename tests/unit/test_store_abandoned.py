"""Partial files of a dead run are found without being touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import AccessDenied
from pgvow.spool import Spool, publish
from pgvow.spool.files import BackupFiles
from pgvow.store import names
from pgvow.store.names import partial
from tests.support import backups, children
from tests.support.privileges import bound_by_permissions

if TYPE_CHECKING:
    from pathlib import Path

_STEM = "shop_dev_2025-01-27T14-30-00Z"
_STEPS = range(len(publish.STEPS) + 1)

_ASK = """
    import json, sys
    from pathlib import Path
    from pgvow.errors import PgvowError
    from pgvow.spool import Spool
    try:
        print(json.dumps([path.name for path in Spool(Path(sys.argv[1])).abandoned()]))
    except PgvowError as error:
        print(json.dumps([error.status, error.cause]))
"""


def _publish_and_die(directory: Path, done: int) -> None:
    argv = children.command("", directory, done, "globals", "publish")
    argv[1:3] = ["-m", "tests.support.publish_and_die"]
    children.run(argv)


def _state(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}


@pytest.mark.parametrize("done", _STEPS)
def test_partial_files_of_a_killed_run_are_found_and_kept(tmp_path: Path, done: int) -> None:
    """After any step, all that is partial and nothing else; asking again gives the same."""
    _publish_and_die(tmp_path, done)
    before = _state(tmp_path)
    store = Spool(tmp_path)
    found = store.abandoned()
    assert {name for name in before if name.endswith(names.PARTIAL)} == {p.name for p in found}
    assert found == store.abandoned()
    assert before == _state(tmp_path)


def test_nothing_is_abandoned_after_recovery(tmp_path: Path) -> None:
    """Once recovered nothing is abandoned any more."""
    _publish_and_die(tmp_path, 0)
    store = Spool(tmp_path)
    found = store.abandoned()
    (recovered,) = store.recover(backups.clock)
    assert set(found) == set(recovered.files)
    assert [] == list(store.abandoned())


def test_partial_files_of_a_live_run_are_not_abandoned(tmp_path: Path) -> None:
    """Neither from another process nor from the run itself; another group's leavings are."""
    store = Spool(tmp_path)
    dead = partial(BackupFiles(tmp_path, _STEM.replace("shop", "other")).dump)
    dead.touch()
    with (
        store.lock("shop", "dev", backups.clock),
        store.begin("shop", "dev", backups.MOMENT) as draft,
    ):
        backups.fill(draft)
        assert [dead] == list(store.abandoned())
        asked = children.run(children.command(_ASK, tmp_path))
        assert [dead.name] == json.loads(asked.stdout)


def test_foreign_partial_names_are_not_abandoned(tmp_path: Path) -> None:
    """A download of somebody's is his."""
    for name in (
        "movie.mp4.partial",
        "x.dump.partial",
        f"{_STEM}.dump",
        f"{_STEM}.proof.json.partial",
    ):
        (tmp_path / name).touch()
    assert [] == list(Spool(tmp_path).abandoned())


def test_a_missing_directory_has_no_abandoned_files(tmp_path: Path) -> None:
    """And it is not made by asking."""
    assert [] == list(Spool(tmp_path / "none").abandoned())
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["directory", "lock"])
def test_an_unreadable_directory_is_refused(tmp_path: Path, what: str) -> None:
    """With our own error, and the exit code of a refused permission."""
    partial(BackupFiles(tmp_path, _STEM).dump).touch()
    lock = tmp_path / ".shop_dev.lock"
    lock.touch()
    closed = {"directory": tmp_path, "lock": lock}[what]
    closed.chmod(0o300)
    asked = children.run(bound_by_permissions(children.command(_ASK, tmp_path)))
    closed.chmod(0o700)
    assert AccessDenied.exit_code == json.loads(asked.stdout)[0]
