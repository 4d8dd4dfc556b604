"""How it looks: on a terminal and in a pipe, with names that nobody would choose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.support import backups
from tests.support.commands import ROOT, Commands, clean_environment, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_HOSTILE = {
    "[red]x[/red]": "[red]x[/red]",
    "a\x1b[2J\x1b]0;owned\x07b": r"a\x1b[2J\x1b]0;owned\x07b",
    "two\nlines": r"two\nlines",
    "\u202eevil": r"\u202eevil",
    "\x9b31mred": r"\x9b31mred",
    ":warning: Größe 数据": ":warning: Größe 数据",
}


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for an empty database."""
    return Commands(tmp_path, settings_for(server, database))


def make_tables(server: TestServer, database: str, names: list[str]) -> None:
    """Make tables of 0, 1, 2, … rows."""
    with server.connect(database) as session:
        for rows, name in enumerate(names):
            session.execute(
                sql.SQL("CREATE TABLE {} AS SELECT generate_series(1, {}) AS n").format(
                    sql.Identifier(name), sql.Literal(rows)
                )
            )


def make_noise(server: TestServer, database: str) -> None:
    """Make a table that takes pg_dump a few seconds."""
    with server.connect(database) as session:
        session.execute(
            "CREATE TABLE noise AS SELECT n, md5(n::text) || md5((-n)::text) AS bytes"
            " FROM generate_series(1, 600000) AS n"
        )


def test_many_tables_show_the_largest_and_a_count_of_the_rest(
    commands: Commands, server: TestServer, database: str
) -> None:
    """The largest first and "and 37 more" on screen, all of them in the file."""
    make_tables(server, database, [f"t{number:02}" for number in range(45)])
    done = commands.run()
    assert done.code == 0, done.err
    (line,) = [one for one in done.out.splitlines() if one.startswith("Tables:")]
    largest = ", ".join(f"{rows} t{rows}" for rows in range(44, 36, -1))
    assert f"Tables:      45 ({largest}, and 37 more)" == line
    (metadata,) = (commands.cwd / "db/backups").glob("*.metadata.json")
    counts = json.loads(metadata.read_text())["table_counts"]
    assert {f"t{number:02}": number for number in range(45)} == counts


def test_an_empty_database_reports_no_tables(commands: Commands) -> None:
    """An empty database has none, and that is no failure."""
    assert "\nTables:      0\n" in commands.run().out


def test_hostile_table_names_are_printed_escaped(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Names come out as they are, or escaped: no markup, no escape sequence, no line break."""
    make_tables(server, database, list(_HOSTILE))
    done = commands.run()
    assert done.code == 0, done.err
    (line,) = [one for one in done.out.splitlines() if one.startswith("Tables:")]
    assert [] == [shown for shown in _HOSTILE.values() if shown not in line]
    assert all(one.isprintable() for one in done.out.replace("\n", ""))
    as_json = commands.run("--json")
    assert all(one.isprintable() for one in as_json.out.replace("\n", ""))
    keys = {key.strip('"') for key in as_json.json["metadata"]["table_counts"]}
    assert set(_HOSTILE) == keys


def test_hostile_names_in_an_error_are_printed_escaped(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Nor does a failure act on the terminal: the server's words are escaped like names."""
    make_tables(server, database, list(_HOSTILE))
    with server.connect(database) as session, session.transaction():
        for name in _HOSTILE:
            session.execute(
                sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(name))
            )
        done = commands.run("--lock-wait-timeout", "0")
    assert done.code == 7
    assert all(one.isprintable() for one in done.err.replace("\n", ""))


def test_hostile_file_names_are_listed_escaped(tmp_path: Path) -> None:
    """A file's name that is no text, or does something: listed, and hides no other."""
    backups.place(tmp_path, backups.metadata())
    for name in (b"\xff\x1b[2J.dump", "[bold]ü.dump".encode()):
        (tmp_path / os.fsdecode(name)).touch()
    commands = Commands(tmp_path)
    listed = commands.run("--list", "--output-dir", ".")
    assert (0, "") == (listed.code, listed.err)
    assert all(one.isprintable() for one in listed.out.replace("\n", ""))
    assert "[bold]ü.dump" in listed.out
    as_json = commands.run("--list", "--output-dir", ".", "--json")
    assert (0, "") == (as_json.code, as_json.err)
    assert b"\xff\x1b[2J.dump" in {os.fsencode(one["path"]) for one in as_json.json}


