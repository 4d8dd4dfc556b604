"""A file that cannot be read hides no other, and is no reason to remove a readable one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.hostile.directory import ENTRIES
from tests.support.inprocess import back_up
from tests.support.programs import system_program
from tests.support.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def failing(shim: Path, name: str, offset: int = 0) -> dict[str, str]:
    """The variables by which reads of one file fail from an offset on."""
    return {"LD_PRELOAD": str(shim), "PGVOW_EIO_NAME": name, "PGVOW_EIO_FROM": str(offset)}


@pytest.mark.majors(18)
@pytest.mark.parametrize("part", ["begin", "end"])
def test_a_dump_with_a_bad_sector(commands: Commands, shim: Path, part: str) -> None:
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
def test_prune_reads_what_it_keeps(commands: Commands, shim: Path, part: str) -> None:
    """Though nobody has noticed yet: the newest is unreadable, so the one before it stays."""
    newest, second, _ = dumps(commands)
    bad = failing(shim, newest.name, newest.stat().st_size - 10 if part == "end" else 0)
    done = commands.pgvow("prune", timeout=_WITHIN, **bad)
    assert 0 == done.code, done.err
    assert [newest, second] == dumps(commands)
    assert "Input/output error" in done.out
    assert "unreadable" == listed(commands.pgvow("list", "--json"))[newest.name]


@pytest.mark.majors(18)
def test_all_that_prune_keeps_is_unreadable(commands: Commands, shim: Path) -> None:
    """Nothing is removed then."""
    before = dumps(commands)
    commands.pgvow("prune", timeout=_WITHIN, **failing(shim, ".dump"))
    assert before == dumps(commands)


@pytest.mark.majors(18)
@pytest.mark.parametrize("suffix", [".metadata.json", ".proof.json", ".globals.sql"])
def test_another_file_of_a_backup_is_unreadable(
    commands: Commands, shim: Path, suffix: str
) -> None:
    """Its backup is shown as it is, the others are there, and a readable one stays."""
    newest, second, _ = dumps(commands)
    commands.pgvow("verify", newest)
    bad = failing(shim, newest.name.removesuffix(".dump") + suffix)
    assert _MANY == len(listed(commands.pgvow("list", "--json", timeout=_WITHIN, **bad)))
    done = commands.pgvow("verify", "--all", "--json", timeout=_WITHIN, **bad)
    assert [True, True] == [one["ok"] for one in done.json][1:]
    assert commands.pgvow("status", timeout=_WITHIN, **bad).code in {0, 11, 12}
    commands.pgvow("prune", timeout=_WITHIN, **bad)
    assert {second} <= set(dumps(commands)) or suffix != ".metadata.json"
    assert newest in dumps(commands)


@pytest.mark.majors(18)
def test_globals_that_are_a_pipe(commands: Commands) -> None:
    """Unreadable, 8, and nothing is held against the backup's data."""
    newest = dumps(commands)[0]
    roles = newest.with_name(newest.name.removesuffix(".dump") + ".globals.sql")
    roles.unlink()
    os.mkfifo(roles)
    assert 8 == commands.pgvow("verify", newest, timeout=_WITHIN).code
    first = commands.pgvow("list", "--json").json[0]
    assert ("unreadable", None) == (first["status"], first["proof"]["failed"])


@pytest.mark.majors(18)
def test_a_proof_meets_a_bad_sector(commands: Commands, shim: Path) -> None:
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
def test_an_entry_that_is_no_backup(commands: Commands, entry: str) -> None:
    """Nothing hangs or ends unexpectedly, sound backups are there, and the newest of them stays."""
    before = dumps(commands)
    ENTRIES[entry](commands.cwd / "db/backups")
    for words in (
        ("list", "--json"),
        ("list",),
        ("verify", "--all", "--json"),
        ("status", "--json"),
        ("status",),
        ("history",),
        ("prove", "--latest"),
        ("prune",),
        ("doctor",),
    ):
        done = commands.pgvow(*words, timeout=_WITHIN)
        shown = done.out + done.err
        assert 1 != done.code, (words, shown)
        assert "Unexpected error" not in shown
        assert not any(ord(each) < 0x20 and each not in "\n\t" for each in shown)
        if words == ("list", "--json"):
            assert {path.name for path in before} <= listed(done).keys()
    assert before[0] in dumps(commands)
