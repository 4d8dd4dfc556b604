"""``pgvow`` alone: the state of the backups, and the next commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import backups
from tests.support.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_directory_shows_how_to_begin(tmp_path: Path) -> None:
    """Without settings: init, demo and help, and nothing is an error."""
    done = Commands(tmp_path).pgvow()
    assert (0, "") == (done.code, done.err)
    assert "pgvow init" in done.out
    assert "pgvow demo" in done.out


def test_settings_without_a_backup_suggest_pgvow_doctor(tmp_path: Path) -> None:
    """With settings and no backup: check them, and make one."""
    (tmp_path / ".env.local").write_text("DB_NAME=shop\nDB_USER=backup\n")
    done = Commands(tmp_path).pgvow()
    assert (0, "") == (done.code, done.err)
    assert "pgvow doctor" in done.out
    assert "pgvow init" not in done.out


def test_a_project_shows_its_status_and_next_commands(tmp_path: Path) -> None:
    """With backups: the lines of status, and the commands that one needs next."""
    (tmp_path / "db/backups").mkdir(parents=True)
    backups.place(tmp_path / "db/backups", backups.metadata())
    shell = Commands(tmp_path)
    done = shell.pgvow()
    assert 0 == done.code
    assert shell.pgvow("status").out.splitlines()[0] == done.out.splitlines()[0]
    assert "pgvow restore NAME --to DATABASE" in done.out


def test_a_broken_settings_file_keeps_its_exit_code(tmp_path: Path) -> None:
    """An unreadable file is an error with its code, and no advice goes past it."""
    (tmp_path / "pgvow.toml").write_text("[[[")
    done = Commands(tmp_path).pgvow()
    assert 2 == done.code
    assert "pgvow.toml" in done.err
