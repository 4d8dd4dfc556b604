"""The directory of backups, and the names given in it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections import namedtuple
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from pgvow import durable
from pgvow.errors import AccessDenied, NoSpace, PgvowError
from pgvow.spool import Spool
from pgvow.store import backups_in, names
from tests.support import backups, children
from tests.support.privileges import bound_by_permissions

# Calls one method of a store and tells how it ended.
_CALL = """
    import json, sys
    from pathlib import Path
    from pgvow.errors import PgvowError
    from pgvow.spool import Spool
    try:
        getattr(Spool(Path(sys.argv[1])), sys.argv[2])()
    except PgvowError as error:
        print(json.dumps([error.status, error.cause, error.facts["Path"]]))
    else:
        print(json.dumps([0]))
"""


def _call(directory: Path, method: str) -> list[object]:
    argv = bound_by_permissions(children.command(_CALL, directory, method))
    done = children.run(argv)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_prepare_makes_the_directory_for_its_owner_only(tmp_path: Path) -> None:
    """A missing directory is made, and those above it, each 0700; nothing else is in it."""
    directory = tmp_path / "db" / "backups"
    Spool(directory).prepare()
    assert [0o700, 0o700] == [_mode(directory), _mode(directory.parent)]
    assert set() == backups.contents(directory)


def test_prepare_changes_nothing_of_an_existing_directory(tmp_path: Path) -> None:
    """Permissions and contents of a directory that exists are its owner's choice."""
    tmp_path.chmod(0o755)
    (tmp_path / "mine").touch()
    store = Spool(tmp_path)
    store.prepare()
    store.prepare()
    assert _mode(tmp_path) == 0o755
    assert {"mine"} == backups.contents(tmp_path)


def test_prepare_takes_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is a path under the current directory."""
    monkeypatch.chdir(tmp_path)
    Spool(Path("db/backups")).prepare()
    assert (tmp_path / "db" / "backups").is_dir()


def test_prepare_follows_a_link(tmp_path: Path) -> None:
    """A link to a directory on another disk is a directory."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "backups").symlink_to("disk")
    Spool(tmp_path / "backups").prepare()
    assert (tmp_path / "backups").is_symlink()


@pytest.mark.parametrize("name", ["file", "dangling", "file/below"])
def test_prepare_refuses_a_path_that_is_no_directory(tmp_path: Path, name: str) -> None:
    """A file, a link that leads nowhere, a path through a file: each with its path."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(PgvowError) as caught:
        Spool(tmp_path / name).prepare()
    assert {"Path": str(tmp_path / name)} == caught.value.facts
    assert caught.value.steps


def test_prepare_syncs_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new directory's name is on the disk before a backup inside is called safe."""
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_directory", synced.append)
    Spool(tmp_path / "db" / "backups").prepare()
    assert [tmp_path, tmp_path / "db"] == synced


@pytest.mark.parametrize(("mode", "status"), [(0o500, 4), (0o300, 0), (0o700, 0)])
def test_prepare_refuses_an_unwritable_directory(tmp_path: Path, mode: int, status: int) -> None:
    """A directory that may not be written into is exit code 4; root is no exception."""
    directory = tmp_path / "backups"
    directory.mkdir()
    directory.chmod(mode)
    try:
        found = _call(directory, "prepare")
    finally:
        directory.chmod(0o700)
    assert status == found[0]
    assert set() == backups.contents(directory)


def test_prepare_fails_below_an_unwritable_directory(tmp_path: Path) -> None:
    """The error has the path and the system's own words."""
    tmp_path.chmod(0o500)
    try:
        found = _call(tmp_path / "backups", "prepare")
    finally:
        tmp_path.chmod(0o700)
    path = str(tmp_path / "backups")
    assert [4, f"cannot create the directory {path}: Permission denied", path] == found


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EROFS, AccessDenied)],
)
def test_prepare_distinguishes_a_full_disk_from_no_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[PgvowError]
) -> None:
    """The error of the first byte decides; its file is gone."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(kind):
            Spool(tmp_path).prepare()
    assert set() == backups.contents(tmp_path)


def test_free_bytes_excludes_the_reserve_of_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space kept for root does not count."""
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil has it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 60, 35))
    assert Spool(tmp_path).free_bytes() == 35


def test_free_bytes_of_a_missing_directory_raises_our_error(tmp_path: Path) -> None:
    """A missing directory has no free space to report."""
    assert Spool(tmp_path).free_bytes() > 0
    with pytest.raises(PgvowError, match="No such file"):
        Spool(tmp_path / "gone").free_bytes()


def test_begin_needs_the_lock(tmp_path: Path) -> None:
    """Without the lock two runs could take the same name."""
    with pytest.raises(RuntimeError, match="lock"):
        Spool(tmp_path).begin("shop", "dev", backups.MOMENT)


def test_begin_names_the_backup_for_the_second_in_utc(tmp_path: Path) -> None:
    """UTC, whole seconds, a safe name; and no file until something is written."""
    store = Spool(tmp_path)
    moment = backups.MOMENT.astimezone(timezone(timedelta(hours=-5))).replace(microsecond=999_999)
    with (
        store.lock("a/b", "prod", backups.clock) as held,
        store.begin("a/b", "prod", moment) as draft,
    ):
        assert draft.stem == "a%2Fb_prod_2025-01-27T14-30-00Z"
        assert (backups.MOMENT, "a/b", "prod") == (draft.moment, draft.database, draft.environment)
        assert draft.dump_path == tmp_path / "a%2Fb_prod_2025-01-27T14-30-00Z.dump"
        assert {held.path.name} == backups.contents(tmp_path)


_TAKEN = [suffix + ending for suffix in names.SUFFIXES for ending in ("", names.PARTIAL)]


@pytest.mark.parametrize("suffix", _TAKEN)
def test_begin_skips_a_taken_name(tmp_path: Path, suffix: str) -> None:
    """Whatever exists of that second, finished or not, the next free second is taken."""
    (tmp_path / f"shop_dev_2025-01-27T14-30-00Z{suffix}").touch()
    (tmp_path / f"shop_dev_2025-01-27T14-30-01Z{suffix}").symlink_to("nowhere")
    store = Spool(tmp_path)
    with (
        store.lock("shop", "dev", backups.clock),
        store.begin("shop", "dev", backups.MOMENT) as draft,
    ):
        assert draft.stem == "shop_dev_2025-01-27T14-30-02Z"
        assert backups.MOMENT + timedelta(seconds=2) == draft.moment


def test_two_backups_within_a_second_have_two_names(tmp_path: Path) -> None:
    """Running it again at once makes another backup and leaves the first."""
    store = Spool(tmp_path)
    for _ in range(2):
        with (
            store.lock("shop", "dev", backups.clock),
            store.begin("shop", "dev", backups.MOMENT) as draft,
        ):
            draft.publish(backups.fill(draft))
    expected = ["shop_dev_2025-01-27T14-30-01Z.dump", "shop_dev_2025-01-27T14-30-00Z.dump"]
    assert expected == [backup.path.name for backup in backups_in(store.store)]
