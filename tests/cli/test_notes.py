"""``keep`` and ``acknowledge``: notes beside a backup, and every command that heeds them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pgvow.store import StoredBackup
from tests.support import backups
from tests.support.commands import Commands
from tests.support.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Done

_DIR = ("--output-dir", ".")


def _json(done: Done) -> Any:
    return json.loads(done.out)


@pytest.fixture
def dumps(tmp_path: Path) -> list[Path]:
    """Three backups of the last days, newest first."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        backups.place(tmp_path, backups.metadata(now - timedelta(days=days))) for days in range(3)
    ]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """A shell in the directory of the backups."""
    return Commands(tmp_path, {"PGVOW_PG_BIN": str(programs(18))})


def test_a_kept_backup_is_not_pruned_and_is_shown_everywhere(
    commands: Commands, dumps: list[Path]
) -> None:
    """prune names until when and why; list and show have it; a release lets the rules decide."""
    *_, oldest = dumps
    words = ("--until", "2100-01-01", "--note", "before the \x1b[31mmigration")
    done = commands.pgvow("keep", oldest.stem, *_DIR, *words)
    note = r"kept until 2100-01-01: before the \x1b[31mmigration"
    assert (0, f"✓ {oldest.name} is {note}\n") == (done.code, done.out), done.err
    pruned = commands.pgvow("prune", *_DIR, "--keep-last", "1", "--dry-run")
    assert note in pruned.out
    assert "1 backup would be removed" in pruned.out
    for command in (("list", "--wide"), ("show", oldest.stem)):
        shown = commands.pgvow(*command, *_DIR)
        assert note in shown.out
        assert "\x1b" not in shown.out
    entry = _json(commands.pgvow("list", *_DIR, "--json"))[-1]
    assert ("2100-01-01T23:59:59Z", "before the \x1b[31mmigration") == (
        entry["notes"]["keep"]["until"],
        entry["notes"]["keep"]["note"],
    )
    assert entry["notes"] == _json(commands.pgvow("show", oldest, "--json"))["notes"]
    done = commands.pgvow("keep", "--release", oldest.stem, *_DIR)
    assert (0, True) == (done.code, "is kept no longer" in done.out)
    done = commands.pgvow("keep", "--release", oldest.stem, *_DIR, "--json")
    assert (0, False) == (done.code, done.json["changed"])
    pruned = commands.pgvow("prune", *_DIR, "--keep-last", "1", "--json")
    assert 2 == len(_json(pruned)["removed"])
    runs = _json(commands.pgvow("history", *_DIR, "--operation", "keep", "--json"))
    assert [oldest.name] * 3 == [run["file"] for run in runs]


def test_keep_without_until_is_for_ever(commands: Commands, dumps: list[Path]) -> None:
    """Without --until for ever; a length of time counts from now; what is over is refused."""
    assert "is kept\n" in commands.pgvow("keep", "latest", *_DIR).out
    stored = StoredBackup.at(dumps[0])
    keep = stored.notes().keep
    assert keep is not None
    assert keep.until is None
    assert 0 == commands.pgvow("keep", "latest", *_DIR, "--until", "90d").code
    keep = stored.notes().keep
    assert keep is not None
    assert keep.until is not None
    assert timedelta(days=90) == keep.until - keep.at
    for until in ("2020-01-01", "soon"):
        done = commands.pgvow("keep", "latest", *_DIR, "--until", until)
        assert (2, True) == (done.code, until in done.err)
    assert keep == stored.notes().keep
    assert 2 == commands.pgvow("keep", "none", *_DIR).code


def test_a_known_fault_raises_no_alarm_and_stays_a_fault(
    commands: Commands, dumps: list[Path]
) -> None:
    """Bad as before, and shown with the note; status and verify --all are healthy again."""
    _, second, _ = dumps
    good = second.read_bytes()
    second.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert 8 == commands.pgvow("verify", "--all", *_DIR).code
    assert 12 == commands.pgvow("status", *_DIR).code
    done = commands.pgvow("acknowledge", second.stem, *_DIR, "--note", "the disk was replaced")
    today = datetime.now(UTC).date().isoformat()
    note = f"acknowledged on {today}: the disk was replaced"
    assert (0, True) == (done.code, note in done.out), done.err
    status = commands.pgvow("status", *_DIR, "--json")
    assert (0, []) == (status.code, _json(status)["databases"][0]["alarms"]), status.out
    (known,) = _json(status)["databases"][0]["acknowledged"]
    assert (second.name, note) == (known["name"], known["acknowledged"])
    assert note in commands.pgvow("status", *_DIR).out
    assert note in commands.pgvow("list", *_DIR, "--wide").out
    everything = commands.pgvow("verify", "--all", *_DIR, "--json")
    assert (0, [True, False, True]) == (everything.code, [one["ok"] for one in _json(everything)])
    assert [None, note, None] == [one["acknowledged"] for one in _json(everything)]
    assert "1 as acknowledged" in commands.pgvow("verify", "--all", *_DIR).out
    assert 8 == commands.pgvow("verify", second, *_DIR).code
    assert 0 == commands.pgvow("status", *_DIR).code
    pruned = _json(commands.pgvow("prune", *_DIR, "--keep-last", "1", "--dry-run", "--json"))
    assert [True, True, False] == [one["keep"] for one in pruned["backups"]]
    assert 0 == commands.pgvow("acknowledge", "--withdraw", second.stem, *_DIR).code
    assert 12 == commands.pgvow("status", *_DIR).code
    assert 8 == commands.pgvow("verify", "--all", *_DIR).code


def test_another_fault_of_the_same_backup_raises_again(
    commands: Commands, dumps: list[Path]
) -> None:
    """Acknowledged is the verdict: when the file is gone, status and verify --all raise it."""
    _, second, _ = dumps
    second.write_bytes(second.read_bytes()[:-1])
    assert 0 == commands.pgvow("acknowledge", second.stem, *_DIR).code
    assert 0 == commands.pgvow("status", *_DIR).code
    second.write_bytes(second.read_bytes()[:-1])
    status = commands.pgvow("status", *_DIR, "--json")
    assert 12 == status.code
    assert [second.name] == [one["name"] for one in _json(status)["databases"][0]["alarms"]]
    assert [] == _json(status)["databases"][0]["acknowledged"]
    assert 8 == commands.pgvow("verify", "--all", *_DIR).code


def test_a_good_backup_has_nothing_to_acknowledge(commands: Commands, dumps: list[Path]) -> None:
    """2, and how to check it; nothing is written."""
    done = commands.pgvow("acknowledge", "latest", *_DIR)
    assert 2 == done.code
    assert f"pgvow verify {dumps[0].name} --deep" in done.err
    assert not dumps[0].with_suffix(".notes.json").exists()
