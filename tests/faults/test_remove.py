"""Removing backups by name: never the last good one unasked, nothing half, nothing that is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pgvow.errors import AlreadyRunning, PgvowError
from pgvow.model import Difference, DifferenceKind, Evidence, Level
from pgvow.operations.notes import NoteOptions, keep_backup
from pgvow.operations.remove import RemovalRefused, RemoveOptions, remove_backups
from pgvow.spool import Spool, removal
from pgvow.store import DirectoryStore, StoredBackup, backups_in, being_read
from tests.support import backups, remove_and_die
from tests.support.commands import ROOT, Commands
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NEWEST = datetime(2026, 11, 20, 2, tzinfo=UTC)
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_CONTEXT = a_context({}, now=_NOW)
_FILES = 5
_DIFFERS = Difference(DifferenceKind.ROWS, "orders", "3", "2")


def fill(directory: Path, count: int = 3, database: str = "shop") -> list[Path]:
    """Place daily backups with globals, proofs and notes; return their dumps, newest first."""
    dumps = []
    for days in range(count):
        facts = backups.metadata(_NEWEST - timedelta(days=days), database=database)
        dump = backups.place(directory, facts)
        dump.with_suffix(".globals.sql").write_bytes(backups.GLOBALS)
        show(dump, Level.VERIFIED)
        keep_backup(StoredBackup.at(dump), NoteOptions(until=timedelta(seconds=1)), _CONTEXT)
        dumps.append(dump)
    return dumps


def show(dump: Path, level: Level, *differences: Difference) -> None:
    """Add the evidence of one check."""
    stored = StoredBackup.at(dump)
    shown = Evidence(level, _NEWEST, 1.0, differences=differences)
    stored.add_evidence(stored.metadata().checksum_sha256, shown)


def remove(
    *dumps: Path, confirm: Sequence[str] = (), at: datetime = _NOW, **more: Any
) -> list[Path]:
    """Remove backups some days later, when no note of ``fill`` holds; return those removed."""
    options = RemoveOptions(frozenset(confirm), **more)
    context = a_context({}, now=at + timedelta(days=1))
    return [each.backup.path for each in remove_backups(dumps, options, context)]


def stems(directory: Path) -> set[str]:
    """The stems of all files that are there."""
    return {path.name.split(".")[0] for path in directory.iterdir()}


def test_remove_takes_all_files_of_a_backup_and_no_others(tmp_path: Path) -> None:
    """Dump, metadata, globals, proof and notes go; the other backups are as they were."""
    newest, second, oldest = fill(tmp_path)
    (removal,) = remove_backups(
        [second], RemoveOptions(), a_context({}, now=_NOW + timedelta(days=1))
    )
    assert {newest.stem, oldest.stem} == stems(tmp_path)
    assert 2 * _FILES == len(list(tmp_path.iterdir()))
    assert _FILES == len(removal.files)
    assert (f"{newest.name} stays: newest verified",) == removal.reasons
    assert removal.size_bytes > len(backups.DUMP)


def test_the_last_good_backup_goes_by_its_full_name_alone(tmp_path: Path) -> None:
    """The newest, the newest proven and the only one: each needs its own name typed again."""
    newest, second, oldest = fill(tmp_path)
    show(oldest, Level.PROVEN)
    for dump, reason in ((newest, "newest verified"), (oldest, "newest proven")):
        for confirm in ((), (second.name,), (dump.name[:-6],)):
            with pytest.raises(RemovalRefused, match=reason):
                remove(dump, confirm=confirm)
    assert 3 * _FILES == len(list(tmp_path.iterdir()))
    assert [second] == remove(second)
    assert [oldest] == remove(oldest, confirm=[oldest.name])
    with pytest.raises(RemovalRefused, match="newest verified"):
        remove(newest)
    assert [newest] == remove(newest, confirm=[newest.stem])
    assert set() == stems(tmp_path)


def test_the_newest_good_backup_is_not_the_newest_file(tmp_path: Path) -> None:
    """A newer one that failed a check may go unasked, and protects no older one."""
    newest, second, _ = fill(tmp_path)
    show(newest, Level.VERIFIED, _DIFFERS)
    with pytest.raises(RemovalRefused, match="newest verified"):
        remove(second)
    assert [newest] == remove(newest)


def test_a_newest_backup_that_cannot_be_read_protects_the_one_before(tmp_path: Path) -> None:
    """Listed as good, with wrong bytes at its head: found and recorded before another goes."""
    newest, second, _ = fill(tmp_path)
    newest.write_bytes(b"x" + newest.read_bytes()[1:])
    with pytest.raises(RemovalRefused, match="newest verified"):
        remove(second)
    proof = StoredBackup.at(newest).proof()
    assert proof is not None
    assert proof.failed is not None
    assert second.exists()


def test_the_last_of_bad_backups_is_asked_for_as_well(tmp_path: Path) -> None:
    """If no backup of a database is good, its newest may be all that there is."""
    newest, second = fill(tmp_path, 2)
    for dump in (newest, second):
        show(dump, Level.VERIFIED, _DIFFERS)
    assert [second] == remove(second)
    with pytest.raises(RemovalRefused, match="the newest there is, and no other is good"):
        remove(newest)


def test_a_part_is_no_substitute_for_the_whole(tmp_path: Path) -> None:
    """A newer backup of one table leaves the newest whole one the last of its kind."""
    (whole,) = fill(tmp_path, 1)
    facts = backups.metadata(_NEWEST + timedelta(hours=1))
    part = backups.place(tmp_path, replace(facts, selection=("--table=orders",)))
    with pytest.raises(RemovalRefused, match="newest verified"):
        remove(whole)
    with pytest.raises(RemovalRefused, match="newest verified"):
        remove(part)


def test_one_refusal_of_several_removes_nothing(tmp_path: Path) -> None:
    """All or none: each is judged as if those before it were gone."""
    newest, second, oldest = fill(tmp_path)
    for dumps in ((oldest, newest), (second, oldest, newest)):
        with pytest.raises(RemovalRefused, match="newest verified"):
            remove(*dumps)
    with pytest.raises(RemovalRefused, match=second.name):
        remove(newest, second, confirm=[newest.name])
    assert 3 * _FILES == len(list(tmp_path.iterdir()))
    assert [newest, second] == remove(newest, second, newest, confirm=[newest.name, second.name])
    assert {oldest.stem} == stems(tmp_path)


def test_a_kept_backup_goes_only_if_that_is_asked_for(tmp_path: Path) -> None:
    """Kept, or with notes that cannot be read: it stays, with the reason, unless asked for."""
    _, kept, broken = fill(tmp_path)
    keep_backup(StoredBackup.at(kept), NoteOptions(note="before the migration"), _CONTEXT)
    broken.with_suffix(".notes.json").write_text("{")
    with pytest.raises(RemovalRefused, match="is kept: before the migration"):
        remove(kept)
    with pytest.raises(RemovalRefused, match="its notes cannot be read"):
        remove(broken)
    assert [kept, broken] == remove(kept, broken, even_kept=True)


def test_files_of_others_are_not_removed(tmp_path: Path) -> None:
    """A renamed backup, a file that is no backup, and nothing at all are refused."""
    (dump,) = fill(tmp_path, 1)
    renamed = tmp_path / "mine.dump"
    renamed.write_bytes(dump.read_bytes())
    for path in (renamed, dump.with_suffix(".proof.json"), tmp_path / "none.dump"):
        with pytest.raises(RemovalRefused):
            remove(path, confirm=[path.name])
    assert renamed.exists()
    assert dump.with_suffix(".proof.json").exists()


def test_a_dry_run_removes_and_records_nothing(tmp_path: Path) -> None:
    """Nothing is removed, nor written beside a backup that turns out to be damaged."""
    newest, second, _ = fill(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert [second] == remove(second, dry_run=True)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    newest.write_bytes(b"x" + newest.read_bytes()[1:])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RemovalRefused):
        remove(second, dry_run=True)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def _without_metadata(dump: Path) -> None:
    dump.with_suffix(".metadata.json").unlink()


def _as_it_is(dump: Path) -> None:
    assert dump.exists()


@pytest.mark.parametrize("change", [_as_it_is, _without_metadata])
@pytest.mark.parametrize("count", range(len(removal.STEPS)))
def test_a_kill_at_any_step_leaves_no_half_removed_backup(
    tmp_path: Path, count: int, change: Any
) -> None:
    """With notes, with or without metadata: listed whole or not, and the next run ends it."""
    newest, *_, oldest = fill(tmp_path)
    keep_backup(StoredBackup.at(oldest), NoteOptions(), _CONTEXT)
    change(oldest)
    files = {path.name for path in tmp_path.iterdir() if path.name.startswith(oldest.stem)}
    command = [sys.executable, remove_and_die.__file__, oldest, str(count)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert -signal.SIGKILL == done.returncode
    listed = {each.path.stem for each in backups_in(DirectoryStore(tmp_path))}
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith(oldest.stem)}
    assert (oldest.stem in listed) is (count == 0)
    assert count > 0 or files == left
    with (spool := Spool(tmp_path)).lock("shop", "dev", backups.clock) as lock:
        spool.recover(backups.clock, holding=lock)
    assert (oldest.stem in stems(tmp_path)) is (count == 0)
    assert newest.stem in stems(tmp_path)


@pytest.mark.parametrize("suffix", [".dump", ".metadata.json", ".notes.json"])
def test_a_folder_in_the_place_of_a_file_keeps_the_others(tmp_path: Path, suffix: str) -> None:
    """Nothing of the backup is removed then."""
    _, old = fill(tmp_path, 2)
    folder = old.with_suffix(suffix)
    folder.unlink()
    folder.mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(PgvowError, match=folder.name):
        remove(old, even_kept=True)
    assert before == {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"}


def test_a_backup_being_read_stays(tmp_path: Path) -> None:
    """It stays while it is read, and while a backup of its database runs; nothing is half gone."""
    _, old = fill(tmp_path, 2)
    with being_read(old), pytest.raises(AlreadyRunning, match="being read"):
        remove(old)
    with Spool(tmp_path).lock("shop", "dev", backups.clock), pytest.raises(AlreadyRunning):
        remove(old)
    assert {"ok"} == {each.status.value for each in backups_in(DirectoryStore(tmp_path))}
    assert [old] == remove(old)


def test_a_backup_kept_after_the_decision_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keep that comes between the decision and the removal saves the backup."""
    _, old = fill(tmp_path, 2)
    real = removal.being_removed

    def keep_first(dump: Path) -> object:
        keep_backup(StoredBackup.at(dump), NoteOptions(), _CONTEXT)
        return real(dump)

    monkeypatch.setattr(removal, "being_removed", keep_first)
    with pytest.raises(AlreadyRunning):
        remove(old)
    assert old.exists()
    monkeypatch.undo()
    with pytest.raises(RemovalRefused, match="is kept"):
        remove(old)


