"""Legal but unusual: names that look like something else, settings that get in a dump's way."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from pgvow.postgres.connection import ConnectionTarget
from pgvow.settings import load
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.restored import restore_fresh, rows_by_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(15, 18)

_NAMES = (
    "a=b",
    "host=nowhere dbname=x",
    "-d",
    "sp ace",
    "q\"uo'te",
    "back\\slash",
    "%s{0}новая",
    "a/b",
    "..",
    ".hidden",
    "dot.ted",
    "two\nlines",
    "é" * 31 + "x",  # 63 bytes
)


@pytest.mark.majors(18)
@pytest.mark.parametrize("name", _NAMES)
def test_database_names_like_options_or_urls_are_backed_up(
    name: str, server: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """An option, a connection string, quotes: dump, globals and verification are all there."""
    commands = Commands(tmp_path, settings_for(server, make_database(server, name)))
    done = commands.run("--json", "--space-factor", "0")
    assert (done.code, done.err) == (0, "")
    assert done.json["metadata"]["database_name"] == name
    assert done.json["globals_path"] is not None
    assert commands.run("--verify", done.json["backup_path"]).code == 0


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "SQL_ASCII"])
def test_client_encoding_of_the_database_does_not_change_the_dump(
    encoding: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """It cannot hold every row, and a dump is in the database's own encoding all the same."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE letters AS SELECT 'ü € 漢 🐘' AS text")
        session.execute(
            sql.SQL("ALTER DATABASE {} SET client_encoding = {}").format(
                sql.Identifier(database), sql.Literal(encoding)
            )
        )
    done = Commands(tmp_path, settings_for(server, database)).run("--json", "--space-factor", "0")
    assert done.code == 0, done.err
    with restore_fresh(server, tmp_path / done.json["backup_path"]) as fresh:
        assert server.psql(fresh, "SELECT text FROM letters") == "ü € 漢 🐘\n"


@pytest.mark.majors(18)
@pytest.mark.parametrize("encoding", ["EUC_TW", "MULE_INTERNAL"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_unsupported_database_encoding_exits_2(
    encoding: str,
    jobs: str,
    server: TestServer,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    """2 before anything is made, with the command that backs it up; doctor says the same."""
    database = make_database(server, encoding=encoding, locale="C")
    commands = Commands(tmp_path, settings_for(server, database))
    # The server itself could send EUC_TW as UTF8; and it says what it cannot.
    for client in {encoding, "UTF8"} if encoding == "EUC_TW" else {encoding}:
        done = commands.run("--json", "--jobs", jobs, PGCLIENTENCODING=client)
        assert 2 == done.code, done.err
        assert f"encoding is {encoding}" in done.json["error"]["cause"]
        assert any("pg_dump -Fc" in step for step in done.json["error"]["steps"])
        assert "PGVOW_DEBUG" not in done.err
    examined = commands.pgvow("doctor")  # and without the variable
    assert 12 == examined.code, examined.err
    assert f"encoding is {encoding}" in " ".join(examined.out.split())
    assert not list(tmp_path.rglob("*.dump*"))


def test_an_unsupported_client_encoding_exits_2(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """2 with the variable that helps; with it all is well."""
    server.psql(database, f"ALTER DATABASE \"{database}\" SET client_encoding = 'EUC_TW'")
    commands = Commands(tmp_path, settings_for(server, database))
    done = commands.run("--json", "--space-factor", "0")
    assert 2 == done.code, done.err
    assert "client_encoding is set to EUC_TW" in done.json["error"]["cause"]
    assert any("PGCLIENTENCODING=UTF8" in step for step in done.json["error"]["steps"])
    helped = commands.run("--json", "--space-factor", "0", "--jobs", "2", PGCLIENTENCODING="UTF8")
    assert 0 == helped.code, helped.err


def test_names_that_differ_only_in_bytes_have_their_own_counts(
    server: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """In SQL_ASCII "é" may be two tables, in UTF-8 and in LATIN1: each has its own count."""
    database = make_database(server, encoding="SQL_ASCII", locale="C")
    with server.connect(database) as session:
        session.execute("SET client_encoding TO LATIN1")  # each byte as it is
        session.execute('CREATE TABLE "\xe9" AS SELECT generate_series(1, 3) AS n')
        session.execute('CREATE TABLE "\xc3\xa9" AS SELECT generate_series(1, 5) AS n')
    done = Commands(tmp_path, settings_for(server, database)).run("--json", "--space-factor", "0")
    assert done.code == 0, done.err
    expected = {"\udce9": 3, "é": 5}
    assert done.json["metadata"]["table_counts"] == expected
    with restore_fresh(server, tmp_path / done.json["backup_path"]) as fresh:
        assert rows_by_key(server, fresh) == expected


@pytest.mark.majors(18)
@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("PGCONNECT_TIMEOUT", "soon", "connect_timeout"),
        ("PGCONNECT_TIMEOUT", "", "connect_timeout"),
        ("PGSSLMODE", "yes", "sslmode"),
        ("PGCHANNELBINDING", "maybe", "channel_binding"),
    ],
)
def test_an_invalid_libpq_variable_exits_2_and_is_named(
    variable: str, value: str, named: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Refused before any server is asked: a matter of settings, 2, that names the one."""
    done = Commands(tmp_path, settings_for(server, database)).run(**{variable: value})
    assert done.code == 2, done.err
    assert named in done.err
    assert "libpq's own variables" in done.err


@pytest.mark.parametrize("place", ["process", "file", "URL"])
def test_pgoptions_of_the_user_and_ours_both_apply(
    place: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """Wherever the options come from, pg_dump's session has them, and notices when we die."""
    environ = {**clean_environment(), **settings_for(server, database)}
    if place == "process":
        environ["PGOPTIONS"] = "-c work_mem=7MB"
    elif place == "file":
        (tmp_path / ".env").write_text('PGOPTIONS="-c work_mem=7MB"\n')
    else:
        url = f"postgresql://{server.superuser}@:{server.port}/{database}?host={server.socket_dir}"
        environ = {
            **clean_environment(),
            "DEV_DATABASE_URL": f"{url}&options=-c%20work_mem%3D7MB",
            "DEV_DB_PASSWORD": server.password,
        }
    settings = load(env="dev", environ=environ, directory=tmp_path)
    target = ConnectionTarget(settings.connection, settings.libpq_variables, environ)
    variables = target.tool_environment(notice_our_death=True)
    shown = subprocess.run(
        [
            *(server.bin / "psql", "-XAt", "-c", "SHOW work_mem"),
            *("-c", "SHOW client_connection_check_interval"),
            target.conninfo("test", notice_our_death=True),
        ],
        env=variables,
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "7MB\n5s\n"
