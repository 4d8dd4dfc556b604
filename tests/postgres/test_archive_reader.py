"""The reader on pg_dump's archives: it agrees with pg_restore, and finds more damage."""

from __future__ import annotations

import io
import random
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import xxhash

from pgvow.archive import (
    ArchiveContents,
    ArchiveError,
    LargeObjects,
    OffsetState,
    copy_text,
    read_archive,
    read_toc,
)
from tests.support.scenarios import Scenario, load, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

FLIPS = 300
CUTS = 100

# Compression by the name that the reader has for it, as each pg_dump takes it.
LEVELS_ONLY = {"gzip": "6", "none": "0"}
ALGORITHMS = {"gzip": "gzip:6", "none": "none", "zstd": "zstd:3", "lz4": "lz4:1"}

LARGE_OBJECT = re.compile(
    rb"^SELECT pg_catalog\.lo_open\('(\d+)', 131072\);\n"
    rb"((?:SELECT pg_catalog\.lowrite\(0, '\\x[0-9a-f]*'\);\n)*)"
    rb"SELECT pg_catalog\.lo_close\(0\);$",
    re.MULTILINE,
)
WRITTEN = re.compile(rb"'\\x([0-9a-f]*)'")


@pytest.fixture
def loaded(server: TestServer, scenario: Scenario) -> Iterator[str]:
    """A database with the scenario in it."""
    name = load(server, scenario)
    yield name
    server.drop_database(name)


@pytest.fixture
def filled(server: TestServer, database: str) -> str:
    """A database with rows, large objects and a sequence, small enough to be damaged at length."""
    script = """
        CREATE TABLE orders AS
            SELECT i AS id, md5(i::text) AS code, repeat('order ' || i, i % 9) AS words
            FROM generate_series(1, 4000) AS i;
        ALTER TABLE orders ADD CHECK (id > 0);
        CREATE TABLE nothing (a int);
        SELECT lo_from_bytea(3000000000, 'hello'), lo_from_bytea(0, repeat('x', 9000)::bytea);
        CREATE SEQUENCE numbers START 17;
    """
    server.psql(database, script)
    return database


def compressions(server: TestServer) -> dict[str, str]:
    """Return the compressions of this major's pg_dump, and their options."""
    return LEVELS_ONLY if server.major < 16 else ALGORITHMS


def dump(server: TestServer, database: str, path: Path, compression: str) -> Path:
    """Dump to a file of its own."""
    command = [server.bin / "pg_dump", "-Fc", "-Z", compression, "-f", path]
    subprocess.run(command, env=server.environment(database), check=True)
    return path


def dump_to_pipe(server: TestServer, database: str, path: Path) -> Path:
    """Dump to a pipe, so that there are no offsets."""
    command = [server.bin / "pg_dump", "-Fc"]
    env = server.environment(database)
    path.write_bytes(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout)
    return path


def dump_to_stdout(server: TestServer, database: str, path: Path) -> Path:
    """Dump to a standard output that is a regular file, as ``> file`` makes it."""
    with path.open("wb") as file:
        command = [server.bin / "pg_dump", "-Fc"]
        subprocess.run(command, env=server.environment(database), check=True, stdout=file)
    return path


@dataclass(frozen=True)
class Restored:
    """Output of pg_restore for an archive: its COPY texts in order, and its large objects."""

    tables: list[bytes]
    large_objects: LargeObjects


def pg_restore(server: TestServer, path: Path, statements: list[bytes]) -> Restored:
    """Have pg_restore write the data as a script, and take it apart again."""
    command = [server.bin / "pg_restore", "--data-only", "-f", "-", path]
    env = server.environment("postgres")
    script = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout
    place, tables = 0, []
    for statement in statements:
        start = script.index(b"\n" + statement, place) + 1 + len(statement)
        # The newline before the first row is that of the statement: there may be no row.
        place = script.index(b"\n\\.\n", start - 1) + 1
        tables.append(script[start:place])
    return Restored(tables, large_objects_in(script))


def large_objects_in(script: bytes) -> LargeObjects:
    """Take the large objects out of a script."""
    found = LargeObjects()
    for oid, writes in LARGE_OBJECT.findall(script):
        data = bytes.fromhex(b"".join(WRITTEN.findall(writes)).decode())
        number = xxhash.xxh3_128_intdigest(int(oid).to_bytes(8, "big") + data)
        found += LargeObjects(count=1, size=len(data), total=number)
    return found


