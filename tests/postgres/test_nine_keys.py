"""A backup whose metadata have the contract's nine keys alone is checked by rows, and holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import CannotBeProven
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.store import StoredBackup, metadata_name
from tests.support.commands import Commands, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restoring import databases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

_NINE = (
    *("backup_timestamp", "environment", "database_name", "backup_file", "backup_size_bytes"),
    *("checksum_sha256", "table_counts", "pg_dump_version", "postgresql_version"),
)
_SCHEMA = """
CREATE SCHEMA audit;
CREATE TABLE items (id integer PRIMARY KEY, body text);
INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 50) AS n;
CREATE TABLE audit."log.2024" (id serial, line text);
INSERT INTO audit."log.2024" (line) VALUES ('a'), ('b');
CREATE TABLE "a.b" (i integer);
SELECT lo_from_bytea(0, 'a large object');
"""


@pytest.fixture
def dump(server: TestServer, database: str, tmp_path: Path) -> Iterator[Path]:
    """Back up a database, and leave the nine keys of its metadata."""
    server.psql(database, _SCHEMA)
    path = back_up(server, database, tmp_path).backup.path
    change(path)
    yield path
    for each in databases(server):
        if each.startswith(f"{database}_back"):
            server.drop_database(each)


def change(dump: Path, **counts: int) -> None:
    """Leave the nine keys of the metadata, with other rows of some tables."""
    path = dump.with_name(metadata_name(dump.name))
    metadata = json.loads(path.read_text())
    metadata["table_counts"].update(counts)
    path.write_text(json.dumps({key: metadata[key] for key in _NINE}))


@pytest.mark.majors(15, 18)
def test_a_nine_key_backup_passes_every_check(
    server: TestServer, database: str, dump: Path, tmp_path: Path
) -> None:
    """It is decoded, proven and restored, whole and in part, though rows are all that is known."""
    commands = Commands(tmp_path, settings_for(server, database))
    deep = commands.pgvow("verify", dump, "--deep")
    assert 0 == deep.code, deep.err
    proven = commands.pgvow("prove", dump, "--json")
    assert 0 == proven.code, proven.err
    for number, choice in enumerate(([], ["--table", "items"])):
        done = commands.pgvow(
            "restore", dump, "--to", f"{database}_back{number}", *choice, "--json"
        )
        assert 0 == done.code, done.err
        assert [52, 50][number] == done.json["comparison"]["rows"]
        assert done.json["comparison"]["equal"]


@pytest.mark.majors(15)
@pytest.mark.parametrize("table", ["items", "gone", 'audit."gone too"'])
def test_a_wrong_row_count_is_a_difference(
    server: TestServer, database: str, dump: Path, tmp_path: Path, table: str
) -> None:
    """A count that is not the archive's, or of a table that it does not have, is a difference."""
    change(dump, **{table: 49})
    commands = Commands(tmp_path, settings_for(server, database))
    words = {
        8: (["verify", dump, "--deep"], ["prove", dump]),
        10: (["restore", dump, "--to", f"{database}_back"],),
    }
    for code, several in words.items():
        for one in several:
            done = commands.pgvow(*one)
            assert code == done.code, done.err
            assert table.rpartition(".")[2].strip('"') in done.out + done.err


@pytest.mark.majors(15)
def test_timestamps_in_another_time_zone_are_no_verdict(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """The nine keys lack the time zone: timestamps in another one are no verdict.

    It was that of the role here, which is no setting of the database itself.
    """
    server.psql(
        database, f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET timezone = 'Asia/Tokyo'"
    )
    server.psql(
        database, "CREATE TABLE t (at timestamptz); INSERT INTO t VALUES ('2024-01-01 UTC')"
    )
    path = back_up(server, database, tmp_path).backup.path
    change(path)
    with pytest.raises(CannotBeProven, match="TimeZone"):
        prove_backup(
            StoredBackup.at(path),
            ProveOptions(on=server.conninfo("postgres"), jobs=2, pg_bin=server.bin),
            a_context(),
        )
