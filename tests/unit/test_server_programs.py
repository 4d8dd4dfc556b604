"""Whose server a demo runs on: this machine's newest, else the embedded package's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ToolUnsuitable
from pgvow.operations import throwaway_programs
from pgvow.operations.throwaway_programs import find_server_programs
from pgvow.postgres import binaries

if TYPE_CHECKING:
    from pathlib import Path

_CLIENT = ("pg_dump", "pg_restore")
_WHOLE = (*_CLIENT, "initdb", "postgres")


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose distribution keeps no PostgreSQL, without the embedded package."""
    monkeypatch.setattr(binaries, "KEPT_APART", ())
    monkeypatch.setattr(throwaway_programs, "embedded_bin", lambda: None)


def installed(folder: Path, version: str, names: tuple[str, ...] = _WHOLE) -> Path:
    """Make programs that say a version."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def path(*folders: Path) -> dict[str, str]:
    """An environment with this PATH."""
    return {"PATH": ":".join(map(str, folders))}


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded package's programs."""
    folder = installed(tmp_path / "embedded", "18.6")
    monkeypatch.setattr(throwaway_programs, "embedded_bin", lambda: folder)
    return folder


def test_the_newest_installed_server_is_chosen(tmp_path: Path, embedded: Path) -> None:
    """Before the embedded package, even if that is newer."""
    older, newer = installed(tmp_path / "a", "15.18"), installed(tmp_path / "b", "17.4")
    assert newer == find_server_programs(path(older, newer)).bin


def test_client_only_programs_are_no_server(tmp_path: Path, embedded: Path) -> None:
    """Client programs serve backups, not the demo; even if PGVOW_PG_BIN names them."""
    client = installed(tmp_path / "client", "18.9", _CLIENT)
    assert embedded == find_server_programs(path(client)).bin
    assert embedded == find_server_programs({"PGVOW_PG_BIN": str(client), "PATH": ""}).bin


def test_pgvow_pg_bin_wins_over_path(tmp_path: Path, embedded: Path) -> None:
    """PGVOW_PG_BIN wins over PATH, and an error in it is reported."""
    named, newer = installed(tmp_path / "named", "15.18"), installed(tmp_path / "newer", "18.1")
    assert named == find_server_programs({"PGVOW_PG_BIN": str(named), **path(newer)}).bin
    with pytest.raises(ToolUnsuitable, match="no working pg_dump"):
        find_server_programs({"PGVOW_PG_BIN": str(tmp_path / "wrong"), **path(newer)})


def test_without_any_server_the_error_is_6(tmp_path: Path) -> None:
    """6, and the package that brings one."""
    with pytest.raises(ToolUnsuitable, match="no PostgreSQL server programs") as caught:
        find_server_programs(path(tmp_path))
    assert any("'.[embedded]'" in step for step in caught.value.steps)
