"""Names of backups as a person types them, in every command that asks for one."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.arguments import UsageProblem
from pgvow.cli.call import call_of
from pgvow.cli.parser import parse_pgvow
from pgvow.cli.picking import backup_path
from tests.support import backups
from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def shop(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user with two backups, the second with more rows."""
    commands = Commands(tmp_path, settings_for(server, database))
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 50) AS n")
        assert 0 == commands.pgvow("backup").code
        session.execute("INSERT INTO orders VALUES (51)")
        assert 0 == commands.pgvow("backup").code
    return commands


def names(shop: Commands) -> list[str]:
    """Return the paths of the backups, newest first."""
    return [each["path"] for each in shop.pgvow("list", "--json").json]


def test_every_command_takes_a_name(server: TestServer, database: str, shop: Commands) -> None:
    """verify, show, extract, prove, restore and diff: latest, the one before, a beginning."""
    newest, older = names(shop)
    assert newest == shop.pgvow("verify", "latest", "--json").json["path"]
    assert older == shop.pgvow("verify", "latest~1", "--json").json["path"]
    assert newest == shop.run("--verify", "latest", "--json").json["path"]
    stem = older.rpartition("/")[2].removesuffix(".dump")
    assert older == shop.pgvow("show", stem, "--json").json["path"]
    assert "51\n" in shop.pgvow("extract", "latest", "--table", "orders").out
    assert "51\n" not in shop.pgvow("extract", "latest~1", "--table", "orders").out
    proven = shop.pgvow("prove", "today", "--json").json
    assert (newest, "today") == (proven["path"], proven["named"])
    other = f"{database}_named"
    try:
        restored = shop.pgvow("restore", "latest~1", "--to", other, "--json")
        assert older.endswith(restored.json["file"].rpartition("/")[2])
        assert "latest~1" == restored.json["named"]
        with server.connect(other) as session:
            assert (50,) == session.execute("SELECT count(*) FROM orders").fetchone()
    finally:
        server.drop_database(other)


def test_a_report_says_which_name_it_answers(shop: Commands) -> None:
    """The word that was typed stands beside the file; a path or a whole name is no other word."""
    newest, older = names(shop)
    assert "latest" == shop.pgvow("verify", "latest", "--json").json["named"]
    assert "latest~1" == shop.pgvow("show", "latest~1", "--json").json["named"]
    for path in (newest, newest.rpartition("/")[2].removesuffix(".dump")):
        assert "named" not in shop.pgvow("verify", path, "--json").json
    lines = shop.pgvow("verify", "latest").out.splitlines()
    assert [f"File:        {newest}", "Named:       latest"] == lines[2:4]
    (shop.cwd / older).write_bytes(b"short")
    lines = shop.pgvow("verify", older.rpartition("/")[2][:-6]).out.splitlines()
    assert f"Named: {older.rpartition('/')[2][:-6]}" in lines


def test_diff_without_names_compares_the_last_two(shop: Commands) -> None:
    """The older is A, the newer B; one name is compared with the newest."""
    newest, older = names(shop)
    alone = shop.pgvow("diff", "--json")
    assert shop.pgvow("diff", older, newest, "--json").out == alone.out
    assert shop.pgvow("diff", "latest~1", "--json").out == alone.out


def test_a_terminal_offers_the_backups(shop: Commands) -> None:
    """Without a name a number is asked for, the newest first; a wrong answer is asked again."""
    newest, older = names(shop)
    screen = shop.on_terminal("verify", answers=[("Which one?", "9"), ("Which one?", "2")])
    assert 0 == screen.code, screen.text
    assert older in screen.text.replace("\n", "")
    screen = shop.on_terminal("show", answers=[("Which one?", "")])
    assert newest.rpartition("/")[2] in screen.text.replace("\n", "")


def test_a_restore_is_offered_the_backups_of_other_environments_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of --env first, the others below under their heading; only a restore takes them."""
    for hours, environment in ((1, "prod"), (2, "dev"), (3, "prod"), (4, "dev")):
        made = datetime(2026, 11, 27, 12 - hours, tzinfo=UTC)
        backups.place(tmp_path, backups.metadata(made, environment=environment))
    monkeypatch.setattr("sys.stdin", Typed("3\n" * 2))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    words = ("--env", "dev", "--output-dir", str(tmp_path))
    restore = call_of(parse_pgvow(["restore", "--to", "x", *words]))
    assert "_prod_2026-11-27T11" in backup_path(restore, None).name
    lines = capsys.readouterr().err.splitlines()
    assert ["dev", "dev", "another", "prod", "prod"] == [
        word for line in lines for word in line.split() if word in ("dev", "prod", "another")
    ]
    with pytest.raises(UsageProblem):  # there is no third one
        backup_path(call_of(parse_pgvow(["show", *words])), None)
    assert "another" not in capsys.readouterr().err


class Typed(io.StringIO):
    """Lines that a person types at a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize("command", ["verify", "show", "prove", "restore", "extract"])
def test_a_script_is_not_asked(command: str, tmp_path: Path) -> None:
    """Without a terminal and a name: exit code 2, and how to name one."""
    more = {"restore": ["--to", "x"], "extract": ["--table", "t"]}.get(command, [])
    done = Commands(tmp_path, {"DEV_DB_NAME": "x"}).pgvow(command, *more)
    assert 2 == done.code
    assert "The newest one: latest" in done.err


def test_the_run_of_a_name_that_is_none_is_recorded(shop: Commands) -> None:
    """A nightly proof without a backup to prove fails in the history, not in silence."""
    assert 2 == shop.pgvow("prove", "latest", "--env", "prod").code
    run = shop.pgvow("history", "--json").json[0]
    assert ("prove", "failed", 2) == (run["operation"], run["outcome"], run["exit_code"])
