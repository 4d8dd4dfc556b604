"""A backup while it is being made."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pgvow import durable
from pgvow.errors import BackupFailed, NoSpace, PgvowError
from pgvow.model import BackupStatus, GlobalsFacts
from pgvow.spool import Spool, publish
from pgvow.store import DirectoryStore, MetadataError, backups_in, decode
from tests.support import backups, children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pgvow.spool import Draft

_STEM = "shop_dev_2025-01-27T14-30-00Z"
_LOCK = ".shop_dev.lock"
_FINAL = {f"{_STEM}.dump", f"{_STEM}.globals.sql", f"{_STEM}.metadata.json"}
_PARTIAL = {f"{_STEM}.dump.partial", f"{_STEM}.globals.sql.partial"}

# Writes more into the globals than files may be large, as a file system may have its limit.
_TOO_LARGE = """
    import resource, sys
    from pathlib import Path
    from pgvow.errors import PgvowError
    from pgvow.spool import Spool
    from tests.support import backups
    store = Spool(Path(sys.argv[1]))
    lock = store.lock("shop", "dev", backups.clock)
    with lock, store.begin("shop", "dev", backups.MOMENT) as draft:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            draft.write_globals(bytes(5000), role_passwords=False)
        except PgvowError as error:
            print(error.status, error.cause)
"""


@contextmanager
def _draft(directory: Path) -> Iterator[Draft]:
    store = Spool(directory)
    with (
        store.lock("shop", "dev", backups.clock),
        store.begin("shop", "dev", backups.MOMENT) as draft,
    ):
        yield draft


def _publish_after(directory: Path, meddle: Callable[[Draft], object]) -> None:
    with _draft(directory) as draft:
        facts = backups.fill(draft)
        meddle(draft)
        draft.publish(facts)


def test_a_draft_has_no_final_name_before_publishing(tmp_path: Path) -> None:
    """A draft is told apart by its name, and not listed."""
    with _draft(tmp_path) as draft:
        backups.fill(draft)
        assert _PARTIAL | {_LOCK} == backups.contents(tmp_path)
        assert [] == backups_in(DirectoryStore(tmp_path))


def test_publish_names_dump_globals_and_metadata(tmp_path: Path) -> None:
    """Dump, globals and metadata are there, whole and 0600, and nothing else is."""
    with _draft(tmp_path) as draft:
        facts = backups.fill(draft)
        backup = draft.publish(facts)
    assert _FINAL == backups.contents(tmp_path)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert draft.dump_path.read_bytes() == backups.DUMP
    assert draft.globals_path.read_bytes() == backups.GLOBALS
    assert facts == decode(draft.metadata_path.read_bytes())
    assert BackupStatus.OK == backup.status
    assert [backup] == backups_in(DirectoryStore(tmp_path))


def test_permissions_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Dump and globals hold secrets: 0600 however generous the user's umask is."""
    before = os.umask(0)
    try:
        with _draft(tmp_path) as draft:
            draft.publish(backups.fill(draft))
        Spool(tmp_path / "a" / "b").prepare()
    finally:
        os.umask(before)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert dict.fromkeys(_FINAL, 0o600) | {"a": 0o700, "b": 0o700} == found


def test_a_backup_without_globals_names_none(tmp_path: Path) -> None:
    """Globals are a choice: without them there is no file, and the metadata names none."""
    with _draft(tmp_path) as draft:
        draft.publish(backups.fill(draft, with_globals=False))
    assert {f"{_STEM}.dump", f"{_STEM}.metadata.json"} == backups.contents(tmp_path)
    assert "globals" not in json.loads(draft.metadata_path.read_bytes())


