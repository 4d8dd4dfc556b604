"""Recovery of dead runs. Runs are killed for real, at each step of publishing."""

from __future__ import annotations

import signal
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import PgvowError
from pgvow.model import BackupStatus
from pgvow.spool import Recovered, RecoveryAction, RunLock, Spool, publish, recovery
from pgvow.spool.files import BackupFiles
from pgvow.store import DirectoryStore, backups_in, encode, names
from pgvow.store.names import partial
from tests.support import backups, children
from tests.support.privileges import bound_by_permissions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STEM = "shop_dev_2025-01-27T14-30-00Z"
_LOCK = ".shop_dev.lock"
_STEPS = range(len(publish.STEPS) + 1)

# A run in the midst of its dump, until it is killed.
_DUMPING = """
    import sys
    from pathlib import Path
    from pgvow.spool import Spool
    from tests.support import backups
    store = Spool(Path(sys.argv[1]))
    lock = store.lock("shop", "dev", backups.clock)
    with lock, store.begin("shop", "dev", backups.MOMENT) as draft:
        backups.fill(draft)
        print("ready", flush=True)
        sys.stdin.read()
"""

_RECOVER = """
    import sys
    from pathlib import Path
    from pgvow.spool import Spool
    from tests.support import backups
    for done in Spool(Path(sys.argv[1])).recover(backups.clock):
        print(done.action, len(done.files), done.complaint)
"""


def _publish_and_die(directory: Path, done: int, kind: str, when: str = "publish") -> None:
    argv = children.command("", directory, done, kind, when)
    argv[1:3] = ["-m", "tests.support.publish_and_die"]
    died = children.run(argv)
    assert (-signal.SIGKILL, "") == (died.returncode, died.stderr)


def _has(step: publish.Step, done: int) -> bool:
    return step in publish.STEPS[:done]


def _finished(kind: str) -> set[str]:
    suffixes = [names.DUMP, names.METADATA] + [names.GLOBALS] * (kind == "globals")
    return {_STEM + suffix for suffix in suffixes}


def _half_made(directory: Path, *, with_globals: bool = True) -> BackupFiles:
    """Leave a dump that has its name already, and all else partial."""
    store = Spool(directory)
    with store.lock("shop", "dev", backups.clock):
        draft = store.begin("shop", "dev", backups.MOMENT)
        facts = backups.fill(draft, with_globals=with_globals)
    files = BackupFiles(directory, _STEM)
    partial(files.dump).rename(files.dump)
    partial(files.metadata).write_bytes(encode(facts))
    return files


@pytest.mark.parametrize("kind", ["globals", "plain"])
@pytest.mark.parametrize("done", _STEPS)
def test_a_run_killed_while_publishing_is_all_or_nothing(
    tmp_path: Path, done: int, kind: str
) -> None:
    """Killed after any step, nothing half-made is listed, before or after clean-up.

    Before the dump has its name everything goes; afterwards the backup is completed; a finished
    one stays as it is.
    """
    store = Spool(tmp_path)
    _publish_and_die(tmp_path, done, kind)
    is_whole, is_published = _has(publish.rename_dump, done), _has(publish.rename_metadata, done)
    assert [BackupStatus.OK] * is_published == [backup.status for backup in backups_in(store.store)]

    actions = [recovered.action for recovered in store.recover(backups.clock)]
    expected = RecoveryAction.COMPLETED if is_whole else RecoveryAction.REMOVED
    assert [expected] * (not is_published) == actions
    assert [BackupStatus.OK] * is_whole == [backup.status for backup in backups_in(store.store)]
    left = _finished(kind) if is_whole else set()
    assert left == backups.contents(tmp_path) - {_LOCK}


def test_the_lock_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    """It goes with the next run, whichever database's; a live run's stays, and a stranger's."""
    store = Spool(tmp_path)
    (tmp_path / ".source-123-5.lock").touch()
    (tmp_path / ".source-somebody.lock").touch()
    with store.lock_source("123-6", backups.clock):
        store.recover(backups.clock)
        assert {".source-123-6.lock", ".source-somebody.lock"} == backups.contents(tmp_path)