def assert_agrees(server: TestServer, path: Path) -> ArchiveContents:
    """Compare the rows we read with those pg_restore writes, one by one."""
    with path.open("rb") as file:
        contents = read_archive(file)
        toc = contents.toc
        codec = {"SQL_ASCII": "utf-8"}.get(toc.encoding, toc.encoding)
        statements = [entry.copy_stmt.encode(codec, "surrogateescape") for entry in toc.table_data]
        restored = pg_restore(server, path, statements)
        for entry, table, text in zip(
            toc.table_data, contents.tables, restored.tables, strict=True
        ):
            ours = b"".join(copy_text(file, toc, entry))
            assert text.splitlines(keepends=True) == ours.splitlines(keepends=True)
            facts = (text.count(b"\n"), len(text), xxhash.xxh3_128_hexdigest(text))
            assert facts == (table.rows, table.size, table.fingerprint)
    assert restored.large_objects == contents.large_objects
    return contents


def same_data(contents: ArchiveContents) -> list[object]:
    """Return the facts that must not depend on how the archive was written."""
    tables = [(table.entry.name, table.rows, table.fingerprint) for table in contents.tables]
    return [*tables, contents.large_objects]


@pytest.mark.parametrize(("scenario", "server"), pairs(), indirect=["server"])
def test_the_reader_agrees_with_pg_restore(server: TestServer, loaded: str, tmp_path: Path) -> None:
    """Every table's rows and all large objects, in every compression, and however written."""
    ways = [
        assert_agrees(server, dump(server, loaded, tmp_path / f"{name}.dump", option))
        for name, option in compressions(server).items()
    ]
    ways.append(assert_agrees(server, dump_to_pipe(server, loaded, tmp_path / "piped.dump")))
    ways.append(assert_agrees(server, dump_to_stdout(server, loaded, tmp_path / "stdout.dump")))
    assert [same_data(ways[0])] * len(ways) == [same_data(way) for way in ways]


def test_rows_dumped_as_inserts_are_read(server: TestServer, filled: str, tmp_path: Path) -> None:
    """``--inserts`` leaves no COPY text; it is read whole all the same."""
    path = tmp_path / "inserts.dump"
    command = [server.bin / "pg_dump", "-Fc", "--inserts", "-f", path]
    subprocess.run(command, env=server.environment(filled), check=True)
    with path.open("rb") as file:
        contents = read_archive(file)
        text = b"".join(copy_text(file, contents.toc, contents.toc.table_data[1]))
    assert [None, None] == [table.rows for table in contents.tables]
    assert 4000 == text.count(b"INSERT INTO public.orders VALUES (")


def test_the_order_of_tables_is_read_while_pg_dump_writes(
    server: TestServer, filled: str, tmp_path: Path
) -> None:
    """The table of contents at the start of a file without offsets names the tables in order."""
    raw = dump_to_pipe(server, filled, tmp_path / "piped.dump").read_bytes()
    toc = read_toc(io.BytesIO(raw))
    assert ["nothing", "orders"] == [entry.tag for entry in toc.table_data]
    assert {OffsetState.NOT_SET} == {entry.data_state for entry in toc.with_data}


def noticed(raw: bytes, whole: ArchiveContents) -> bool:
    """Whether a damaged archive is told from the whole one."""
    try:
        return read_archive(io.BytesIO(raw), threads=1) != whole
    except ArchiveError:
        return True


def flipped(raw: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one bit turned over."""
    changed = bytearray(raw)
    changed[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(changed)


@pytest.mark.majors(15, 16, 18)
def test_flipped_bits_and_truncations_are_detected(
    server: TestServer, filled: str, tmp_path: Path
) -> None:
    """300 flips and 100 cuts in each compression: an ArchiveError, or a digest that differs."""
    chance = random.Random(server.major)
    for name, option in compressions(server).items():
        raw = dump(server, filled, tmp_path / f"{name}.dump", option).read_bytes()
        whole = read_archive(io.BytesIO(raw))
        flips = sum(noticed(flipped(raw, chance), whole) for _ in range(FLIPS))
        cuts = sum(noticed(raw[: chance.randrange(len(raw))], whole) for _ in range(CUTS))
        assert (name, FLIPS, CUTS) == (name, flips, cuts)
