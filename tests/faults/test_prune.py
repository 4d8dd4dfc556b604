"""Pruning a directory: files removed, files kept, and the state after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pgvow.model import Evidence, Level
from pgvow.operations.prune import PruneOptions, prune
from pgvow.retention import RetentionRules
from pgvow.spool import Spool, removal
from pgvow.store import DirectoryStore, StoredBackup, backups_in, being_read
from tests.support import backups, prune_and_die
from tests.support.commands import ROOT, Commands, settings_for
from tests.support.contexts import a_context
from tests.support.privileges import bound_by_permissions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_NEWEST = datetime(2026, 11, 20, 2, tzinfo=UTC)
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_CONTEXT = a_context({}, now=_NOW)


def fill(directory: Path, count: int = 4, database: str = "shop") -> list[Path]:
    """Place daily backups with globals and proofs, and return their dumps, newest first."""
    dumps = []
    for days in range(count):
        facts = backups.metadata(_NEWEST - timedelta(days=days), database=database)
        dump = backups.place(directory, facts)
        dump.with_suffix(".globals.sql").write_bytes(backups.GLOBALS)
        StoredBackup.at(dump).add_evidence(
            facts.checksum_sha256, Evidence(Level.VERIFIED, _NEWEST, 1.0)
        )
        dumps.append(dump)
    return dumps


def options(directory: Path, rules: RetentionRules, **more: object) -> PruneOptions:
    """Prune everything by these rules."""
    return replace(PruneOptions(directory, lambda _: rules), **more)  # type: ignore[arg-type]


def stems(directory: Path) -> set[str]:
    """The stems of all files that are there."""
    return {path.name.split(".")[0] for path in directory.iterdir()}


def test_prune_removes_all_files_of_a_backup_and_no_others(tmp_path: Path) -> None:
    """All files of a removed backup go, those of the others stay, and the bytes are told."""
    newest, second, *others = fill(tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    result = prune(options(tmp_path, RetentionRules(last=2)), _CONTEXT)
    assert sorted(others) == sorted(backup.path for backup in result.removed)
    assert {newest.stem, second.stem} == stems(tmp_path)
    assert 8 == len(list(tmp_path.iterdir()))
    assert size - sum(path.stat().st_size for path in tmp_path.iterdir()) == result.freed_bytes
    assert [] == result.left


def test_without_rules_nothing_is_removed(tmp_path: Path) -> None:
    """Without rules nothing is removed."""
    fill(tmp_path)
    assert [] == prune(options(tmp_path, RetentionRules()), _CONTEXT).removed
    assert 16 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("count", range(len(removal.STEPS)))
def test_a_kill_at_any_step_leaves_no_half_removed_backup(tmp_path: Path, count: int) -> None:
    """No half is ever listed, no whole one is harmed, and the next run finishes."""
    newest, *_, oldest = fill(tmp_path)
    before = stems(tmp_path)
    command = [sys.executable, prune_and_die.__file__, tmp_path, str(count)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert -signal.SIGKILL == done.returncode
    listed = backups_in(DirectoryStore(tmp_path))
    assert {"ok"} == {backup.status.value for backup in listed}
    assert {path.stem for path in (newest,)} <= {backup.path.stem for backup in listed}
    begun = before - {backup.path.stem for backup in listed}
    assert begun == (set() if count == 0 else {oldest.stem})
    result = prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    assert {newest.stem} == stems(tmp_path)
    expected = {oldest.stem} if 0 < count < len(removal.STEPS) - 1 else set()
    assert expected == set(result.finished)


def test_the_next_backup_finishes_a_killed_prune(tmp_path: Path) -> None:
    """A removal that a killed prune began is finished by a backup of the same database as well."""
    fill(tmp_path, 2)
    command = [sys.executable, prune_and_die.__file__, tmp_path, "2"]
    subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    store = Spool(tmp_path)
    with store.lock("shop", "dev", backups.clock) as lock:
        assert ["pruned"] == [
            done.action.value for done in store.recover(backups.clock, holding=lock)
        ]
    assert 1 == len(stems(tmp_path))


@pytest.mark.parametrize("suffix", [".globals.sql", ".proof.json"])
def test_a_directory_in_place_of_a_file_keeps_the_backup(tmp_path: Path, suffix: str) -> None:
    """Nothing of that backup is removed; a removal that has begun is finished around the folder."""
    _, old = fill(tmp_path, 2)
    folder = old.with_suffix(suffix)
    folder.unlink()
    folder.mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    assert before == {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"}
    old.unlink()
    old.with_suffix(".metadata.json").rename(old.with_suffix(".metadata.json.removing"))
    result = prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    assert [old.stem] == result.finished
    assert [folder] == [path for path in tmp_path.iterdir() if path.name.startswith(old.stem)]


def test_a_stray_removal_mark_removes_nothing(tmp_path: Path) -> None:
    """A file with the name of a removal's, beside whole metadata, begins no removal."""
    (dump,) = fill(tmp_path, 1)
    stray = dump.with_suffix(".metadata.json.removing")
    stray.write_text("somebody's")
    prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    with (store := Spool(tmp_path)).lock("shop", "dev", backups.clock) as lock:
        store.recover(backups.clock, holding=lock)
    assert dump.exists()
    assert dump.with_suffix(".metadata.json").exists()


