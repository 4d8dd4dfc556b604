"""Back up, verify, list, restore with stock tools: on every server, and with a newer client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.support.commands import Commands, settings_for
from tests.support.restored import restore_fresh, rows_by_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_REPORT = re.compile(
    r"""✓ Backup created successfully

Backup File: (?P<dump>db/backups/(?P<base>\S+)\.dump)
Metadata:    db/backups/(?P=base)\.metadata\.json
Globals:     db/backups/(?P=base)\.globals\.sql
Size:        [\d.]+ \w+
Environment: dev
Database:    (?P<database>\S+)
Tables:      4 \(3420 messages, 150 conversations, 145 conversation_index, 12 project_knowledge\)
Checksum:    [0-9a-f]{12}\.\.\.
Verified:    ✓ Integrity check passed
"""
)


def make_chat(server: TestServer, database: str) -> None:
    """Make the four tables of the user's own application, with the rows of the contract's page."""
    counts = {
        "conversations": 150,
        "messages": 3420,
        "project_knowledge": 12,
        "conversation_index": 145,
    }
    with server.connect(database) as session:
        for table, rows in counts.items():
            session.execute(
                sql.SQL(
                    "CREATE TABLE {} AS SELECT n AS id, repeat(md5(n::text), 3) AS content"
                    " FROM generate_series(1, {}) AS n"
                ).format(sql.Identifier(table), sql.Literal(rows))
            )


def check_round_trip(commands: Commands, server: TestServer, database: str) -> None:
    """Backup, verify and list succeed, and the restored rows are those that were counted."""
    made = commands.run()
    assert made.code == 0, made.err
    report = _REPORT.fullmatch(made.out)
    assert report is not None, made.out
    dump = commands.cwd / report["dump"]
    verified = commands.run("--verify", dump, "--json").json
    assert verified["ok"] is True
    listed = commands.run("--list", "--json").json
    assert [("ok", database)] == [(one["status"], one["database"]) for one in listed]
    metadata = listed[0]["metadata"]
    with restore_fresh(server, dump) as fresh:
        assert rows_by_key(server, fresh) == metadata["table_counts"]


def test_round_trip_on_every_major(server: TestServer, database: str, tmp_path: Path) -> None:
    """On 15 to 18: backup → verify → list → pg_restore into a fresh database → same rows."""
    make_chat(server, database)
    check_round_trip(Commands(tmp_path, settings_for(server, database)), server, database)


@pytest.mark.majors(15, 16, 17)
def test_round_trip_with_a_newer_client(
    server: TestServer, pg18: TestServer, database: str, tmp_path: Path
) -> None:
    """A client newer than the server serves, with a note on the pg_restore needed."""
    make_chat(server, database)
    commands = Commands(tmp_path, settings_for(server, database, bin_dir=pg18.bin))
    made = commands.run("--json")
    assert made.code == 0, made.err
    assert any("needs a pg_restore of 18" in warning for warning in made.json["warnings"])
    assert "needs a pg_restore of 18" in made.err
    dump = tmp_path / made.json["backup_path"]
    assert commands.run("--verify", dump, "--quiet").out == ""
    with restore_fresh(pg18, dump) as fresh:
        assert rows_by_key(pg18, fresh) == made.json["metadata"]["table_counts"]
