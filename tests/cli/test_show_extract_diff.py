"""show, extract and diff as a user runs them: output, exit codes, pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.archives import LargeObjects, Spec, Table, build
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.privileges import bound_by_permissions
from tests.support.terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_ROWS = b"1\n\\N\n\n\xff\xfe\\\\\n"
_HOSTILE = "new\nline \x1b[31m\u202ered"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A dump without metadata, with a name that a terminal would obey."""
    parts = (
        Table("messages", _ROWS),
        Table("log", b"x\n" * 3, schema="audit"),
        Table(_HOSTILE, b"1\n"),
        LargeObjects(((16400, b"hello"),)),
    )
    path = tmp_path / "it.dump"
    path.write_bytes(build(Spec(parts)))
    return path


def piped(bare: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run pgvow extract on it, and take its bytes."""
    return subprocess.run(
        [sys.executable, "-m", "pgvow", "extract", bare, *arguments],
        env=clean_environment(),
        capture_output=True,
        check=False,
        timeout=600,
    )


def test_show_describes_a_dump_without_metadata(bare: Path) -> None:
    """It says that there are no metadata, lists the contents, and shows how to restore them."""
    done = Commands(bare.parent).pgvow("show", "it.dump")
    assert (0, "") == (done.code, done.err)
    assert "! there are no metadata beside it" in done.out
    assert "pg_restore 14 or newer" in done.out
    assert "pg_restore --exit-on-error --jobs 4 --dbname restored it.dump\n" in done.out
    assert "Large objects: 1, 5 bytes" in done.out
    assert "\x1b" not in done.out
    assert "\\n" in done.out
    found = Commands(bare.parent).pgvow("show", "it.dump", "--json").json
    assert "archive" == found["facts_from"]
    assert [4, 3, 1] == [table["rows"] for table in found["tables"]]
    assert {"TABLE DATA": 3, "BLOBS": 1} == found["objects"]
    assert 14 == found["restore"]["pg_restore_major"]
    assert "" == Commands(bare.parent).pgvow("show", "it.dump", "--quiet").out


def test_extract_writes_copy_text_and_csv_unchanged(bare: Path) -> None:
    """COPY text as it is, CSV in the archive's own bytes, and nothing else on standard output."""
    assert _ROWS == piped(bare, "--table", "messages", "--format", "copy").stdout
    csv = b'a\r\n1\r\n\r\n""\r\n\xff\xfe\\\r\n'
    for table in ("messages", "public.messages", '"public"."messages"'):
        done = piped(bare, "--table", table)
        assert (0, csv, b"") == (done.returncode, done.stdout, done.stderr)
    assert b"1\n" == piped(bare, "--table", f'"{_HOSTILE}"', "--format", "copy").stdout


def test_extract_to_a_file_reports_on_it(bare: Path) -> None:
    """--json is the report on a new file; rows on standard output leave it no room (2)."""
    shell = Commands(bare.parent)
    words = ("extract", "it.dump", "--table", "messages")
    refused = shell.pgvow(*words, "--json")
    assert (2, "Usage error") == (refused.code, refused.json["error"]["title"])
    done = shell.pgvow(*words, "--output", "rows.copy", "--format", "copy", "--json")
    rows = bare.parent / "rows.copy"
    assert (0, _ROWS, 0o600) == (done.code, rows.read_bytes(), rows.stat().st_mode & 0o777)
    expected = {"path": "rows.copy", "table": "messages", "rows": 4, "bytes": len(_ROWS)}
    assert expected.items() <= done.json.items()
    assert ("copy", "it.dump") == (done.json["format"], done.json["backup"])
    again = shell.pgvow(*words, "--output", "rows.copy")
    assert 2 == again.code
    assert "rows.copy exists already" in again.err
    assert _ROWS == rows.read_bytes()
    text = shell.pgvow(*words, "--output", "rows.csv").out
    assert text.startswith("✓ 4 rows of messages written\n\nBackup:  it.dump\nFile:    rows.csv\n")
    assert 2 == shell.pgvow("extract", "it.dump", "--table", "log", "--output", "none.csv").code
    assert ["it.dump", "rows.copy", "rows.csv"] == sorted(
        path.name for path in bare.parent.iterdir() if path.name != "history.jsonl"
    )


def test_extract_lists_near_names_of_an_unknown_table(bare: Path) -> None:
    """An unknown table is exit code 2, nothing is written, and near names are listed."""
    done = piped(bare, "--table", "log")
    assert (2, b"") == (done.returncode, done.stdout)
    assert b"the archive has no table log" in done.stderr
    assert b"Close to it: audit.log" in done.stderr


@pytest.mark.parametrize("row_format", ["csv", "copy"])
def test_a_closed_pipe_causes_no_traceback(row_format: str, tmp_path: Path) -> None:
    """``| head`` gets its lines; pgvow ends without a word."""
    path = tmp_path / "it.dump"
    path.write_bytes(build(Spec((Table("messages", b"a row of some length\n" * 500_000),))))
    command = f'"$0" -m pgvow extract it.dump --table messages --format {row_format} | head -n 2'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        check=False,
        timeout=600,
    )
    assert (0, b"") == (done.returncode, done.stderr)
    assert 2 == done.stdout.count(b"\n")


