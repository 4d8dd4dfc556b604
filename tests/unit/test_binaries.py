"""Which pg_dump is found and chosen, tried on programs that only say a version."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ToolUnsuitable
from pgvow.postgres import binaries
from pgvow.postgres.binaries import (
    Installation,
    choose_for_server,
    choose_newest,
    examine,
    find_installations,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a distribution would keep several majors, in place of what this machine has."""
    folder = tmp_path / "postgresql"
    folder.mkdir()
    monkeypatch.setattr(binaries, "KEPT_APART", (f"{folder}/*/bin",))
    return folder


def program(folder: Path, version: str, name: str = "pg_dump") -> Path:
    """Make a program that says a version, and does nothing else; returns its folder."""
    return script(folder, f'echo "{name} (PostgreSQL) {version}"', name)


def script(folder: Path, text: str, name: str = "pg_dump") -> Path:
    """Make a program of a line of shell."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return folder


def found(*path: Path, **environ: str) -> list[tuple[str, Path]]:
    """All that is found with this PATH: versions and folders, in order."""
    environ["PATH"] = os.pathsep.join(map(str, path))
    installations = find_installations(pg_bin=None, environ=environ)
    return [(one.version, one.bin) for one in installations]


def installations(*versions: str) -> list[Installation]:
    """Installations of these versions, without any program."""
    return [
        Installation(binaries.Path(f"/opt/{version}/bin"), version, int(version.split(".")[0]))
        for version in versions
    ]


@pytest.mark.parametrize(
    ("said", "version", "major"),
    [
        ("pg_dump (PostgreSQL) 15.18", "15.18", 15),
        ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
        ("pg_dump (PostgreSQL) 18devel", "18devel", 18),
        ("pg_dump (PostgreSQL) 9.6.24", "9.6.24", 9),
        ("pg_dump (EnterpriseDB) 16.2\npg_dump (PostgreSQL) 16.2", "16.2", 16),
    ],
)
def test_version_and_major_are_parsed(said: str, version: str, major: int, tmp_path: Path) -> None:
    """The number, and the major in front of it, whatever a distribution adds."""
    folder = script(tmp_path / "bin", f"echo '{said}'")
    assert Installation(folder, version, major) == examine(folder, {})


@pytest.mark.parametrize(
    "text",
    [
        "exit 127",
        "echo 'pg_dump (PostgreSQL) 15.18'; exit 1",
        "echo 'error while loading shared libraries: libpq.so.5' >&2; exit 127",
        "echo hello",
        "kill -9 $$",
        "echo 'pg_dump (PostgreSQL) none'",
    ],
)
def test_a_broken_program_is_passed_over(text: str, tmp_path: Path) -> None:
    """What does not run, or says no version, is not there; another one serves."""
    broken = script(tmp_path / "broken", text)
    sound = program(tmp_path / "sound", "15.18")
    assert examine(broken, {}) is None
    assert [("15.18", sound)] == found(broken, sound)


def test_files_that_are_no_programs_are_passed_over(tmp_path: Path) -> None:
    """A file that may not be run, one that cannot be, a folder, a missing folder."""
    plain = program(tmp_path / "plain", "15.18")
    (plain / "pg_dump").chmod(0o644)
    binary = tmp_path / "binary"
    binary.mkdir()
    (binary / "pg_dump").write_bytes(b"\x7fELF of another machine")
    (binary / "pg_dump").chmod(0o755)
    (tmp_path / "folder" / "pg_dump").mkdir(parents=True)
    for folder in (plain, binary, tmp_path / "folder", tmp_path / "missing"):
        assert examine(folder, {}) is None


def test_a_program_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a while."""
    monkeypatch.setattr(binaries, "_VERSION_TIMEOUT", 0.2)
    assert examine(script(tmp_path / "bin", "exec sleep 60"), {}) is None


def test_path_is_searched_first_and_in_order(tmp_path: Path, kept_apart: Path) -> None:
    """PATH as the user wrote it, then where distributions keep several, newest first."""
    one = program(tmp_path / "one", "15.1")
    two = program(tmp_path / "two", "18.2")
    program(kept_apart / "15/bin", "15.9")
    program(kept_apart / "17/bin", "17.4")
    assert [
        ("18.2", two),
        ("15.1", one),
        ("17.4", kept_apart / "17/bin"),
        ("15.9", kept_apart / "15/bin"),
    ] == found(two, one)


def test_the_same_program_is_found_once(tmp_path: Path, kept_apart: Path) -> None:
    """A folder named twice, and links to a program elsewhere: one installation."""
    kept = program(kept_apart / "16/bin", "16.3")
    linked = tmp_path / "usr/bin"
    linked.mkdir(parents=True)
    (linked / "pg_dump").symlink_to(kept / "pg_dump")
    assert [("16.3", linked)] == found(linked, linked, kept)