def test_a_backup_being_read_is_kept(tmp_path: Path) -> None:
    """A reader's backup is left, with the reason, and removed by the next run."""
    _, old = fill(tmp_path, 2)
    with being_read(old):
        result = prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    assert [(old, "it is being read, or has just been")] == [
        (left.path, left.reason) for left in result.left
    ]
    assert old.exists()
    assert [old] == [
        one.path for one in prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT).removed
    ]


def test_a_backup_proven_after_the_decision_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof that is added between the decision and the removal saves the backup."""
    _, old = fill(tmp_path, 2)
    real = removal.being_removed
    facts = next(one.metadata for one in backups_in(DirectoryStore(tmp_path)) if one.path == old)
    assert facts is not None
    shown = Evidence(Level.PROVEN, _NOW, 1.0)

    def prove_first(dump: Path) -> object:
        StoredBackup.at(dump).add_evidence(facts.checksum_sha256, shown)
        return real(dump)

    monkeypatch.setattr(removal, "being_removed", prove_first)
    assert [] == prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT).removed
    assert old.exists()
    monkeypatch.undo()
    assert [] == prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT).removed


def test_backups_of_a_locked_database_are_kept(tmp_path: Path) -> None:
    """While a backup of a database runs, its backups are left, and the others' are pruned."""
    fill(tmp_path, 2)
    fill(tmp_path, 2, database="chat")
    with Spool(tmp_path).lock("shop", "dev", backups.clock):
        result = prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    assert ["chat"] == [backup.database for backup in result.removed]
    assert 1 == len(result.left)
    assert "shop" in result.left[0].path.name


def test_renamed_backups_and_link_targets_are_kept(tmp_path: Path) -> None:
    """A renamed backup is foreign; a link goes, and its target stays."""
    _, second, third = fill(tmp_path, 3)
    renamed = tmp_path / "before-the-migration.dump"
    facts = backups.metadata(_NEWEST - timedelta(days=40))
    backups.place(tmp_path, replace(facts, backup_file=renamed.name))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = second.rename(elsewhere / second.name)
    second.symlink_to(target)
    result = prune(options(tmp_path, RetentionRules(last=1)), _CONTEXT)
    assert {second, third} == {backup.path for backup in result.removed}
    assert renamed.exists()
    assert target.exists()
    assert not second.is_symlink()


def test_dry_run_removes_nothing_and_names_what_prune_removes(tmp_path: Path) -> None:
    """A dry run removes nothing and names the backups that go then; JSON has the reasons."""
    fill(tmp_path)
    commands = Commands(tmp_path)
    words = ("prune", "--output-dir", ".", "--keep-last", "1")
    done = commands.pgvow(*words, "--dry-run")
    assert (0, "") == (done.code, done.err)
    assert "3 backups would be removed" in done.out
    assert 16 == len([path for path in tmp_path.iterdir() if path.name != "history.jsonl"])
    done = commands.pgvow(*words, "--json")
    assert 3 == len(done.json["removed"])
    assert [True, False, False, False] == [one["keep"] for one in done.json["backups"]]
    assert ["no rule keeps it"] == done.json["backups"][3]["reasons"]
    assert (0, "", "") == _plain(commands.pgvow(*words, "--quiet"))
    runs = commands.pgvow("history", "--output-dir", ".", "--json").json
    assert [0, 3, 0] == [run["removed"] for run in runs]