@pytest.mark.parametrize("done", _STEPS)
def test_the_next_run_after_a_kill_succeeds(tmp_path: Path, done: int) -> None:
    """Running it again is always safe: it recovers, and makes a backup of its own."""
    store = Spool(tmp_path)
    _publish_and_die(tmp_path, done, "globals")
    with store.lock("shop", "dev", backups.clock) as held:
        store.recover(backups.clock, holding=held)
        with store.begin("shop", "dev", backups.MOMENT) as draft:
            draft.publish(backups.fill(draft))
    is_whole = _has(publish.rename_dump, done)
    assert [BackupStatus.OK] * (1 + is_whole) == [
        backup.status for backup in backups_in(store.store)
    ]
    assert not [name for name in backups.contents(tmp_path) if name.endswith(names.PARTIAL)]
    assert _LOCK not in backups.contents(tmp_path)


@pytest.mark.parametrize("kind", ["globals", "plain"])
@pytest.mark.parametrize("undone", range(2))
def test_a_run_killed_while_undoing_a_publish_is_all_or_nothing(
    tmp_path: Path, undone: int, kind: str
) -> None:
    """Interrupted while publishing, then killed while clearing that away."""
    if (undone, kind) == (1, "plain"):
        undone = 0  # without globals there is one rename only
    _publish_and_die(tmp_path, undone, kind, "undo")
    store = Spool(tmp_path)
    assert [] == backups_in(store.store)
    assert [RecoveryAction.COMPLETED] == [
        recovered.action for recovered in store.recover(backups.clock)
    ]
    assert [BackupStatus.OK] == [backup.status for backup in backups_in(store.store)]
    assert _finished(kind) == backups.contents(tmp_path)


def test_a_live_run_is_left_alone_and_a_dead_one_is_not(tmp_path: Path) -> None:
    """Files of another run stay, until that run is dead."""
    store = Spool(tmp_path)
    child = children.start(children.command(_DUMPING, tmp_path))
    before = backups.contents(tmp_path)
    try:
        assert [] == store.recover(backups.clock)
        with store.lock("other", "dev", backups.clock) as held:
            assert [] == store.recover(backups.clock, holding=held)
        assert before == backups.contents(tmp_path)
        assert [] == backups_in(store.store)
    finally:
        children.end(child)
    files = BackupFiles(tmp_path, _STEM)
    expected = Recovered(
        _STEM, RecoveryAction.REMOVED, (partial(files.dump), partial(files.globals))
    )
    assert [expected] == store.recover(backups.clock)
    assert set() == backups.contents(tmp_path)


def test_a_lock_of_this_process_protects_its_files(tmp_path: Path) -> None:
    """The lock that this process holds protects as well; ``holding`` lifts that, if held."""
    store = Spool(tmp_path)
    partial(BackupFiles(tmp_path, _STEM).dump).touch()
    other = Spool(tmp_path / "other").lock("shop", "dev", backups.clock)
    with store.lock("shop", "dev", backups.clock) as held:
        assert [] == store.recover(backups.clock)
        assert [] == store.recover(backups.clock, holding=store.lock("shop", "dev", backups.clock))
        assert [] == store.recover(backups.clock, holding=other)
        assert [RecoveryAction.REMOVED] == [
            done.action for done in store.recover(backups.clock, holding=held)
        ]


