"""The archive writer before PostgreSQL's own judge: pg_restore takes its archives for pg_dump's."""

from __future__ import annotations

import io
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import (
    ArchiveContents,
    ArchiveWriter,
    Compression,
    Encoder,
    Head,
    copy_text,
    encoder_for,
    read_archive,
    read_toc,
)
from tests.support.scenarios import SCENARIOS, Scenario, load, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

# Small, so that tables of a scenario have many pieces.
PIECE = 20_000
RESTORED = ("large_objects", "foreign_keys", "types")
# Every scenario goes through the writer in test_parallel_engine.py; these are for small pieces.
CASES = [case for case in pairs(15, 16, 18) if str(case.id).partition("-")[0] in RESTORED]
LEVELS = {Compression.GZIP: "6", Compression.NONE: "0", Compression.ZSTD: "zstd:3"}
TOKEN = re.compile(rb"^\\(un)?restrict \w+$", re.MULTILINE)


@pytest.fixture
def loaded(server: TestServer, scenario: Scenario) -> Iterator[str]:
    """A database with the scenario in it."""
    name = load(server, scenario)
    yield name
    server.drop_database(name)


def compressions(server: TestServer) -> list[Compression]:
    """Compressions that we write and this major reads."""
    known = [Compression.GZIP, Compression.NONE]
    return known if server.major < 16 else [*known, Compression.ZSTD]


def dump(server: TestServer, database: str, compression: Compression, *options: str) -> bytes:
    """Return pg_dump's archive, written to a pipe unless the options say something else."""
    command = [server.bin / "pg_dump", "-Fc", "-Z", LEVELS[compression], *options]
    env = server.environment(database)
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout


def rewrite(raw: bytes, encoder: Encoder, target: Path) -> ArchiveContents:
    """Write an archive of pg_dump's anew, table by table, with our own pieces."""
    source = io.BytesIO(raw)
    theirs = read_toc(source)
    with target.open("wb") as file:
        writer = ArchiveWriter(file, Head.read(io.BytesIO(raw)), encoder)
        for entry in theirs.with_data:
            if entry.is_large_objects:
                writer.add_large_objects(entry.dump_id, source, entry)
                continue
            writer.begin_table(entry.dump_id)
            rows = b"".join(copy_text(source, theirs, entry))
            for start in range(0, len(rows), PIECE):
                text = rows[start : start + PIECE]
                writer.add(text, encoder.encode(text))
            writer.end_table()
        return writer.finish()


def script(server: TestServer, path: Path, *options: str) -> bytes:
    """Return pg_restore's script of an archive, without the token that differs each time."""
    command = [server.bin / "pg_restore", *options, path]
    env = server.environment("postgres")
    done = subprocess.run(command, env=env, check=True, capture_output=True)
    assert b"" == done.stderr
    return TOKEN.sub(b"", done.stdout)


def restored_at_once(server: TestServer, path: Path, like: Scenario) -> ArchiveContents:
    """Restore with four workers into a database of its own, and return its contents."""
    name = server.unique_name("restored")
    server.create_database(name, encoding=like.encoding, locale=like.locale)
    try:
        command = [server.bin / "pg_restore", "-j", "4", "--exit-on-error", "-d", name, path]
        subprocess.run(command, env=server.environment(name), check=True, capture_output=True)
        return read_archive(io.BytesIO(dump(server, name, Compression.GZIP)))
    finally:
        server.drop_database(name)


def facts(contents: ArchiveContents) -> set[object]:
    """Contents that must be the same after a restore."""
    rows = {(table.entry.key, table.rows, table.fingerprint) for table in contents.tables}
    return {*rows, contents.large_objects}


