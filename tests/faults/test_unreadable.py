"""A file that cannot be read hides no other, and is no reason to remove a readable one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.hostile.directory import ENTRIES
from tests.support.inprocess import back_up
from tests.support.privileges import bound_by_permissions
from tests.support.programs import system_program
from tests.support.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.commands import Done
    from tests.support.servers import TestServer

_WITHIN = 20.0
_MANY = 3


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes reads fail."""
    library = tmp_path_factory.mktemp("shim") / "read_errors.so"
    source = ROOT / "tests/support/read_errors.c"
    compiler = system_program("cc", package="gcc libc6-dev")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def made(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with three backups of one database; tests work on copies."""
    name = server.unique_name("shop")
    server.create_database(name)
    server.psql(name, "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 500) AS n")
    folder = tmp_path_factory.mktemp("made")
    for _ in range(_MANY):
        back_up(server, name, folder)
        time.sleep(0.01)
    yield folder / "backups"
    server.drop_database(name)


@pytest.fixture
def commands(server: TestServer, made: Path, tmp_path: Path) -> Commands:
    """A shell in a project whose backups are those three."""
    shutil.copytree(made, tmp_path / "db/backups")
    (tmp_path / "pgvow.toml").write_text("[retention]\nkeep_last = 1\n")
    return Commands(tmp_path, settings_for(server, "postgres"))


def dumps(commands: Commands) -> list[Path]:
    """The dumps, newest first."""
    return sorted((commands.cwd / "db/backups").glob("*.dump"), reverse=True)


def listed(done: Done) -> dict[str, str]:
    """The state of each backup by its file's name."""
    return {one["path"].rpartition("/")[2]: one["status"] for one in done.json}


def failing(shim: Path, name: str, offset: int = 0, number: int = errno.EIO) -> dict[str, str]:
    """The variables by which reads of one file fail from an offset on, with an error."""
    return {
        "LD_PRELOAD": str(shim),
        "PGVOW_EIO_NAME": name,
        "PGVOW_EIO_FROM": str(offset),
        "PGVOW_EIO_ERRNO": str(number),
    }


def beside(dump: Path, suffix: str) -> Path:
    """The file of a backup with another suffix."""
    return dump.with_name(dump.name.removesuffix(".dump") + suffix)


def flip(path: Path, offset: int) -> None:
    """Change one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x55]))


@pytest.mark.majors(18)
@pytest.mark.parametrize("part", ["begin", "end"])
def test_a_bad_sector_of_a_dump_exits_8_and_is_recorded(
    commands: Commands, shim: Path, part: str
) -> None:
    """``verify``: 8 with name and cause, recorded; shown by ``list``; ``prune`` keeps another."""
    newest, second, oldest = dumps(commands)
    offset = newest.stat().st_size - 10 if part == "end" else 0
    bad = failing(shim, newest.name, offset)
    done = commands.pgvow("verify", newest, timeout=_WITHIN, **bad)
    assert 8 == done.code
    assert newest.name in done.out + done.err
    assert "Input/output error" in done.out + done.err
    states = listed(commands.pgvow("list", "--json", timeout=_WITHIN, **bad))
    assert {newest.name: "unreadable", second.name: "ok", oldest.name: "ok"} == states
    all_of_them = commands.pgvow("verify", "--all", "--json", timeout=_WITHIN, **bad)
    assert (8, [False, True, True]) == (all_of_them.code, [one["ok"] for one in all_of_them.json])
    assert 0 == commands.pgvow("prune", timeout=_WITHIN, **bad).code
    assert [newest, second] == dumps(commands)
    assert commands.pgvow("status", "--json", timeout=_WITHIN, **bad).code in {11, 12}
    assert 0 == commands.pgvow("verify", newest, timeout=_WITHIN).code
    assert "ok" == listed(commands.pgvow("list", "--json"))[newest.name]


@pytest.mark.majors(18)
@pytest.mark.parametrize("part", ["begin", "end"])
def test_prune_keeps_another_backup_if_the_newest_is_unreadable(
    commands: Commands, shim: Path, part: str
) -> None:
    """Though nobody has noticed yet: the newest is unreadable, so the one before it stays."""
    newest, second, _ = dumps(commands)
    bad = failing(shim, newest.name, newest.stat().st_size - 10 if part == "end" else 0)
    done = commands.pgvow("prune", timeout=_WITHIN, **bad)
    assert 0 == done.code, done.err
    assert [newest, second] == dumps(commands)
    assert "Input/output error" in done.out
    assert "unreadable" == listed(commands.pgvow("list", "--json"))[newest.name]


@pytest.mark.majors(18)
def test_prune_removes_nothing_if_all_it_keeps_is_unreadable(
    commands: Commands, shim: Path
) -> None:
    """Nothing is removed then."""
    before = dumps(commands)
    commands.pgvow("prune", timeout=_WITHIN, **failing(shim, ".dump"))
    assert before == dumps(commands)


_HALF = 0.5
_PARTS = {
    "dump, begin": (".dump", 0.0),
    "dump, middle": (".dump", _HALF),
    "dump, end": (".dump", 1.0),
    "metadata": (".metadata.json", 0.0),
    "proof": (".proof.json", 0.0),
    "globals": (".globals.sql", 0.0),
}


@pytest.mark.majors(18)
@pytest.mark.parametrize("part", _PARTS)
def test_a_bad_sector_in_any_file_hides_no_other_backup(
    commands: Commands, shim: Path, part: str
) -> None:
    """8 with name, ``unreadable`` in list, status and JSON, no other is hidden or removed."""
    newest, second, oldest = dumps(commands)
    suffix, share = _PARTS[part]
    if suffix == ".proof.json":
        commands.pgvow("verify", newest)
    file = beside(newest, suffix)
    offset = int(share * (file.stat().st_size - 10))
    bad = failing(shim, file.name, offset)
    done = commands.pgvow("verify", newest, "--json", timeout=_WITHIN, **bad)
    assert (8, False) == (done.code, done.json["ok"])
    assert f"cannot read {file}" in done.json["unreadable"]
    assert "Input/output error" in done.json["unreadable"]
    everything = commands.pgvow("verify", "--all", "--json", timeout=_WITHIN, **bad)
    assert (8, [False, True, True]) == (everything.code, [one["ok"] for one in everything.json])
    assert [None, None] == [one["unreadable"] for one in everything.json][1:]
    shown = commands.pgvow("list", "--json", timeout=_WITHIN, **bad)
    assert {newest.name: "unreadable", second.name: "ok", oldest.name: "ok"} == listed(shown)
    (entry,) = (one for one in shown.json if one["status"] == "unreadable")
    assert file.name in entry["complaint"]
    assert not (entry["proof"] or {}).get("failed")
    status = commands.pgvow("status", "--json", timeout=_WITHIN, **bad)
    assert status.code in {11, 12}
    assert f"{newest.name} is unreadable: cannot read" in status.out
    pruned = commands.pgvow("prune", timeout=_WITHIN, **bad)
    assert (0, [newest, second]) == (pruned.code, dumps(commands)), pruned.out + pruned.err
    assert 0 == commands.pgvow("verify", newest, timeout=_WITHIN).code
    assert "ok" == listed(commands.pgvow("list", "--json"))[newest.name]


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.majors(18)
@pytest.mark.parametrize("suffix", [".metadata.json", ".proof.json"])
@pytest.mark.parametrize("replace", [_pipe, _folder, _loop])
def test_a_file_that_is_not_regular_makes_the_backup_unreadable(
    commands: Commands, suffix: str, replace: Callable[[Path], None]
) -> None:
    """The backup is unreadable everywhere, by name and cause, and stays as it is."""
    newest, second, _ = dumps(commands)
    assert 0 == commands.pgvow("verify", newest).code
    file = beside(newest, suffix)
    replace(file)
    (entry,) = (
        one
        for one in commands.pgvow("list", "--json", timeout=_WITHIN).json
        if one["path"].endswith(newest.name)
    )
    assert "unreadable" == entry["status"]
    assert f"cannot read {file.relative_to(commands.cwd)}: " in entry["complaint"]
    done = commands.pgvow("verify", newest, "--json", timeout=_WITHIN)
    assert (8, f"cannot read {file}") == (done.code, done.json["unreadable"].split(": ")[0])
    shown = commands.pgvow("show", newest, "--json", timeout=_WITHIN)
    assert (0, 1) == (shown.code, len(shown.json["unreadable"])), shown.err
    assert f"cannot read {file}" in commands.pgvow("show", newest).out.replace("\n", "")
    assert f"{newest.name} is unreadable" in commands.pgvow("status", "--json").out
    assert 0 == commands.pgvow("prune", timeout=_WITHIN).code
    assert [newest, second] == dumps(commands)
    assert file.is_symlink() or not file.is_file()


@pytest.mark.majors(18)
def test_a_dump_without_read_permission_is_recorded_until_read(commands: Commands) -> None:
    """Recorded as unreadable by ``verify FILE`` (4) and ``verify --all`` (8), until it is read."""
    newest = dumps(commands)[0]
    bound = Commands(commands.cwd, commands.variables, tuple(bound_by_permissions([])))
    for words, code in ((("verify", newest), 4), (("verify", "--all"), 8), (("prove", newest), 4)):
        newest.chmod(0)
        done = bound.pgvow(*words)
        assert code == done.code, done.err
        assert "ermission denied" in done.out + done.err
        entry = bound.pgvow("list", "--json").json[0]
        assert ("unreadable", None) == (entry["status"], entry["proof"]["failed"])
        assert "Permission denied" in entry["complaint"]
        newest.chmod(0o600)
        assert 0 == bound.pgvow("verify", newest).code
        assert "ok" == bound.pgvow("list", "--json").json[0]["status"]


@pytest.mark.majors(18)
@pytest.mark.parametrize("offset", [1, 6, 40])
def test_prune_records_a_damaged_head_as_a_failed_check(commands: Commands, offset: int) -> None:
    """Wrong bytes are a check that failed, and not a file that cannot be read; another stays."""
    newest, second, _ = dumps(commands)
    flip(newest, offset)
    assert 0 == commands.pgvow("prune", timeout=_WITHIN).code
    assert [newest, second] == dumps(commands)
    entry = commands.pgvow("list", "--json").json[0]
    assert ("ok", None) == (entry["status"], entry["trusted"])
    assert entry["proof"]["unreadable"] is None
    assert "verified" == entry["proof"]["failed"]["level"]
    assert "damaged" in commands.pgvow("prune", "--dry-run").out


@pytest.mark.majors(18)
@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOTCONN])
def test_verify_all_goes_on_after_a_check_without_verdict(
    commands: Commands, shim: Path, number: int
) -> None:
    """The others are verified, nothing is held against that one, and the exit code tells of it."""
    newest, second, oldest = dumps(commands)
    bad = failing(shim, newest.name, number=number)
    done = commands.pgvow("verify", "--all", "--json", timeout=_WITHIN, **bad)
    assert (1, [False, True, True]) == (done.code, [one["ok"] for one in done.json])
    assert os.strerror(number) in done.json[0]["no_verdict"]
    assert [None] * 3 == [one["unreadable"] for one in done.json]
    assert not beside(newest, ".proof.json").exists()
    assert "ok" == listed(commands.pgvow("list", "--json"))[newest.name]
    assert "1 without a verdict" in commands.pgvow("verify", "--all", **bad).out
    run = commands.pgvow("history", "--json").json[0]
    assert ("verify", "failed", 1) == (run["operation"], run["outcome"], run["exit_code"])
    assert 1 == commands.pgvow("verify", newest, timeout=_WITHIN, **bad).code
    flip(oldest, oldest.stat().st_size - 20)
    done = commands.pgvow("verify", "--all", "--json", timeout=_WITHIN, **bad)
    assert (8, [False, True, False]) == (done.code, [one["ok"] for one in done.json])
    assert second.name == done.json[1]["path"].rpartition("/")[2]


@pytest.mark.majors(18)
def test_a_damaged_dump_is_recorded_though_globals_are_a_pipe(commands: Commands) -> None:
    """The damage is evidence, and recorded as such, whatever else cannot be read."""
    newest = dumps(commands)[0]
    flip(newest, newest.stat().st_size - 20)
    _pipe(beside(newest, ".globals.sql"))
    assert 8 == commands.pgvow("verify", newest, timeout=_WITHIN).code
    first = commands.pgvow("list", "--json").json[0]
    names = [one["name"] for one in first["proof"]["failed"]["differences"]]
    assert ["checksum"] == names
    assert first["proof"]["unreadable"] is None


@pytest.mark.majors(18)
def test_globals_that_are_a_directory_cause_no_half_removal(commands: Commands) -> None:
    """The backup stays whole, with the reason, and the others go."""
    *_, second, oldest = dumps(commands)
    roles = beside(second, ".globals.sql")
    _folder(roles)
    done = commands.pgvow("prune", timeout=_WITHIN)
    assert second in dumps(commands)
    assert oldest not in dumps(commands)
    assert beside(second, ".metadata.json").is_file()
    assert not list(second.parent.glob("*.removing"))
    assert 1 == done.code
    assert "it is a folder" in done.out + done.err
    shutil.rmtree(roles)
    assert 0 == commands.pgvow("prune").code
    assert second not in dumps(commands)


@pytest.mark.majors(18)
def test_globals_that_are_a_pipe_are_unreadable_with_8(commands: Commands) -> None:
    """Unreadable, 8, and nothing is held against the backup's data."""
    newest = dumps(commands)[0]
    roles = newest.with_name(newest.name.removesuffix(".dump") + ".globals.sql")
    roles.unlink()
    os.mkfifo(roles)
    assert 8 == commands.pgvow("verify", newest, timeout=_WITHIN).code
    first = commands.pgvow("list", "--json").json[0]
    assert ("unreadable", None) == (first["status"], first["proof"]["failed"])


@pytest.mark.majors(18)
def test_a_bad_sector_during_a_proof_is_no_verdict(commands: Commands, shim: Path) -> None:
    """8 and unreadable, and nothing is held against its data."""
    newest = dumps(commands)[0]
    bad = failing(shim, newest.name, newest.stat().st_size - 10)
    done = commands.pgvow("prove", newest, "--json", timeout=60, **bad)
    assert 8 == done.code, done.out
    (one,) = (
        one for one in commands.pgvow("list", "--json").json if one["path"].endswith(newest.name)
    )
    assert "unreadable" == one["status"]
    assert one["proof"]["failed"] is None


@pytest.mark.majors(18)
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_file_that_is_no_backup_hides_no_sound_backup(commands: Commands, entry: str) -> None:
    """Nothing hangs or ends unexpectedly, sound backups are there, and the newest of them stays."""
    before = dumps(commands)
    ENTRIES[entry](commands.cwd / "db/backups")
    calls = (
        ("list", "--json"),
        ("list",),
        ("verify", "--all", "--json"),
        ("status", "--json"),
        ("status",),
        ("history",),
        ("prove", "--latest"),
        ("prune",),
        ("doctor",),
    )
    ends = commands.one_after_another(*calls, timeout=_WITHIN * len(calls))
    for words, done in zip(calls, ends, strict=True):
        shown = done.out + done.err
        assert 1 != done.code, (words, shown)
        assert "Unexpected error" not in shown
        assert not any(ord(each) < 0x20 and each not in "\n\t" for each in shown)
    assert {path.name for path in before} <= listed(ends[0]).keys()
    assert before[0] in dumps(commands)