def test_one_run_recovers_every_dead_run_of_the_directory(tmp_path: Path) -> None:
    """One run clears up after all that died in this directory."""
    stems = [
        names.stem(database, environment, backups.MOMENT + timedelta(seconds=second))
        for database in ("a", "b/c")
        for environment in ("dev", "prod")
        for second in range(2)
    ]
    for stem in stems:
        partial(BackupFiles(tmp_path, stem).dump).touch()
    recovered = Spool(tmp_path).recover(backups.clock)
    assert sorted(stems) == sorted(done.stem for done in recovered)
    assert set() == backups.contents(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "notes.partial",
        "shop.dump.partial",
        "shop_dev_2025-13-27T14-30-00Z.dump.partial",
        "my shop_dev_2025-01-27T14-30-00Z.dump.partial",
        f"{_STEM}.dump.1234.partial",
        f"{_STEM}.dump.part",
        f"{_STEM}.sql.partial",
        f"{_STEM}.proof.json.partial",
        f".{_STEM}.dump.partial",
        f"{_STEM}.dump",
        f"{_STEM}.globals.sql",
    ],
)
def test_foreign_files_are_never_touched(tmp_path: Path, name: str) -> None:
    """A name that is not exactly one of ours, or is a finished one, is somebody's."""
    (tmp_path / name).write_text("theirs")
    assert [] == Spool(tmp_path).recover(backups.clock)
    assert {name} == backups.contents(tmp_path)


def test_stray_partial_files_beside_a_backup_are_removed(tmp_path: Path) -> None:
    """A stray partial file beside a finished backup goes, the backup stays."""
    path = backups.place(tmp_path, backups.metadata())
    before = backups.contents(tmp_path)
    files = BackupFiles(tmp_path, _STEM)
    partial(files.metadata).write_text("stray")
    assert [RecoveryAction.REMOVED] == [
        done.action for done in Spool(tmp_path).recover(backups.clock)
    ]
    assert before == backups.contents(tmp_path)
    assert path.read_bytes() == backups.DUMP


def _other_bytes(files: BackupFiles) -> None:
    files.dump.write_bytes(backups.DUMP.replace(b"PGDMP", b"PGDMQ"))


def _other_size(files: BackupFiles) -> None:
    files.dump.write_bytes(backups.DUMP + b"!")


def _broken_metadata(files: BackupFiles) -> None:
    partial(files.metadata).write_bytes(partial(files.metadata).read_bytes()[:-9])


def _other_file(files: BackupFiles) -> None:
    facts = backups.metadata(backups.MOMENT + timedelta(seconds=1))
    partial(files.metadata).write_bytes(encode(facts))


def _no_globals(files: BackupFiles) -> None:
    partial(files.globals).unlink()


def _other_globals(files: BackupFiles) -> None:
    partial(files.globals).write_bytes(b"DROP ROLE app;\n")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_other_bytes, "another SHA-256"),
        (_other_size, "another size"),
        (_broken_metadata, "is not JSON"),
        (_other_file, "of another file"),
        (_no_globals, "globals.sql is missing"),
        (_other_globals, "not what the metadata says"),
    ],
)
def test_a_dump_that_contradicts_its_metadata_is_not_completed(
    tmp_path: Path, damage: Callable[[BackupFiles], None], complaint: str
) -> None:
    """Unless everything is as the metadata says, the dump stays, as unknown, and is told."""
    files = _half_made(tmp_path)
    damage(files)
    dump = files.dump.read_bytes()
    (done,) = Spool(tmp_path).recover(backups.clock)
    assert done.action is RecoveryAction.REMOVED
    assert complaint in str(done.complaint)
    assert {files.dump.name} == backups.contents(tmp_path)
    assert dump == files.dump.read_bytes()
    statuses = [backup.status for backup in backups_in(DirectoryStore(tmp_path))]
    assert [BackupStatus.METADATA_MISSING] == statuses


def test_globals_unknown_to_the_metadata_are_not_published(tmp_path: Path) -> None:
    """A backup is completed with the files that its metadata name, no more."""
    files = _half_made(tmp_path, with_globals=False)
    partial(files.globals).write_bytes(b"stray")
    (done,) = Spool(tmp_path).recover(backups.clock)
    assert Recovered(_STEM, RecoveryAction.COMPLETED, (files.dump, files.metadata)) == done
    assert _finished("plain") == backups.contents(tmp_path)