def test_remove_reports_and_records_each_backup(tmp_path: Path) -> None:
    """The report has files, bytes and reasons; history has each removal under its database."""
    _, second, oldest = fill(tmp_path)
    _, chat = fill(tmp_path, 2, database="chat")
    commands = Commands(tmp_path)
    words = ("--output-dir", ".")
    done = commands.pgvow("remove", second.stem, *words, "--dry-run")
    assert (0, True) == (done.code, second.exists()), done.err
    assert f"would remove {second.name}  dev shop, {_FILES} files" in done.out
    done = commands.pgvow("remove", second.name, *words, "--json")
    assert (0, [str(second.name)]) == (done.code, [one["path"] for one in done.json["removed"]])
    assert done.json["removed"][0]["size_bytes"] == done.json["freed_bytes"] > 0
    done = commands.pgvow("remove", oldest.name, chat.name, *words)
    assert (0, True) == (done.code, "2 backups removed" in done.out)
    runs = json.loads(commands.pgvow("history", *words, "--operation", "remove", "--json").out)
    assert sorted([("shop", 0), ("shop", 1), ("", 2), ("shop", 1), ("chat", 1)]) == sorted(
        (run["database"] or "", run["removed"]) for run in runs
    )
    assert {"succeeded"} == {run["outcome"] for run in runs}


def test_a_refused_removal_exits_2_and_says_what_to_type(tmp_path: Path) -> None:
    """2, with the name to type again; with --confirm it goes."""
    (dump,) = fill(tmp_path, 1)
    commands = Commands(tmp_path)
    done = commands.pgvow("remove", "latest", "--output-dir", ".")
    assert 2 == done.code
    assert f"--confirm {dump.name}" in done.err
    assert 2 == commands.pgvow("remove", "--output-dir", ".").code
    done = commands.pgvow("remove", "latest", "--output-dir", ".", "--confirm", dump.name)
    assert (0, False) == (done.code, dump.exists()), done.err


@pytest.mark.parametrize("is_right", [True, False])
def test_a_terminal_asks_for_the_name_of_a_last_good_backup(
    tmp_path: Path, *, is_right: bool
) -> None:
    """A terminal asks for the full name; any other answer removes nothing (2)."""
    (dump,) = fill(tmp_path, 1)
    answer = dump.name if is_right else "yes"
    screen = Commands(tmp_path).on_terminal(
        "remove", "latest", "--output-dir", ".", answers=[("Type its full name", answer)]
    )
    assert (0 if is_right else 2, not is_right) == (screen.code, dump.exists()), screen.text
    assert "newest verified" in screen.text