def test_the_pg_wrapper_of_debian_is_passed_over(tmp_path: Path, kept_apart: Path) -> None:
    """It picks a version by the clusters of this machine; those it picks from are found anyway."""
    wrapper = script(tmp_path / "share", "echo 'pg_dump (PostgreSQL) 13.1'", "pg_wrapper")
    usual = tmp_path / "usr/bin"
    usual.mkdir(parents=True)
    (usual / "pg_dump").symlink_to(wrapper / "pg_wrapper")
    kept = program(kept_apart / "15/bin", "15.18")
    assert [("15.18", kept)] == found(usual)


def test_a_missing_program_exits_6_with_advice(tmp_path: Path) -> None:
    """6, where it was looked for, and what to install."""
    with pytest.raises(ToolUnsuitable) as caught:
        found(tmp_path)
    assert 6 == caught.value.status
    assert str(tmp_path) == caught.value.facts["PATH"]
    assert any("apt install postgresql-client" in step for step in caught.value.steps)
    assert any("PGVOW_PG_BIN" in step for step in caught.value.steps)


def test_pgvow_pg_bin_is_searched_alone(tmp_path: Path, kept_apart: Path) -> None:
    """PGVOW_PG_BIN: neither PATH nor anything else is looked at, however much newer."""
    named = program(tmp_path / "named", "15.2")
    other = program(tmp_path / "other", "18.2")
    program(kept_apart / "18/bin", "18.3")
    environ = {"PATH": str(other)}
    (one,) = find_installations(pg_bin=named, environ=environ)
    assert ("15.2", named) == (one.version, one.bin)
    with pytest.raises(ToolUnsuitable, match="no working pg_dump in") as caught:
        find_installations(pg_bin=tmp_path, environ=environ)
    assert {"PGVOW_PG_BIN": str(tmp_path)} == caught.value.facts


@pytest.mark.parametrize(
    ("server", "chosen"),
    [(15, "15.18"), (16, "16.4"), (17, "18.1"), (18, "18.1")],
)
def test_the_servers_major_is_chosen_else_the_nearest_newer(server: int, chosen: str) -> None:
    """The server's own major, else the nearest newer one, whatever the order they are found in."""
    for order in (["15.18", "16.4", "18.1"], ["18.1", "16.4", "15.18"]):
        assert chosen == choose_for_server(installations(*order), server).version


def test_the_first_on_path_of_one_major_is_chosen() -> None:
    """Two of a major: the one that PATH has first."""
    assert "16.1" == choose_for_server(installations("18.1", "16.1", "16.9"), 16).version


def test_an_older_pg_dump_is_refused_with_both_versions() -> None:
    """Both versions, the folder, and what to install."""
    with pytest.raises(ToolUnsuitable) as caught:
        choose_for_server(installations("15.18", "16.4"), 17)
    assert "pg_dump 16.4 cannot read a PostgreSQL 17 server" in caught.value.cause
    assert {"Server": "17", "Found": "16.4 in /opt/16.4/bin"} == caught.value.facts
    assert any("postgresql-client-17" in step for step in caught.value.steps)


def test_verify_chooses_the_newest_pg_restore() -> None:
    """To verify, the newest: it reads what every older one wrote."""
    assert "18.1" == choose_newest(installations("16.4", "18.1", "15.18")).version


def test_pg_dump_without_pg_restore_exits_6(tmp_path: Path) -> None:
    """Pg_dump without pg_restore: 6, naming the folder."""
    installation = examine(program(tmp_path / "bin", "15.18"), {})
    assert installation is not None
    assert tmp_path / "bin/pg_dump" == installation.program("pg_dump")
    with pytest.raises(ToolUnsuitable, match="pg_restore is not in") as caught:
        installation.program("pg_restore")
    assert any("postgresql-client-15" in step for step in caught.value.steps)


@pytest.fixture
def unpacked(tmp_path: Path) -> Installation:
    """An installation with a libpq of its own beside its programs."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libpq.so.5").touch()
    return Installation(program(tmp_path / "bin", "18.1"), "18.1", 18)


def test_programs_get_their_own_library_path(unpacked: Installation, tmp_path: Path) -> None:
    """What is unpacked anywhere is told where its libpq lies, before what is told already."""
    assert str(tmp_path / "lib") == unpacked.environment({})["LD_LIBRARY_PATH"]
    told = unpacked.environment({"LD_LIBRARY_PATH": "/opt/lib"})
    assert f"{tmp_path / 'lib'}:/opt/lib" == told["LD_LIBRARY_PATH"]
    installed = Installation(tmp_path / "usr/bin", "15.18", 15)
    assert "LD_LIBRARY_PATH" not in installed.environment({})


def test_programs_run_with_english_messages_and_no_client_encoding(unpacked: Installation) -> None:
    """Their words are looked at; an archive is in the database's own encoding."""
    given = {"LANGUAGE": "de", "LC_ALL": "de_DE.UTF-8", "PGCLIENTENCODING": "LATIN1", "HOME": "/h"}
    result = unpacked.environment(given)
    assert ("C", "/h") == (result["LC_ALL"], result["HOME"])
    assert not {"LANGUAGE", "PGCLIENTENCODING"} & set(result)


@pytest.mark.parametrize("pattern", binaries.KEPT_APART)
def test_search_paths_are_absolute(pattern: str) -> None:
    """Wherever one stands, the same places are looked at."""
    assert pattern.startswith("/")