def test_a_backup_in_use_is_skipped_with_exit_0(tmp_path: Path) -> None:
    """A backup that is in use goes another time: 0, and it is told and recorded."""
    _, old = fill(tmp_path, 2)
    commands = Commands(tmp_path)
    words = ("prune", "--output-dir", ".", "--keep-last", "1")
    with being_read(old):
        done = commands.pgvow(*words)
    assert (0, "") == (done.code, done.err)
    assert f"! {old.name} is left: it is being read" in done.out
    (run,) = commands.pgvow("history", "--output-dir", ".", "--json").json
    assert "succeeded" == run["outcome"]
    assert [old.name] == [warning.split(":")[0] for warning in run["warnings"]]
    assert 1 == len(commands.pgvow(*words, "--json").json["removed"])


def test_a_refused_removal_exits_1_with_the_reason(tmp_path: Path) -> None:
    """A removal that the file system refuses fails the run: 1, with the reason."""
    _, old = fill(tmp_path, 2)
    commands = Commands(tmp_path, prefix=tuple(bound_by_permissions([])))
    tmp_path.chmod(0o500)
    try:
        done = commands.pgvow("prune", "--output-dir", ".", "--keep-last", "1")
    finally:
        tmp_path.chmod(0o700)
    assert old.exists()
    assert done.code in (1, 4)
    assert "ermission denied" in done.out + done.err


def _plain(done: object) -> tuple[int, str, str]:
    return done.code, done.out, done.err  # type: ignore[attr-defined]


def test_prune_without_rules_exits_2(tmp_path: Path) -> None:
    """No rules, typed or in the settings: 2, with what to type; nonsense as well."""
    fill(tmp_path)
    commands = Commands(tmp_path)
    done = commands.pgvow("prune", "--output-dir", ".")
    assert 2 == done.code
    assert "--keep-daily 7" in done.err
    for word in ("0", "-1", "x"):
        assert 2 == commands.pgvow("prune", "--keep-last", word).code
    assert 2 == commands.pgvow("prune", "--keep-within", "soon").code
    (tmp_path / "pgvow.toml").write_text("[retention]\nkeep_last = 2\n")
    assert 0 == commands.pgvow("prune", "--output-dir", ".", "--quiet").code
    assert 2 == len(backups_in(DirectoryStore(tmp_path)))


@pytest.mark.majors(18)
def test_pruning_follows_a_successful_backup_only(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Pruned after a backup that succeeded, if the settings say so; never after a failure."""
    (tmp_path / "pgvow.toml").write_text(
        'output_dir = "."\n[retention]\nkeep_last = 2\nprune_after_backup = true\n'
    )
    commands = Commands(tmp_path, settings_for(server, database))
    made = [commands.run("--json", "--space-factor", "0") for _ in range(3)]
    assert [0, 0, 0] == [done.code for done in made]
    assert [0, 0, 1] == [len(done.json["pruned"]) for done in made]
    assert made[0].json["backup_path"] == made[2].json["pruned"][0]
    (tmp_path / "pgvow.toml").write_text(
        'output_dir = "."\n[retention]\nkeep_last = 1\nprune_after_backup = true\n'
    )
    assert 3 == commands.run("--space-factor", "0", DEV_DB_PORT="1").code
    assert 2 == len(backups_in(DirectoryStore(tmp_path)))
    (tmp_path / "pgvow.toml").write_text(
        'output_dir = "."\n[retention]\nprune_after_backup = true\n'
    )
    done = commands.run("--space-factor", "0")
    assert (0, True) == (done.code, "prunes nothing" in done.err)
    assert 3 == len(backups_in(DirectoryStore(tmp_path)))
