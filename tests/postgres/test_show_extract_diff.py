"""show and extract on dumps of real servers: they agree with the metadata and with COPY."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import xxhash
from psycopg import sql

from pgvow.archive import CopyDigest, codec_for, copy_target, read_toc
from pgvow.archive.csv_text import decode_field
from pgvow.operations.diff import diff_backups
from pgvow.operations.extract import ExtractOptions, RowFormat, extract_table
from pgvow.operations.show import show_backup
from pgvow.operations.show.contents import FactsOrigin, read_facts
from pgvow.progress import Silent
from pgvow.store import StoredBackup
from tests.support.contexts import a_context
from tests.support.copy_model import copy_field
from tests.support.inprocess import back_up
from tests.support.scenarios import SCENARIOS, Scenario, load, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.operations.backup import BackupResult
    from tests.support.servers import TestServer

_NAMED = (
    *("hostile_names", "encoding_latin1", "encoding_sql_ascii", "no_columns", "types"),
    *("partitions", "bytea", "generated_identity", "large_objects", "extension_config"),
)
_PAIRS = [case for case in pairs() if str(case.id).partition("-")[0] in _NAMED]


@pytest.fixture
def loaded(server: TestServer, scenario: Scenario) -> Iterator[str]:
    """A database with the scenario in it."""
    name = load(server, scenario)
    yield name
    server.drop_database(name)


def extract(path: Path, table: str, row_format: RowFormat) -> bytes:
    """Extract into memory."""
    sink = io.BytesIO()
    extract_table(StoredBackup.at(path), ExtractOptions(table, row_format, sink), a_context({}))
    return sink.getvalue()


@pytest.mark.parametrize(("scenario", "server"), _PAIRS, indirect=["server"])
def test_every_table_can_be_shown_and_extracted(
    server: TestServer, scenario: Scenario, loaded: str, tmp_path: Path
) -> None:
    """By the key it has in the metadata: the text has the recorded fingerprint, CSV loads again."""
    made = back_up(server, loaded, tmp_path)
    path = made.backup.path
    check_shown(made, tmp_path)
    with path.open("rb") as file:
        toc = read_toc(file)
    with server.connect(loaded) as session:
        prepare(session, made)
        for facts in made.metadata.tables:
            text = extract(path, facts.key, RowFormat.COPY)
            assert (facts.bytes, facts.fingerprint) == (len(text), xxhash.xxh3_128_hexdigest(text))
            (entry,) = [one for one in toc.table_data if one.key == facts.key]
            loaded_again = load_csv(session, toc, entry, extract(path, facts.key, RowFormat.CSV))
            assert facts.fingerprint == loaded_again


def check_shown(made: BackupResult, folder: Path) -> None:
    """The archive alone says the same of tables and large objects as the metadata do."""
    metadata = made.metadata
    shown = show_backup(StoredBackup.at(made.backup.path), a_context({}))
    assert (FactsOrigin.METADATA, None) == (shown.facts.origin, shown.facts.complaint)
    assert dict(metadata.table_counts) == {table.key: table.rows for table in shown.tables}
    sizes = [table.bytes or 0 for table in shown.tables]
    assert sorted(sizes, reverse=True) == sizes
    assert "postgres" in shown.roles
    bare = folder / "bare.dump"
    shutil.copy(made.backup.path, bare)
    alone = read_facts(StoredBackup.at(bare), progress=Silent(), fingerprints=True)
    assert (FactsOrigin.ARCHIVE, shown.facts.large_objects) == (alone.origin, alone.large_objects)
    assert [(table.key, table.rows, table.fingerprint) for table in shown.facts.tables] == [
        (table.key, table.rows, table.fingerprint) for table in alone.tables
    ]
    assert diff_backups(
        StoredBackup.at(bare), StoredBackup.at(made.backup.path), a_context({})
    ).equal


def prepare(session: psycopg.Connection, made: BackupResult) -> None:
    """Let the session write values as pg_dump's did."""
    for setting in ("TimeZone", "bytea_output"):
        value = made.metadata.settings[setting]
        session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(setting), sql.Literal(value)))
    session.execute("SET extra_float_digits = 3")


def load_csv(
    session: psycopg.Connection, toc: TableOfContents, entry: TocEntry, text: bytes
) -> str:
    """Load CSV into a table like the original, and return the fingerprint of its rows.

    Statements are bytes, in the archive's encoding: psycopg has no SQL of any bytes.
    """
    codec = codec_for(toc.encoding)
    session.execute(sql.SQL("SET client_encoding = {}").format(sql.Literal(toc.encoding)))
    columns = [quoted(column, codec) for column in copy_target(entry.copy_stmt).columns]
    listed = b"".join([b"again (", b", ".join(columns), b")"]) if columns else b"again"
    original = b".".join([quoted(entry.namespace, codec), quoted(entry.tag, codec)])
    digest = CopyDigest()
    with session.transaction(force_rollback=True), session.cursor() as cursor:
        cursor.execute(
            b"".join([b"CREATE TEMP TABLE again (LIKE ", original, b" INCLUDING GENERATED)"])
        )
        load_again = b"".join([b"COPY ", listed, b" FROM STDIN (FORMAT csv, HEADER)"])
        with cursor.copy(load_again) as copy:
            copy.write(text)
        with cursor.copy(b"".join([b"COPY ", listed, b" TO STDOUT"])) as copy:
            for row in copy:
                digest.update(bytes(row))
    return digest.facts().fingerprint


