"""The options of ``list``, ``history`` and ``status`` that choose among backups and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.test_json_compatibility import place_backups
from tests.support.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path

_SHOP = ["01-10-50", "01-10-45", "01-10-36"]
_LIVE = ["01-11-13", "01-11-05", "01-10-40"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A directory with the fixed backups and their history."""
    folder: Path = tmp_path_factory.mktemp("filters")
    place_backups(folder)
    return Commands(folder)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--database", "shop"), _SHOP),
        (("--database", "shop_live", "--last", "2"), _LIVE[:2]),
        (("--database", "nothing"), []),
        (("--last", "1"), _LIVE[:1]),
        (("--since", "2026-11-28T01:11:05"), _LIVE[:2]),
        (("--since", "2026-11-28", "--env", "dev"), _SHOP),
        (("--since", "2199-01-01"), []),
        (("--since", "99999999w"), None),
        (("--level", "proven"), _LIVE[2:]),
        (("--level", "decoded"), ["01-11-13", "01-10-50", "01-10-40", "01-10-36"]),
    ],
)
def test_list_chooses(shell: Commands, words: tuple[str, ...], expected: list[str] | None) -> None:
    """Filters add up, the newest stay first, and a level that a check refuted does not count."""
    listed = shell.pgvow("list", "--json", *words).json
    times = [backup["timestamp"][11:19].replace(":", "-") for backup in listed]
    assert times == (sorted(_SHOP + _LIVE, reverse=True) if expected is None else expected)
    if expected is not None:
        faces = shell.run("--list", "--json", "--output-dir", "backups", *words).json
        assert times == [backup["timestamp"][11:19].replace(":", "-") for backup in faces]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--failed",), ["verify"]),
        (("--database", "shop", "--last", "2"), ["verify", "backup"]),
        (("--since", "2026-11-28T01:11:08"), ["backup", "verify"]),
        (("--env", "dev", "--operation", "backup"), ["backup"] * 3),
    ],
)
def test_history_chooses(shell: Commands, words: tuple[str, ...], expected: list[str]) -> None:
    """Filters add up, and ``--failed`` has failed, dead and interrupted runs."""
    runs = shell.pgvow("history", "--json", *words).json
    assert expected == [run["operation"] for run in runs]


def test_a_slip_at_a_terminal_is_no_failure_of_the_job(tmp_path: Path) -> None:
    """The same usage error counts from cron, and not if a person typed it and has seen it."""
    shell = Commands(tmp_path, {"DEV_DB_NAME": "x", "DEV_DB_PORT": "none"})
    assert 2 == shell.on_terminal("backup").code
    assert [] == shell.pgvow("history", "--failed", "--json").json
    assert ["no backup"] == _alarms(shell)
    assert 2 == shell.pgvow("backup").code
    (run,) = shell.pgvow("history", "--failed", "--json").json
    assert (2, False) == (run["exit_code"], run["by_hand"])
    assert [True, False] == [
        each["by_hand"] for each in reversed(shell.pgvow("history", "--json").json)
    ]
    assert ["last run failed", "no backup"] == _alarms(shell)


def test_a_settings_file_that_breaks_leaves_a_line(tmp_path: Path) -> None:
    """A night whose settings file cannot be used is in the history once it can; nothing is made."""
    shell = Commands(tmp_path, {"DEV_DB_NAME": "x"})
    (tmp_path / "pgvow.toml").write_text("[backup]\njob = 2\n")
    assert 2 == shell.pgvow("backup", "--env", "dev").code
    assert not (tmp_path / "db").exists()
    (tmp_path / "db/backups").mkdir(parents=True)
    assert 2 == shell.pgvow("backup", "--env", "dev", "--log-file", "log").code
    assert 2 == shell.pgvow("list").code
    (tmp_path / "pgvow.toml").unlink()
    (run,) = shell.pgvow("history", "--failed", "--json").json
    assert ("backup", "dev", 2) == (run["operation"], run["environment"], run["exit_code"])
    assert "is not known; did you mean jobs?" in run["cause"]
    assert "is not known; did you mean jobs?" in (tmp_path / "log").read_text()


def _alarms(shell: Commands) -> list[str]:
    (series,) = shell.pgvow("status", "--json").json["databases"]
    return sorted(alarm["kind"] for alarm in series["alarms"])


def test_status_of_one_database(shell: Commands) -> None:
    """``status --database`` has its line and its alarms alone, and its exit code."""
    assert 12 == shell.pgvow("status").code
    done = shell.pgvow("status", "--database", "shop", "--max-age", "9000d", "--json")
    assert (11, ["shop"]) == (done.code, [each["database"] for each in done.json["databases"]])


def test_since_that_is_none(shell: Commands) -> None:
    """A time that cannot be read is a usage error that shows how to write one."""
    done = shell.pgvow("list", "--since", "yesterdayish")
    assert 2 == done.code
    assert "neither a length of time such as 7d, nor a date such as 2026-11-27" in done.err


def test_a_stream_without_bars(shell: Commands) -> None:
    """``status --wide`` draws in ASCII if the stream's encoding has no bars."""
    plain = shell.pgvow("status", "--wide", PYTHONIOENCODING="ascii:replace")
    assert "@_" in plain.out
    assert "█▁" in shell.pgvow("status", "--wide").out