@pytest.mark.parametrize(("scenario", "server"), CASES, indirect=["server"])
def test_pg_restore_gives_the_same_script_and_list(
    server: TestServer, scenario: Scenario, loaded: str, tmp_path: Path
) -> None:
    """In every compression: the same script and the same list, byte for byte.

    They are restored by four workers as well, which need the offsets.
    """
    for compression in compressions(server):
        theirs, ours = tmp_path / "theirs", tmp_path / "ours"
        raw = dump(server, loaded, compression)
        theirs.write_bytes(raw)
        contents = rewrite(raw, encoder_for(compression, None), ours)
        with ours.open("rb") as file:
            assert read_archive(file) == contents
        assert script(server, theirs, "-f", "-") == script(server, ours, "-f", "-")
        assert script(server, theirs, "--list") == script(server, ours, "--list")
        if compression is not Compression.NONE:
            assert facts(contents) == facts(restored_at_once(server, ours, scenario))


def test_the_head_equals_the_one_pg_dump_writes(
    pg15: TestServer, pg18: TestServer, tmp_path: Path
) -> None:
    """TocEntry for entry, whether there is data, and that its offset is known."""
    (scenario,) = (one for one in SCENARIOS if one.name == "large_objects")
    for server in (pg15, pg18):
        database = load(server, scenario)
        try:
            raw = dump(server, database, Compression.GZIP)
            dump(server, database, Compression.GZIP, "-f", str(tmp_path / "file"))
        finally:
            server.drop_database(database)
        contents = rewrite(raw, encoder_for(Compression.GZIP, None), tmp_path / "ours")
        with (tmp_path / "file").open("rb") as file:
            theirs = read_archive(file)
        assert [(entry.dump_id, entry.data_state) for entry in theirs.toc.entries] == [
            (entry.dump_id, entry.data_state) for entry in contents.toc.entries
        ]
        assert theirs.toc.end == contents.toc.end
        assert facts(theirs) == facts(contents)


@pytest.mark.majors(16, 17, 18)
def test_pg_restore_reads_frames_that_span_chunks(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A frame of megabytes lies in many chunks: pg_restore reads all of it."""
    server.psql(
        database,
        """
        CREATE TABLE noise AS
        SELECT n AS id, string_agg(md5(n::text || k::text), '') AS words
        FROM generate_series(1, 60) AS n, generate_series(1, 2000) AS k GROUP BY n;
        """,
    )
    raw = dump(server, database, Compression.ZSTD)
    theirs = read_toc(io.BytesIO(raw))
    (entry,) = theirs.with_data
    rows = b"".join(copy_text(io.BytesIO(raw), theirs, entry))
    encoder = encoder_for(Compression.ZSTD, None)
    (tmp_path / "theirs").write_bytes(raw)
    with (tmp_path / "ours").open("wb") as file:
        writer = ArchiveWriter(file, Head.read(io.BytesIO(raw)), encoder)
        writer.begin_table(entry.dump_id)
        for text in (rows[:-1000], rows[-1000:]):
            writer.add(text, encoder.encode(text))
        assert writer.end_table().stored.size > 1_500_000
        writer.finish()
    made = [script(server, tmp_path / name, "-f", "-") for name in ("theirs", "ours")]
    assert made[0] == made[1]


@pytest.mark.majors(18)
def test_a_missing_row_changes_the_script_of_pg_restore(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """One row less in our archive, and pg_restore's script is another."""
    server.psql(database, "CREATE TABLE t AS SELECT n FROM generate_series(1, 9) AS n")
    raw = dump(server, database, Compression.GZIP)
    encoder = encoder_for(Compression.GZIP, None)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.write_bytes(raw)
    with ours.open("wb") as file:
        writer = ArchiveWriter(file, Head.read(io.BytesIO(raw)), encoder)
        writer.begin_table(writer.toc.table_data[0].dump_id)
        text = b"1\n2\n3\n4\n5\n6\n7\n8\n"
        writer.add(text, encoder.encode(text))
        writer.end_table()
        writer.finish()
    assert script(server, theirs, "-f", "-") != script(server, ours, "-f", "-")