def test_a_terminal_shows_progress(commands: Commands, server: TestServer, database: str) -> None:
    """A bar with bytes, rate and time left while it works, and the report when it is done."""
    make_noise(server, database)
    screen = commands.on_terminal("backup")
    assert screen.code == 0, screen.text
    assert "Dumping" in screen.text
    assert re.search(r"Dumping +[━╸╺ ]+ [\d.]+/[\d.]+ MB", screen.text)
    assert re.search(r"[\d.]+ [kM]i?B/s", screen.text)
    assert re.search(r"\d:\d\d:\d\d", screen.text)
    # What is drawn last is the report: the bar has wiped itself away.
    report = screen.raw.rpartition("✓\x1b[0m Backup created successfully")[2]
    assert "Checksum:" in report
    assert "━" not in report


def test_a_pipe_shows_neither_progress_nor_colour(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Neither a bar nor a colour: cron mails the output."""
    make_noise(server, database)
    done = commands.run()
    assert (0, "") == (done.code, done.err)
    assert "\x1b" not in done.out
    assert "━" not in done.out


def test_quiet_draws_no_progress_on_a_terminal(commands: Commands) -> None:
    """``--quiet`` draws no bar either."""
    assert "" == commands.on_terminal("backup", "--quiet").raw


def test_colours_appear_only_on_terminals_that_want_them(commands: Commands) -> None:
    """✓ is green if the terminal has colours, and no colour is written if none is wanted."""
    assert "\x1b[32m✓" in commands.on_terminal("backup").raw
    for wish in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        screen = commands.on_terminal("list", **wish)
        assert "✓ ok" in screen.text
        assert not screen.is_coloured
    assert "\x1b" not in commands.run("--list").out


def test_an_error_on_a_terminal_is_red(commands: Commands) -> None:
    """✗ is red, and the troubleshooting below it is plain."""
    screen = commands.on_terminal("backup", DEV_DB_NAME="nowhere")
    assert 3 == screen.code
    assert "\x1b[31m✗" in screen.raw
    assert "Troubleshooting:\n  1. " in screen.text


def test_list_prints_one_line_a_backup_in_110_columns(tmp_path: Path) -> None:
    """Timestamp, age, environment, database, size, status: a line each, and the total."""
    backups.place(tmp_path, backups.metadata())
    screen = Commands(tmp_path).on_terminal("list", "--output-dir", ".", columns=140)
    header, row, empty, total = screen.text.splitlines()
    assert [
        "Timestamp",
        "Age",
        "Environment",
        "Database",
        "Size",
        "Status",
        "Note",
        "File",
    ] == header.split()
    assert re.match(r"2025-01-27T14:30:00Z +\d+ d( \d+ h)?  dev          shop ", row)
    assert "✓ ok, verified" in row
    assert ("", "1 backup, ") == (empty, total[:10])


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (150, "Timestamp Age Environment Database Size Status Note File"),
        (115, "Timestamp Age Database Size Status File"),
        (100, "Timestamp Age Size Status File"),
        (80, "Age Size Status File"),
        (70, "Timestamp Age Database Size Status"),
        (60, "Timestamp Age Size Status"),
        (40, "Age Size Status"),
        (20, "Age Size Status"),
    ],
)
def test_list_on_a_narrow_terminal_never_breaks_a_name(
    columns: int, headings: str, tmp_path: Path
) -> None:
    """Columns go whole, those first that the file's name repeats; the name goes below, whole."""
    dump = backups.place(tmp_path, backups.metadata())
    screen = Commands(tmp_path).on_terminal("list", "--output-dir", ".", columns=columns)
    header, *rows = screen.text.splitlines()[:-2]
    assert headings.split() == header.split()
    assert rows[-1].endswith(f" {dump.name}")
    assert ("File" in headings) == (1 == len(rows))


def piped_to_head(words: list[str], cwd: Path) -> tuple[int, bytes, bytes]:
    """Run a command whose reader leaves after the first line."""
    child = subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    line = child.stdout.readline()
    child.stdout.close()
    complaint = child.stderr.read()
    child.stderr.close()
    return child.wait(), line, complaint


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_list_into_head_causes_no_traceback(more: list[str], tmp_path: Path) -> None:
    """``backup_db.py --list | head -1``: the line, and no traceback."""
    dump = backups.place(tmp_path, backups.metadata())
    for number in range(1500):
        shutil.copy(dump, tmp_path / f"{number:0100}.dump")
    words = [str(ROOT / "backup_db.py"), "--list", "--output-dir", ".", *more]
    code, line, complaint = piped_to_head(words, tmp_path)
    assert (b"Timestamp" if not more else b"[\n") == line[: 2 if more else 9]
    assert b"" == complaint
    assert code in {1, 141}


@pytest.mark.parametrize(
    "words", [["-m", "pgvow", "--help"], [str(ROOT / "backup_db.py"), "--help"]]
)
def test_a_pipe_closed_before_the_flush_causes_no_traceback(
    words: list[str], tmp_path: Path
) -> None:
    """Output that fits the pipe's buffer fails when flushed, and that is no traceback either."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (1, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_unencodable_report_does_not_fail_the_backup(encoding: str, commands: Commands) -> None:
    """A report that cannot be written as it is does not fail the backup: cron has no locale."""
    done = commands.run(PYTHONIOENCODING=encoding)
    assert 0 == done.code, done.err
    assert "Backup created successfully" in done.out
    assert 0 == commands.run("--list", PYTHONIOENCODING=encoding).code
    failed = commands.run(DEV_DB_NAME="数据", PYTHONIOENCODING=encoding)
    assert 3 == failed.code, failed.err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_backup_without_stdout_and_stderr_is_made(closed: str, commands: Commands) -> None:
    """Started without standard output or error: the backup is made all the same."""
    shell = Commands(commands.cwd, commands.variables, ("sh", "-c", f'"$@" {closed}', "sh"))
    done = shell.run()
    assert (0, "") == (done.code, done.err)
    (listed,) = commands.run("--list", "--json").json
    assert "ok" == listed["status"]
    assert 0 == commands.run("--verify", listed["path"]).code


_UNEXPECTED = "import sys; from pgvow.cli.app import run; sys.exit(run(lambda: [][1]))"


@pytest.mark.parametrize("value", ["1", "0", None])
def test_tracebacks_appear_only_with_pgvow_debug(value: str | None, tmp_path: Path) -> None:
    """PGVOW_DEBUG=1 shows the traceback; else the error names the cause, and that variable."""
    environment = clean_environment() | ({"PGVOW_DEBUG": value} if value else {})
    for words in (["-c", _UNEXPECTED], ["-m", "pgvow", "backup"]):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (2 if "backup" in words else 1) == done.returncode
        assert (value == "1") == ("Traceback (most recent call last)" in done.stderr)
        assert "✗ " in done.stderr
    assert (
        "PGVOW_DEBUG"
        in subprocess.run(
            [sys.executable, "-c", _UNEXPECTED], capture_output=True, text=True, check=False
        ).stderr
    )


def test_progress_for_programs_is_lines_of_json(
    commands: Commands, server: TestServer, database: str
) -> None:
    """``--progress json``: phases with bytes, warnings, and the failure, each a line of its own."""
    make_noise(server, database)
    made = commands.run("--progress", "json", "--json")
    lines = [json.loads(line) for line in made.err.splitlines()]
    phases = [line["phase"] for line in lines if line["event"] == "progress"]
    assert {"lock", "dump", "integrity"} <= set(phases)
    assert all({"done", "total", "detail"} <= line.keys() for line in lines if "phase" in line)
    assert 0 == made.code

    failed = commands.run("--progress", "json", "--space-factor", "1000000000000")
    last = json.loads(failed.err.splitlines()[-1])
    assert (5, "failed", 5) == (failed.code, last["event"], last["exit_code"])
    assert last["cause"]


def test_progress_can_be_turned_off_on_a_terminal(commands: Commands) -> None:
    """``--progress none``: a terminal is shown the report alone."""
    screen = commands.on_terminal("backup", "--progress", "none")
    assert "Dumping" not in screen.text
    assert "Backup created successfully" in screen.text
