"""Deep verification notices every damage, and agrees with every sound archive."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.recorded import recorded
from pgvow.archive import sequence_positions
from pgvow.operations.verify.inspect import decode_and_compare
from pgvow.progress import Silent
from pgvow.store import StoredBackup
from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.model import Metadata
    from tests.support.servers import TestServer

_FLIPS = 300
_TRUNCATIONS = 100
_ROWS = """
CREATE TABLE chat (id integer PRIMARY KEY, role text CHECK (role IN ('user', 'bot')), body text);
INSERT INTO chat
SELECT n, 'user', repeat(md5(n::text), 1 + n % 5) FROM generate_series(1, 1500) AS n;
CREATE TABLE empty (id integer);
CREATE SEQUENCE counter;
SELECT setval('counter', 42);
SELECT lo_from_bytea(0, decode(repeat(md5(n::text), 40), 'hex')) FROM generate_series(1, 5) AS n;
"""
_METHODS = {15: ("6", "0"), 16: ("gzip:6", "none", "zstd:3", "lz4")}


def dumped(server: TestServer, database: str, method: str, target: Path) -> Path:
    """Dump the database in one compression with the stock pg_dump."""
    server.psql(database, _ROWS)
    subprocess.run(
        [server.bin / "pg_dump", "-Fc", "-Z", method, "-f", target, database],
        env=server.environment(database),
        check=True,
    )
    return target


def notices(path: Path, damaged: bytes, metadata: Metadata) -> bool:
    """Whether deep verification turns red for these bytes."""
    path.write_bytes(damaged)
    return not decode_and_compare(StoredBackup.at(path), metadata, Silent()).passed


@pytest.mark.majors(15, 16, 18)
@pytest.mark.parametrize("kind", range(4))
def test_every_flip_and_truncation_is_detected(
    kind: int, server: TestServer, database: str, tmp_path: Path
) -> None:
    """300 bit flips and 100 truncations anywhere, in every compression: none is missed.

    The checksum is not looked at: it could have been replaced by the damaged file's.
    """
    methods = _METHODS[min(server.major, 16)]
    method = methods[kind % len(methods)]
    path = dumped(server, database, method, tmp_path / "it.dump")
    metadata = recorded(path, database="chat")
    sound = path.read_bytes()
    assert decode_and_compare(StoredBackup.at(path), metadata, Silent()).passed
    chance = random.Random(f"{server.major} {kind}")
    missed = []
    for _ in range(_FLIPS):
        offset, bit = chance.randrange(len(sound)), chance.randrange(8)
        damaged = bytearray(sound)
        damaged[offset] ^= 1 << bit
        if not notices(path, bytes(damaged), metadata):
            missed.append(("flip", offset, bit))
    for _ in range(_TRUNCATIONS):
        length = chance.randrange(len(sound))
        if not notices(path, sound[:length], metadata):
            missed.append(("truncation", length, 0))
    assert missed == []


@pytest.mark.majors(15, 18)
def test_verify_deep_reports_rows_or_the_differing_table(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Green for a sound backup, with its rows; red with the table that differs."""
    server.psql(database, _ROWS)
    commands = Commands(tmp_path, settings_for(server, database))
    dump = commands.run("--json", "--full").json["backup_path"]
    sound = commands.run("--verify", dump, "--deep")
    assert sound.code == 0, sound.out
    assert "✓ Every byte decodes: 1,500 rows in 2 tables, as recorded" in sound.out
    metadata = (tmp_path / dump).with_suffix(".metadata.json")
    text = metadata.read_text()
    metadata.write_text(text.replace(": 1500", ": 1501"))
    red = commands.run("--verify", dump, "--deep", "--json", "--full")
    assert red.code == 8
    assert [one["name"] for one in red.json["checks"] if not one["passed"]] == ["contents"]
    (chat,) = [one for one in red.json["tables"] if one["name"] == "chat"]
    assert chat["differences"] == ["rows: 1501 recorded, 1500 found"]
    assert "public.chat: rows: 1501 recorded" in commands.run("--verify", dump, "--deep").out


@pytest.mark.majors(18)
def test_verify_deep_all_exits_with_the_worst_result(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Every backup is verified, and the worst result decides."""
    commands = Commands(tmp_path, settings_for(server, database))
    empty = commands.run("--all")
    assert (0, "No backups in db/backups\n") == (empty.code, empty.out)
    server.psql(database, _ROWS)
    for _ in range(2):
        assert commands.run("--quiet").code == 0
    assert commands.run("--all", "--deep").code == 0
    newest = commands.run("--list", "--json", "--full").json[0]["path"]
    (tmp_path / newest).write_bytes(b"PGDMP")
    done = commands.pgvow("verify", "--all", "--deep", "--json", "--full")
    assert done.code == 8
    assert [one["ok"] for one in done.json] == [False, True]


@pytest.mark.majors(18)
def test_without_inspection_only_rows_are_compared(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """``--no-inspect`` records rows alone; deep verification compares those and says so."""
    server.psql(database, _ROWS)
    commands = Commands(tmp_path, settings_for(server, database))
    made = commands.run("--no-inspect", "--json", "--full").json
    assert made["metadata"]["toc"] is None
    done = commands.run("--verify", made["backup_path"], "--deep")
    assert done.code == 0
    assert "fingerprints are not recorded" in done.out


@pytest.mark.majors(15, 18)
def test_sequence_positions_are_read_from_the_archive(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Sequences do not heed snapshots: their positions come from the archive itself."""
    server.psql(database, _ROWS)
    made = Commands(tmp_path, settings_for(server, database)).run("--json", "--full").json
    recorded_one = {"schema": "public", "name": "counter", "last_value": 42, "is_called": True}
    assert made["metadata"]["sequences"] == [recorded_one]
    assert made["metadata"]["large_objects"]["count"] == 5
    with (tmp_path / made["backup_path"]).open("rb") as file:
        from pgvow.archive import read_toc  # noqa: PLC0415 - of this test alone

        (position,) = sequence_positions(read_toc(file))
    assert (position.name, position.last_value) == ("counter", 42)


def test_every_changed_fact_of_the_metadata_is_named(pg18: TestServer, tmp_path: Path) -> None:
    """Each recorded fact is compared: change one, and it is named."""
    database = pg18.unique_name()
    pg18.create_database(database)
    try:
        path = dumped(pg18, database, "gzip:6", tmp_path / "it.dump")
    finally:
        pg18.drop_database(database)
    metadata = recorded(path, database="chat")
    assert metadata.toc is not None
    assert metadata.large_objects is not None
    chat, empty = metadata.tables
    wrong = {
        "rows": replace(metadata, tables=(replace(chat, rows=1), empty)),
        "bytes": replace(metadata, tables=(replace(chat, bytes=1), empty)),
        "fingerprint": replace(metadata, tables=(replace(chat, fingerprint="0" * 32), empty)),
        "digest of its block": replace(metadata, tables=(replace(chat, stored="0" * 32), empty)),
        "not in the metadata": replace(metadata, tables=(chat,)),
        "cannot be read": replace(metadata, tables=(chat, empty, replace(empty, name="gone"))),
        "table of contents": replace(metadata, toc=replace(metadata.toc, digest="0" * 32)),
        "large objects": replace(
            metadata, large_objects=replace(metadata.large_objects, fingerprint="0" * 32)
        ),
    }
    for words, changed in wrong.items():
        found = decode_and_compare(StoredBackup.at(path), changed, Silent())
        assert len(found.differences) == 1, words
        assert words in found.differences[0]