def test_globals_with_their_final_name_are_checked(tmp_path: Path) -> None:
    """Under its final name the file must match the metadata as well."""
    files = _half_made(tmp_path)
    partial(files.globals).rename(files.globals)
    files.globals.write_bytes(b"theirs")
    (done,) = Spool(tmp_path).recover(backups.clock)
    assert done.action is RecoveryAction.REMOVED
    assert {files.dump.name, files.globals.name} == backups.contents(tmp_path)


def test_unreadable_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails to read proves nothing; nothing is removed, and other stems are."""
    _half_made(tmp_path)
    other = partial(BackupFiles(tmp_path, names.stem("a", "dev", backups.MOMENT)).dump)
    other.touch()
    before = backups.contents(tmp_path) - {other.name}

    def fail(_: Path) -> tuple[str, int]:
        raise PgvowError("Input/output error")

    monkeypatch.setattr(recovery, "sha256_of", fail)
    actions = {
        done.stem: (done.action, done.complaint) for done in Spool(tmp_path).recover(backups.clock)
    }
    assert (RecoveryAction.LEFT, "Input/output error") == actions[_STEM]
    assert before == backups.contents(tmp_path)


def test_a_read_only_directory_does_not_fail_the_run(tmp_path: Path) -> None:
    """In a directory we may only read, clean-up says so and does not fail the run."""
    partial(BackupFiles(tmp_path, _STEM).dump).touch()
    tmp_path.chmod(0o500)
    try:
        done = children.run(bound_by_permissions(children.command(_RECOVER, tmp_path)))
    finally:
        tmp_path.chmod(0o700)
    assert done.stderr == ""
    assert done.stdout.startswith(f"left 1 cannot lock {tmp_path / _LOCK}: Permission denied")


def test_a_directory_with_a_partial_name_is_reported_and_kept(tmp_path: Path) -> None:
    """A directory of a partial file's name is no file of ours, and stops nothing."""
    path = partial(BackupFiles(tmp_path, _STEM).dump)
    path.mkdir()
    (done,) = Spool(tmp_path).recover(backups.clock)
    assert (RecoveryAction.LEFT, (path,)) == (done.action, done.files)
    assert str(done.complaint).startswith(f"cannot recover {tmp_path / _STEM}.dump: ")


def test_a_backup_published_before_our_lock_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup published between our first look and our lock is left alone."""
    files = _half_made(tmp_path)
    real = RunLock.__enter__

    def publish_first(lock: RunLock) -> RunLock:
        partial(files.globals).rename(files.globals)
        partial(files.metadata).rename(files.metadata)
        return real(lock)

    monkeypatch.setattr(RunLock, "__enter__", publish_first)
    assert [] == Spool(tmp_path).recover(backups.clock)
    assert _finished("globals") == backups.contents(tmp_path)


def test_recovery_is_idempotent(tmp_path: Path) -> None:
    """The second time there is nothing left to do."""
    _half_made(tmp_path)
    store = Spool(tmp_path)
    assert len(store.recover(backups.clock)) == 1
    assert [] == store.recover(backups.clock)
    assert _finished("globals") == backups.contents(tmp_path)


def test_a_missing_directory_has_nothing_to_recover(tmp_path: Path) -> None:
    """Before the first backup there is nothing to see to."""
    assert [] == Spool(tmp_path / "gone").recover(backups.clock)


def test_a_completed_backup_equals_the_published_one(tmp_path: Path) -> None:
    """A backup rolled forward reads as the run would have published it."""
    files = _half_made(tmp_path)
    Spool(tmp_path).recover(backups.clock)
    (backup,) = backups_in(DirectoryStore(tmp_path))
    assert backup.metadata is not None
    assert backups.metadata() == replace(backup.metadata, globals=None)
    assert files.globals.read_bytes() == backups.GLOBALS
