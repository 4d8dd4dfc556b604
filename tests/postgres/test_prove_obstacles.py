"""A feature that a server or its machine lacks is no verdict: exit 13, and nothing is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.postgres.embedded import embedded_bin
from pgvow.store import proof_path
from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer


@pytest.mark.majors(15, 18)
def test_a_long_failing_statement_keeps_the_servers_error(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A table of 300 columns whose type was left out: the server's error decides."""
    columns = ", ".join(f"c{number} text" for number in range(300))
    server.psql(database, "CREATE TYPE kind AS ENUM ('a', 'b')")
    server.psql(database, f"CREATE TABLE wide (k kind, {columns})")
    commands = Commands(tmp_path, settings_for(server, database))
    made = commands.pgvow("backup", "--env", "dev", "--table", "wide", "--json")
    dump = tmp_path / made.json["backup_path"]
    done = commands.pgvow("prove", dump)
    assert 13 == done.code, done.err
    assert 'type "public.kind" does not exist' in done.err
    assert "c299" not in done.err
    assert not proof_path(dump).exists()


def _is_no_verdict(
    server: TestServer, database: str, folder: Path, *words: str | Path, bin_dir: Path | None = None
) -> str:
    """Back up, prove, and return the cause for which it cannot be proven."""
    commands = Commands(folder, settings_for(server, database))
    dump = folder / commands.pgvow("backup", "--env", "dev", "--json").json["backup_path"]
    done = commands.pgvow("prove", dump, *words, PGVOW_PG_BIN=str(bin_dir or server.bin))
    assert 13 == done.code, done.err
    assert not proof_path(dump).exists()
    return done.err


@pytest.mark.majors(18)
@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("CREATE TABLE t (body text COMPRESSION lz4)", "compression method lz4 not supported"),
        ("CREATE TABLE t AS SELECT xml '<a/>' AS body", "unsupported XML feature"),
    ],
)
def test_a_server_without_lz4_or_libxml_is_no_verdict(
    server: TestServer, database: str, tmp_path: Path, schema: str, words: str
) -> None:
    """The embedded server has neither lz4 nor libxml, which says nothing of a backup."""
    server.psql(database, schema)
    assert words in _is_no_verdict(server, database, tmp_path, bin_dir=embedded_bin())


@pytest.mark.majors(15, 18)
def test_a_missing_dictionary_file_is_no_verdict(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A file of stop words is on the source's machine, and in no backup."""
    server.psql(database, "CREATE TEXT SEARCH DICTIONARY ours (TEMPLATE = simple)")
    server.psql(
        database,
        "UPDATE pg_ts_dict SET dictinitoption = $$stopwords = 'ours'$$ WHERE dictname = 'ours'",
    )
    assert "could not open stop-word file" in _is_no_verdict(server, database, tmp_path)


@pytest.mark.majors(18)
def test_the_server_is_asked_for_english_messages(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """Its errors are parsed: a superuser asks the server for English ones."""
    password = f"PASSWORD '{server.password}'"
    server.psql(
        database,
        "CREATE TABLE t (id integer); INSERT INTO t VALUES (1);"
        " CREATE FUNCTION f(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        " ALTER TABLE t ADD CHECK (f(id));"
        " CREATE OR REPLACE FUNCTION f(integer) RETURNS boolean LANGUAGE plpgsql AS"
        " $$BEGIN RAISE 'permission denied in %', current_setting('lc_messages'); END$$;",
    )
    server.psql(database, f"CREATE ROLE speaker SUPERUSER LOGIN {password}")
    server.psql(database, "ALTER ROLE speaker SET lc_messages = 'POSIX'")
    on = f"{server.conninfo('postgres')} user=speaker"
    try:
        assert "permission denied in C" in _is_no_verdict(server, database, tmp_path, "--on", on)
    finally:
        server.psql("postgres", "DROP ROLE speaker")
