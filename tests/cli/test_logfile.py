"""``--log-file``: the log of runs under cron."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.support import backups
from tests.support.commands import Commands
from tests.support.servers import programs

if TYPE_CHECKING:
    from pathlib import Path


_PROGRAMS = {"PGVOW_PG_BIN": str(programs(18))}


def test_text_log_has_start_warnings_and_end_for_its_owner_only(tmp_path: Path) -> None:
    """Beginning, warnings and end, appended; the file is its owner's."""
    dump = backups.place(tmp_path, backups.metadata())
    dump.write_bytes(dump.read_bytes() + b"!")
    commands = Commands(tmp_path, _PROGRAMS)
    log = tmp_path / "log"
    for _ in range(2):
        assert 8 == commands.pgvow("verify", dump, "--log-file", log, "--quiet").code
    lines = log.read_text().splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ pgvow\[\d+\] verify"
    assert 4 == len(lines)
    assert re.fullmatch(f"{moment} began", lines[2])
    assert re.match(f"{moment} failed exit_code=8 environment=dev database=shop", lines[3])
    assert 0o600 == log.stat().st_mode & 0o777


def test_json_log_has_one_object_a_line(tmp_path: Path) -> None:
    """One JSON object a line."""
    commands = Commands(tmp_path, _PROGRAMS)
    words = ("--log-file", "log", "--log-format", "json")
    assert 3 == commands.run(*words, DEV_DB_HOST="/none", DEV_DB_NAME="x", DEV_DB_USER="x").code
    began, ended = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert ("backup", "began", ended["run"]) == (began["operation"], began["event"], began["run"])
    assert ("failed", 3) == (ended["event"], ended["exit_code"])
    assert ended["cause"]


def test_an_unwritable_log_is_only_a_warning(tmp_path: Path) -> None:
    """It is a warning, and changes nothing else."""
    done = Commands(tmp_path).pgvow(
        "prune", "--keep-last", "1", "--output-dir", ".", "--log-file", "no/such/log"
    )
    assert 0 == done.code
    assert "! nothing is logged: cannot write no/such/log" in done.err