def quoted(name: str, codec: str) -> bytes:
    """Quote a name, in the bytes that the archive has for it."""
    return b"".join([b'"', name.encode(codec, "surrogateescape").replace(b'"', b'""'), b'"'])


def test_decoded_characters_agree_with_the_server(server: TestServer, database: str) -> None:
    """Every character that COPY could escape, alone and in company, as the server writes it."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE texts (id integer, body text)")
        values = [chr(code) for code in range(1, 256)]
        values += [f"\\{value}x\\" for value in values] + ["", "\\N", "\\.", "\\\\", 'a,"b"']
        with session.cursor() as cursor:
            cursor.executemany("INSERT INTO texts VALUES (%s, %s)", list(enumerate(values)))
        session.execute("INSERT INTO texts VALUES (-1, NULL)")
        with session.cursor().copy("COPY (SELECT body FROM texts ORDER BY id) TO STDOUT") as copy:
            lines = b"".join(bytes(row) for row in copy).split(b"\n")[:-1]
    expected = [None, *(value.encode() for value in values)]
    assert expected == [decode_field(line) for line in lines]
    assert lines == [copy_field(value) for value in expected]


@pytest.mark.parametrize(
    "name",
    ["database_settings", "hostile_names", "encoding_latin1", "row_security", "sequences"],
)
@pytest.mark.majors(15, 18)
def test_the_shown_stock_commands_restore_every_table(
    server: TestServer, name: str, tmp_path: Path
) -> None:
    """Typed into a shell as they stand, with stock tools alone, they give back every table."""
    (scenario,) = [one for one in SCENARIOS if one.name == name]
    database = load(server, scenario)
    try:
        made = back_up(server, database, tmp_path / 'it\'s a "folder"')
    finally:
        server.drop_database(database)
    shown = show_backup(StoredBackup.at(made.backup.path), a_context({}))
    restored = server.unique_name("restored")
    script = "\n".join(
        re.sub(r"\brestored\b", restored, command) for command in shown.restore.commands[1:]
    )
    env = server.environment("postgres")
    env["PATH"] = f"{server.bin}:{env['PATH']}"
    try:
        subprocess.run(["bash", "-euc", script], env=env, check=True, capture_output=True)
        again = back_up(server, restored, tmp_path / "again")
    finally:
        server.drop_database(restored)
    found = diff_backups(
        StoredBackup.at(made.backup.path), StoredBackup.at(again.backup.path), a_context({})
    )
    assert ((), ()) == (found.tables.added, found.tables.changed)
    kinds = {one.identity.kind for one in (*found.objects.added, *found.objects.gone)}
    assert kinds <= {"DATABASE", "DATABASE PROPERTIES"}
    assert () == found.objects.changed
    assert not found.sequences


def test_diff_finds_each_change_and_nothing_else(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Each change is found where it was made, and nothing else differs."""
    server.psql(
        database,
        """
        CREATE TABLE stays (id integer); INSERT INTO stays VALUES (1);
        CREATE TABLE grows (id integer);
        CREATE TABLE edited (id integer PRIMARY KEY, body text); INSERT INTO edited VALUES (1, 'a');
        CREATE TABLE goes (id integer);
        CREATE SEQUENCE numbers; CREATE INDEX old_index ON stays (id);
        CREATE VIEW seen AS SELECT id FROM stays;
        SELECT lo_from_bytea(20000, 'hello');
        """,
    )
    older = back_up(server, database, tmp_path / "a").backup.path
    server.psql(
        database,
        """
        INSERT INTO grows SELECT generate_series(1, 10);
        UPDATE edited SET body = 'b';
        DROP TABLE goes; CREATE TABLE comes (id integer);
        SELECT nextval('numbers'); DROP INDEX old_index;
        CREATE OR REPLACE VIEW seen AS SELECT id, id + 1 AS next FROM stays;
        SELECT lo_put(20000, 0, 'J');
        """,
    )
    newer = back_up(server, database, tmp_path / "b").backup.path
    found = diff_backups(StoredBackup.at(older), StoredBackup.at(newer), a_context({}))
    assert (FactsOrigin.METADATA,) * 2 == (found.older.origin, found.newer.origin)
    tables = found.tables
    assert ["comes"] == [table.key for table in tables.added]
    assert ["goes"] == [table.key for table in tables.gone]
    assert {"edited", "grows"} == {pair.before.key for pair in tables.changed}
    objects = found.objects
    assert [("TABLE", "public", "comes")] == [one.identity for one in objects.added]
    gone = {("TABLE", "public", "goes"), ("INDEX", "public", "old_index")}
    assert gone == {one.identity for one in objects.gone}
    assert [("VIEW", "public", "seen")] == [pair.before.identity for pair in objects.changed]
    (moved,) = found.sequences.changed
    assert ("numbers", False, True) == (
        moved.after.name,
        moved.before.is_called,
        moved.after.is_called,
    )
    assert found.large_objects is not None
    assert () == found.warnings
