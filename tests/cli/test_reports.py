"""The figures in the reports of backups, and the space that a backup asks for."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.commands.backup import since
from pgvow.formats import size
from pgvow.postgres.server import Address
from tests.cli.test_doctor import age, check, examined
from tests.support.commands import Commands, settings_for
from tests.support.disks import needs_root
from tests.support.restoring import databases

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for a database with one table."""
    server.psql(database, "CREATE TABLE orders AS SELECT n FROM generate_series(1, 5000) AS n")
    return Commands(tmp_path, settings_for(server, database))


@pytest.mark.majors(15, 18)
def test_a_backup_beside_the_database_and_the_last_one(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Duration, share of the database and growth since the last whole backup, also as numbers."""
    first = commands.pgvow("backup", "--json").json
    assert [None] * 3 == [first[key] for key in ("compared_with", "compared_age_seconds", "growth")]
    made = first["metadata"]["backup_size_bytes"]
    assert first["database_size_bytes"] == first["metadata"]["database_size_bytes"] > made
    assert first["size_ratio"] == pytest.approx(made / first["database_size_bytes"], abs=1e-4)

    age(commands, timedelta(days=10))
    server.psql(database, "INSERT INTO orders SELECT random() * 1e6 FROM generate_series(1, 9999)")
    second = commands.pgvow("backup")
    (line,) = [each for each in second.out.splitlines() if each.startswith("Took:")]
    assert re.fullmatch(
        r"Took: +[\d.]+ s, [\d.]+ % of the database's size, \+\d+\.\d % since (10 days ago|last"
        r" week)",
        line,
    ), line
    third = commands.pgvow("backup", "--json").json
    assert re.search(r"Metadata: +(\S+)", second.out)
    assert third["compared_with"] in second.out
    assert 0 == pytest.approx(third["growth"], abs=0.01)
    assert 0 <= third["compared_age_seconds"] < 600


@pytest.mark.majors(18)
def test_a_part_is_compared_with_nothing(commands: Commands) -> None:
    """Neither with the database nor with whole backups; and a whole one not with a part."""
    part = commands.pgvow("backup", "--json", "-t", "orders").json
    whole = commands.pgvow("backup", "--json").json
    again = commands.pgvow("backup", "--json", "-t", "orders").json
    for made in (part, again):
        assert (None, None, None) == (made["size_ratio"], made["growth"], made["compared_with"])
    assert whole["compared_with"] is None
    assert " since " not in commands.pgvow("backup", "-t", "orders").out


@pytest.mark.majors(18)
def test_the_report_of_the_contract_has_no_further_line(commands: Commands) -> None:
    """``backup_db.py`` reports as ever, for those who read it line by line."""
    assert "Took:" not in commands.run().out
    assert "Took:" in commands.pgvow("backup").out


@pytest.mark.majors(18)
def test_space_by_the_last_backup(commands: Commands) -> None:
    """Doctor and backup reckon by the last backup, and say so; a typed factor counts alone."""
    space = check(examined(commands, "--json"), "space")
    assert "2 times the database's size" in space["text"]
    made = commands.pgvow("backup", "--json").json["metadata"]
    space = check(examined(commands, "--json"), "space")
    assert f"the last backup's {size(made['backup_size_bytes'])} and 10 %" in space["text"]
    typed = commands.pgvow("backup", "--space-factor", "1e9")
    assert 5 == typed.code
    assert "1e+09 times the database's size" in typed.err


@needs_root
@pytest.mark.majors(18)
def test_a_disk_too_small_by_the_last_backup(commands: Commands, small_disk: Path) -> None:
    """Twice the database does not fit and the first backup fails; with a last one it is enough."""
    early = commands.pgvow("backup", "--output-dir", small_disk)
    made = commands.pgvow("backup", "--output-dir", small_disk, "--space-factor", "0")
    later = commands.pgvow("backup", "--output-dir", small_disk)
    assert (5, 0, 0) == (early.code, made.code, later.code), (early.err, made.err, later.err)
    assert "2 times the database's size" in early.err
    assert re.search(r"the backup needs about [\d.]+ MB: .*; [\d.]+ [kM]B free", early.err)
    contract = commands.run("--output-dir", small_disk)  # its own check is always of twice as much
    assert (5, True) == (contract.code, "2 times the database's size" in contract.err)
    for path in small_disk.glob("*.metadata.json"):  # as if it had grown by everything since
        path.write_text(json.dumps({**json.loads(path.read_text()), "database_size_bytes": 1}))
    grown = commands.pgvow("backup", "--output-dir", small_disk)
    assert grown.code == 5
    assert "the last backup's" in grown.err
    assert "by which the database has grown since" in grown.err
    assert "pgvow prune --dry-run" in grown.err


@pytest.mark.majors(15, 18)
def test_where_a_restore_went(commands: Commands, server: TestServer) -> None:
    """Database, host, port and environment of the server that has it now, not of the source."""
    dump = commands.pgvow("backup", "--json").json["backup_path"]
    name = server.unique_name("restored")
    prod = settings_for(server, "postgres", environment="prod")
    words = ("restore", dump, "--env", "prod", "--to", name)
    try:
        made = commands.pgvow(*words, "--json", **prod).json
        shown = commands.pgvow(*words, "--swap", "--yes", **prod).out
    finally:
        for each in databases(server):
            if each.startswith(name):
                server.drop_database(each)
    assert (name, str(server.socket_dir), server.port, "prod", "dev") == (
        *(made[key] for key in ("database", "host", "port", "environment")),
        made["metadata"]["environment"],
    )
    place = rf"PostgreSQL \S+ at port {server.port} by the socket in {server.socket_dir},"
    assert re.search(rf"Database: +{name}\nEnvironment: prod\nServer: +{place}", shown), shown


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (Address("db.example.com", 5433), "db.example.com:5433"),
        (Address("::1", 5432), "[::1]:5432"),
        (Address("/run/postgresql", 5432), "port 5432 by the socket in /run/postgresql"),
    ],
)
def test_an_address_in_words(address: Address, words: str) -> None:
    """A host with its port, or the directory of a socket."""
    assert words == str(address)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=20), "20 s ago"),
        (timedelta(minutes=89), "89 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(hours=11, minutes=59), "11 h ago"),
        (timedelta(days=1), "yesterday"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=7), "last week"),
        (timedelta(days=20), "20 days ago"),
        (timedelta(seconds=-5), "0 s ago"),
    ],
)
def test_since(age: timedelta, words: str) -> None:
    """Hours for half a day, then days and weeks of the calendar; no clock is behind another."""
    assert words == since(_NOW - age, _NOW)