def test_extract_to_a_full_disk_exits_5(bare: Path) -> None:
    """Rows that find no room: exit code 5, never a file that passes for whole."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "pgvow", "extract", bare, "--table", "messages"],
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=600,
        )
    assert 5 == done.returncode, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [("show", "{}"), ("extract", "{}", "--table", "messages"), ("diff", "{}", "{}")],
    ids=lambda words: words[0],
)
def test_a_missing_dump_exits_8_and_an_unreadable_one_4(words: tuple[str, ...], bare: Path) -> None:
    """Missing is 2, damaged 8, not to be read 4, as JSON where that is known."""
    commands = Commands(bare.parent, prefix=tuple(bound_by_permissions([])))
    missing = commands.pgvow(*(word.format("missing.dump") for word in words))
    assert (2, "") == (missing.code, missing.out)
    assert "there is no file missing.dump" in missing.err
    cut = bare.with_name("cut.dump")
    cut.write_bytes(bare.read_bytes()[:700])
    assert 8 == commands.pgvow(*(word.format("cut.dump") for word in words)).code
    bare.chmod(0)
    assert 4 == commands.pgvow(*(word.format("it.dump") for word in words)).code
    if words[0] != "extract":
        told = commands.pgvow(*(word.format("it.dump") for word in words), "--json")
        assert (4, 4) == (told.code, told.json["error"]["exit_code"])


def test_diff_prints_one_line_for_each_change(bare: Path) -> None:
    """A line a change, exit code 0 whatever differs; and one line if nothing does."""
    commands = Commands(bare.parent)
    other = bare.with_name("other.dump")
    parts = (Table("messages", _ROWS + b"5\n"), Table("comes", b"1\n"))
    other.write_bytes(build(Spec(parts)))
    done = commands.pgvow("diff", "it.dump", "other.dump")
    assert 0 == done.code
    lines = [line.strip() for line in done.out.splitlines()]
    assert "+ comes: 1 row" in lines
    assert "- audit.log: 3 rows" in lines
    assert "~ messages: 4 → 5 rows, 11 bytes → 13 bytes" in lines
    assert "~ 1, 5 bytes → none" in lines
    assert "\x1b" not in done.out
    found = commands.pgvow("diff", "it.dump", "other.dump", "--json").json
    assert ["comes"] == [table["table"] for table in found["tables"]["added"]]
    assert found["equal"] is False
    same = commands.pgvow("diff", "it.dump", "it.dump")
    assert (0, True) == (same.code, same.out.endswith("\nNothing changed\n"))


@pytest.mark.majors(15, 18)
def test_backup_show_extract_diff_work_as_documented(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Backup, show, extract, change, backup, diff: as in the document, with a real server."""
    server.psql(
        database,
        "CREATE TABLE messages (id integer, body text); CREATE SCHEMA audit;"
        'CREATE TABLE audit."log book" AS SELECT generate_series(1, 9) AS n;'
        "INSERT INTO messages VALUES (1, 'hello, \"you\"'), (2, NULL), (3, '')",
    )
    commands = Commands(tmp_path, settings_for(server, database))
    older = commands.pgvow("backup", "--json").json["backup_path"]
    shown = commands.pgvow("show", older)
    assert "Environment:   dev" in shown.out
    assert "!" not in shown.out.splitlines()[0]
    rows = commands.pgvow("extract", older, "--table", "messages")
    assert 'id,body\n1,"hello, ""you"""\n2,\n3,""\n' == rows.out.replace("\r\n", "\n")
    book = commands.pgvow("extract", older, "--table", 'audit."log book"', "--format", "copy")
    assert [str(number) for number in range(1, 10)] == book.out.split()
    server.psql(database, "DELETE FROM messages WHERE id = 2; CREATE INDEX ON messages (id)")
    newer = commands.pgvow("backup", "--json").json["backup_path"]
    found = commands.pgvow("diff", older, newer)
    assert "~ messages: 3 → 2 rows" in found.out
    assert "+ INDEX public.messages_id_idx" in found.out
    told = json.loads(commands.pgvow("diff", older, newer, "--json").out)
    assert ("metadata", "metadata") == tuple(told[one]["facts_from"] for one in ("older", "newer"))


def test_extract_draws_progress_on_a_terminal(bare: Path) -> None:
    """On a terminal it draws a bar, unless the rows themselves go there."""
    extract = ("-m", "pgvow", "extract", str(bare), "--table", "audit.log", "--format", "copy")
    piped_away = ["sh", "-c", 'exec "$@" > rows', "sh", sys.executable, *extract]
    screen = on_terminal(piped_away, cwd=bare.parent, env=clean_environment())
    assert (0, b"x\n" * 3) == (screen.code, (bare.parent / "rows").read_bytes())
    assert "Extracting" in screen.text
    shown = on_terminal([sys.executable, *extract], cwd=bare.parent, env=clean_environment())
    assert 0 == shown.code
    assert "x\n" * 3 == shown.text