def test_globals_are_recorded_from_their_bytes(tmp_path: Path) -> None:
    """The metadata of the globals come from their bytes."""
    with _draft(tmp_path) as draft:
        found = draft.write_globals(backups.GLOBALS, role_passwords=True)
    digest = hashlib.sha256(backups.GLOBALS).hexdigest()
    expected = GlobalsFacts(f"{_STEM}.globals.sql", len(backups.GLOBALS), digest, True)  # noqa: FBT003 - the field has a name
    assert expected == found


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_leaving_without_publishing_removes_everything(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """A failure and an interruption leave nothing; finished backups stay."""
    earlier = backups.place(tmp_path, backups.metadata(database="other"))

    def fail(_: Draft) -> None:
        raise error

    with pytest.raises(error):
        _publish_after(tmp_path, fail)
    expected = {earlier.name, earlier.name.replace(".dump", ".metadata.json")}
    assert expected == backups.contents(tmp_path)


def test_buffered_bytes_are_flushed_before_publishing(tmp_path: Path) -> None:
    """A file the engine left open is flushed before its size is taken."""
    with _draft(tmp_path) as draft:
        draft.open_dump().write(backups.DUMP)
        draft.publish(backups.metadata())
    assert draft.dump_path.read_bytes() == backups.DUMP


def test_the_dump_can_be_written_by_a_program(tmp_path: Path) -> None:
    """The open file serves as the standard output of the program that makes the dump."""
    code = "import sys; sys.stdout.write('PGDMP')"
    with _draft(tmp_path) as draft, draft.open_dump() as file:
        argv = children.command(code)
        subprocess.run(argv, stdout=file, check=True)
        assert draft.dump_partial.read_bytes() == b"PGDMP"


def test_open_dump_refuses_an_existing_file_or_link(tmp_path: Path) -> None:
    """Neither a file nor a link that somebody put there is written into."""
    target = tmp_path / "precious"
    target.write_text("kept")
    with _draft(tmp_path) as draft:
        draft.dump_partial.symlink_to(target)
        with pytest.raises(PgvowError, match="File exists"):
            draft.open_dump()
    assert target.read_text() == "kept"


@pytest.mark.parametrize("suffix", [".dump", ".globals.sql", ".metadata.json"])
def test_publish_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A file that took one of the names meanwhile stays, and nothing at all is renamed."""
    theirs = tmp_path / (_STEM + suffix)
    monkeypatch.delattr(durable, "rename_new")
    with pytest.raises(BackupFailed, match="not overwritten") as caught:
        _publish_after(tmp_path, lambda _: theirs.write_text("theirs"))
    assert {theirs.name} == backups.contents(tmp_path)
    assert theirs.read_text() == "theirs"
    assert {"Path": str(theirs)} == caught.value.facts


@pytest.mark.parametrize(
    "wrong",
    [
        {"backup_timestamp": backups.MOMENT.replace(year=2024)},
        {"environment": "prod"},
        {"database_name": "other"},
        {"backup_file": "other.dump"},
        {"backup_size_bytes": 1},
        {"globals": None},
    ],
)
def test_publish_refuses_metadata_of_another_backup(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """A backup that its own metadata contradicts does not come about."""
    (key,) = wrong
    with pytest.raises(BackupFailed, match=f"something else: {key} is"), _draft(tmp_path) as draft:
        draft.publish(replace(backups.fill(draft), **wrong))
    assert set() == backups.contents(tmp_path)


def test_publish_refuses_invalid_metadata(tmp_path: Path) -> None:
    """Metadata that cannot be read back are not published."""
    with pytest.raises(MetadataError), _draft(tmp_path) as draft:
        draft.publish(replace(backups.fill(draft), seconds=float("nan")))
    assert set() == backups.contents(tmp_path)


def test_publish_without_a_dump_is_refused(tmp_path: Path) -> None:
    """Metadata alone is no backup."""
    with pytest.raises(PgvowError, match="No such file"), _draft(tmp_path) as draft:
        draft.publish(backups.metadata())
    assert set() == backups.contents(tmp_path)


def test_publish_twice_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """A finished backup is never touched, by its own draft neither."""
    with _draft(tmp_path) as draft:
        facts = backups.fill(draft)
        draft.publish(facts)
        with pytest.raises(PgvowError):
            draft.publish(facts)
        draft.discard()
    assert _FINAL == backups.contents(tmp_path)


@pytest.mark.parametrize("done", range(len(publish.STEPS) + 1))
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_publishing_that_fails_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int, error: type[BaseException]
) -> None:
    """Interrupted or failing after any step, the backup is whole or gone."""

    def fail(_: object) -> None:
        raise error(errno.ENOSPC, "full")

    monkeypatch.setattr(publish, "STEPS", (*publish.STEPS[:done], fail))
    raised = NoSpace if error is OSError else error
    with pytest.raises(raised), _draft(tmp_path) as draft:
        draft.publish(backups.fill(draft))
    is_published = publish.rename_metadata in publish.STEPS
    assert (_FINAL if is_published else set()) == backups.contents(tmp_path)


def test_publishing_reaches_the_disk_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contents before names, the dump's name before the metadata's, each on the disk."""
    seen: list[str] = []
    real_rename = durable.rename_new

    def sync(fd: int) -> None:
        inode = os.fstat(fd).st_ino
        files = [tmp_path, *tmp_path.iterdir()]
        seen.extend(f"sync {path.name}" for path in files if path.stat().st_ino == inode)

    def rename(directory: int, name: str, new: str) -> None:
        seen.append(f"rename {new}")
        real_rename(directory, name, new)

    monkeypatch.setattr(durable, "sync", sync)
    monkeypatch.setattr(durable, "rename_new", rename)
    with _draft(tmp_path) as draft:
        draft.publish(backups.fill(draft))
    expected = [
        f"sync {_STEM}.globals.sql.partial",
        f"sync {_STEM}.dump.partial",
        f"sync {_STEM}.metadata.json.partial",
        f"sync {tmp_path.name}",
        f"rename {_STEM}.dump",
        f"rename {_STEM}.globals.sql",
        f"sync {tmp_path.name}",
        f"rename {_STEM}.metadata.json",
        f"sync {tmp_path.name}",
    ]
    assert expected == seen


def test_discard_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error is the one reported; the rest is left to the next run."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    def fail(_: Draft) -> None:
        monkeypatch.setattr(os, "unlink", refuse)
        raise KeyError

    with pytest.raises(KeyError):
        _publish_after(tmp_path, fail)
    assert backups.contents(tmp_path) >= _PARTIAL


def test_a_file_size_limit_exits_5(tmp_path: Path) -> None:
    """Met midway as well, a limit of the disk is exit code 5, and nothing is left."""
    done = children.run(children.command(_TOO_LARGE, tmp_path))
    path = tmp_path / f"{_STEM}.globals.sql.partial"
    assert f"5 cannot write {path}: File too large\n" == done.stdout + done.stderr
    assert set() == backups.contents(tmp_path)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_directory_fsync_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some network file systems refuse to sync a directory; that is no failure."""

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable, "sync", refuse)
    durable.sync_directory(tmp_path)


def test_a_failed_fsync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk itself is never taken for a missing feature."""

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(durable, "sync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        durable.sync_directory(tmp_path)


@pytest.mark.parametrize(
    ("answer", "expected"), [(None, ["full"]), (errno.ENOTSUP, ["full", "plain"])]
)
def test_f_fullfsync_is_used_if_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None, expected: list[str]
) -> None:
    """F_FULLFSYNC reaches the disk on macOS; if it is refused, fsync is called."""
    seen: list[str] = []

    def full(*_: object) -> int:
        seen.append("full")
        if answer is not None:
            raise OSError(answer, os.strerror(answer))
        return 0

    monkeypatch.setattr(durable, "_FULL_SYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", full)
    monkeypatch.setattr(os, "fsync", lambda _: seen.append("plain"))
    durable.write_new(tmp_path / "x", b"x")
    assert expected == seen


def test_a_failed_f_fullfsync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the drive is never answered by asking it less."""

    def full(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(durable, "_FULL_SYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", full)
    with pytest.raises(OSError, match="Input/output"):
        durable.write_new(tmp_path / "x", b"x")
