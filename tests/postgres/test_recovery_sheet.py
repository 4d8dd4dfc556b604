"""The recovery sheet is true: its commands, as printed, bring a database back on a bare machine."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest

from pgvow.archive import read_toc
from pgvow.operations.core.needs import needs_of
from pgvow.operations.sheet import SheetOptions, recovery_sheet
from pgvow.operations.sheet.commands import RecoveredBackup, stock_commands
from pgvow.operations.sheet.pages import page
from pgvow.postgres.private_directories import server_account
from pgvow.settings.options import SheetFormat
from pgvow.store import StoredBackup
from tests.support.backups import metadata
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restored import rows_by_key
from tests.support.servers import MAJORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.conftest import StartServer
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(15, 18)

_NAME = """Shop's "best" = é"""
_QUOTED = """"Shop's ""best"" = é\""""
_SCHEMA = f"""
CREATE EXTENSION pg_trgm;
CREATE DOMAIN word AS text;
CREATE TABLE words (id integer PRIMARY KEY, body word, parts text[]) TABLESPACE pg_default;
INSERT INTO words SELECT n, 'word ' || n, ARRAY[NULL, 'NULL'] FROM generate_series(1, 300) AS n;
ALTER DOMAIN word ADD CONSTRAINT long CHECK (length(value) > 5) NOT VALID;
CREATE TABLE "a.b ""$c'" (id integer REFERENCES words);
INSERT INTO "a.b ""$c'" SELECT generate_series(1, 77);
CREATE MATERIALIZED VIEW days AS SELECT timestamptz '2024-01-01 20:00 UTC'::date AS day;
ALTER TABLE words OWNER TO sheet_owner;
GRANT SELECT ON words TO sheet_reader;
COMMENT ON DATABASE {_QUOTED} IS 'the best';
ALTER DATABASE {_QUOTED} SET timezone TO 'Asia/Tokyo';
ALTER DATABASE {_QUOTED} SET array_nulls TO off;
ALTER DATABASE {_QUOTED} SET default_transaction_read_only TO on;
ALTER ROLE sheet_reader IN DATABASE {_QUOTED} SET work_mem TO '7MB';
GRANT CONNECT ON DATABASE {_QUOTED} TO sheet_reader;
"""  # noqa: S608 - a test's own name
_SMALL = """
CREATE ROLE sheet_alone;
CREATE TABLE t AS SELECT generate_series(1, 9) AS n;
ALTER TABLE t OWNER TO sheet_alone;
"""
_OF_DATABASE = """
SELECT pg_encoding_to_char(encoding), datcollate, pg_get_userbyid(datdba), t.spcname,
  shobj_description(d.oid, 'pg_database'),
  (SELECT array_agg(setconfig::text ORDER BY setconfig::text) FROM pg_db_role_setting
   WHERE setdatabase = d.oid),
  has_database_privilege('sheet_reader', d.oid, 'connect')
FROM pg_database AS d JOIN pg_tablespace AS t ON t.oid = dattablespace WHERE datname = %s
"""


@dataclass(frozen=True)
class Lost:
    """The facts of databases that are gone, and the folder with their backups."""

    folder: Path
    space: Path
    shell: Commands
    proof: dict[str, Any]
    rows: Mapping[str, int]
    of_database: tuple[Any, ...]
    text: str
    second: str


@pytest.fixture(scope="module")
def lost(server: TestServer) -> Iterator[Lost]:
    """Back up two sources, prove one by the command, and lose both with their tablespace."""
    folder, account = Path(tempfile.mkdtemp(prefix="sheet-")), server_account()
    space = folder / "space"
    space.mkdir()
    for each in (folder, space):
        account.give(each)
    (folder / "pgvow.toml").write_text(
        'output_dir = "backups"\n[recovery_sheet]\nafter_proof = true\noutput = "sheet.html"\n'
        'format = "html"\n'
    )
    small = server.unique_name()
    try:
        server.psql("postgres", "CREATE ROLE sheet_owner; CREATE ROLE sheet_reader LOGIN")
        server.psql("postgres", f"CREATE TABLESPACE sheet_space LOCATION '{space}'")
        options = "OWNER sheet_owner TEMPLATE template0 TABLESPACE sheet_space"
        server.psql("postgres", f"CREATE DATABASE {_QUOTED} {options}")
        server.psql(_NAME, _SCHEMA)
        made = back_up(server, _NAME, folder, env="prod")
        back_up_without_roles(server, small, folder)
        shell = Commands(folder, settings_for(server, _NAME, environment="prod"))
        proven = shell.pgvow("prove", made.backup.path, "--jobs", "2", "--json")
        assert 0 == proven.code, proven.err
        with server.connect("postgres") as session:
            of_database = session.execute(_OF_DATABASE, [_NAME]).fetchone()
        assert of_database is not None
        counts = dict(made.metadata.table_counts)
        text = sheet_text(folder / "backups")
        second = f"dev: {small}"
        yield Lost(folder, space, shell, proven.json["proof"], counts, of_database, text, second)
    finally:
        for name in (small, _NAME):
            server.drop_database(name)
        server.psql("postgres", "DROP TABLESPACE IF EXISTS sheet_space")
        server.psql("postgres", "DROP ROLE IF EXISTS sheet_owner, sheet_reader")
        shutil.rmtree(folder, ignore_errors=True)


def back_up_without_roles(server: TestServer, database: str, folder: Path) -> None:
    """Back up the second source without keeping its roles, and lose one."""
    server.create_database(database)
    server.psql(database, _SMALL)
    back_up(server, database, folder, with_globals=False)
    server.psql(database, "DROP OWNED BY sheet_alone; DROP ROLE sheet_alone")


def sheet_text(directory: Path) -> str:
    """Write the sheet of all backups as text."""
    return page(recovery_sheet([directory], SheetOptions(), a_context()), SheetFormat.TEXT)


def printed(text: str, source: str, title: str) -> list[tuple[str, list[str]]]:
    """Read prompt and words of the commands under a title of a source, as they are printed."""
    part = text.split(f"\n{source}\n", 1)[1].split(f"\nBack {title}\n", 1)[1]
    lines = re.split(r"\nBack |\n-{5}", part, maxsplit=1)[0].splitlines()
    return [(line[2], shlex.split(line[4:])) for line in lines if line[:4] in ("  $ ", "  # ")]


def test_a_proof_records_the_time_and_the_needs(lost: Lost, server: TestServer) -> None:
    """Each part is there, and the estimate is the restore and the comparison together."""
    recovery, needs = lost.proof["recovery"], lost.proof["needs"]
    total = lost.proof["restore_seconds"] + recovery["compare_seconds"]
    assert pytest.approx(total, abs=0.01) == recovery["estimated_seconds"]
    assert 0 < sum(recovery["stages"].values()) <= lost.proof["restore_seconds"] + 0.01
    assert {"definitions and rows", "materialized views"} <= recovery["stages"].keys()
    assert (2, True, 377) == (recovery["jobs"], recovery["throwaway"], recovery["rows"])
    assert needs["database_bytes"] == recovery["database_bytes"] > 5_000_000
    (trgm,) = needs["extensions"]
    with server.connect("template1") as session:
        version = session.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'pg_trgm'"
        ).fetchone()
    assert {"name": "pg_trgm", "contrib": True, "version": version and version[0]} == trgm
    assert (server.major, False) == (needs["postgresql_major"], needs["superuser"])
    roles = {role["name"]: (role["archive"], role["globals"]) for role in needs["roles"]}
    assert {"sheet_owner", "sheet_reader", "postgres"} <= roles.keys()
    assert (True, True) == roles["sheet_owner"]
    assert [{"name": "sheet_space", "location": str(lost.space)}] == needs["tablespaces"]


def test_the_sheet_is_made_anew_after_a_proof(lost: Lost) -> None:
    """pgvow.toml asks for it: for the owner only, with both sources, the time and no leftover."""
    path = lost.folder / "sheet.html"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    text = path.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert {"dev", "prod"} <= set(re.findall(r"<h2>(\w+): ", text))
    assert "not measured" in text.split("<h2>prod: ")[0]
    assert "on a machine like that" in text.split("<h2>prod: ")[1]
    assert [] == list(lost.folder.glob(".sheet.html.*"))
    words = ("--json", "--format", "markdown", "--output", "copy.md")
    sheet = lost.shell.pgvow("sheet", *words).json
    copy = lost.folder / "copy.md"
    assert ("copy.md", 0o600) == (sheet["output"], stat.S_IMODE(copy.stat().st_mode))
    assert copy.read_text("utf-8").startswith("# Recovery sheet\n")
    assert ["dev", "prod"] == [source["environment"] for source in sheet["sources"]]
    shown = lost.shell.pgvow("show", "latest", "--env", "prod").out
    assert "Recovery:" in shown
    assert "Needs:" in shown


def user_of(server: TestServer, folder: Path) -> dict[str, str]:
    """Give the environment of a user who has PostgreSQL's programs, and no server yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {key: text for key, text in clean_environment().items() if key != "HOME"}
    return {
        **kept,
        "PATH": f"{server._programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PGHOST": "/tmp",  # noqa: S108 - the socket of a server that was not told otherwise
        "PGPORT": str(port),
        "PGUSER": pwd.getpwuid(server_account().uid).pw_name,
    }


def run(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    """Run a command of the sheet as the user of the server; returns its standard output."""
    done = subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, check=False,
        **server_account().popen_arguments(),
    )  # fmt: skip
    harmless = argv[0] == "createuser" and "already exists" in done.stderr
    assert 0 == done.returncode or harmless, (argv, done.stdout, done.stderr)
    return done.stdout


def lose(server: TestServer, lost: Lost) -> None:
    """Drop the database, its tablespace with the directory, and the roles."""
    server.drop_database(_NAME)
    server.psql("postgres", "DROP TABLESPACE sheet_space")
    server.psql("postgres", "DROP ROLE sheet_owner, sheet_reader")
    lost.space.rmdir()


def test_the_commands_as_printed_bring_the_database_back(
    lost: Lost, server: TestServer, start_server: StartServer
) -> None:
    """Without pgvow from initdb on, and with pgvow on an empty server: rows, settings, owners."""
    for path in (lost.folder / "backups", *(lost.folder / "backups").iterdir()):
        server_account().give(path)
    lose(server, lost)
    env = user_of(server, lost.folder)
    try:
        by_hand(lost, env)
        conninfo = f"host=127.0.0.1 port={env['PGPORT']} user={env['PGUSER']} password=word"
        check(lost, lambda name: psycopg.connect(conninfo, dbname=name, autocommit=True))
    finally:
        stop = ["pg_ctl", "--pgdata=recovered-cluster", "--mode=immediate", "stop"]
        run(stop, lost.folder, env)
    if server.major < MAJORS[-1]:
        return  # once is enough for pgvow, which is tested on all
    shutil.rmtree(lost.space)
    empty = start_server(server.major)
    by_pgvow(lost, empty, env)
    check(lost, empty.connect)


def by_hand(lost: Lost, env: Mapping[str, str]) -> None:
    """Run the commands that need PostgreSQL alone, and give the superuser a password."""
    has_server = False
    for source, tables in ((lost.second, 1), (f"prod: {_NAME}", 2)):
        (install, *commands) = printed(lost.text, source, "without pgvow")
        assert ("#", "apt-get") == (install[0], install[1][0])
        assert {"$"} == {prompt for prompt, _ in commands}
        assert ["initdb", "pg_ctl"] == [argv[0] for _, argv in commands[:2]]
        for _, argv in commands[2:] if has_server else commands:
            out = run(argv, lost.folder, env)
            if argv[0] == "sha256sum":
                assert all(line.split()[0] in lost.text for line in out.splitlines())
        lines = [line for line in out.splitlines() if "|" in line][1:]
        assert [True] * tables == [line.rstrip().endswith("| t") for line in lines], out
        has_server = True
    password = ["psql", "-d", "postgres", "-c", f"ALTER ROLE {env['PGUSER']} PASSWORD 'word'"]
    run(password, lost.folder, env)


def by_pgvow(lost: Lost, empty: TestServer, env: Mapping[str, str]) -> None:
    """Run the commands by pgvow, with the variables that the sheet names set to a server."""
    shell = Commands(lost.folder, settings_for(empty, "postgres", environment="prod"))
    for _, argv in printed(lost.text, f"prod: {_NAME}", "with pgvow"):
        if argv[0] == "pgvow":
            done = shell.pgvow(*argv[1:])
            assert 0 == done.code, done.err
        else:
            run(argv, lost.folder, {**env, **empty.environment("postgres")})


def check(lost: Lost, connect: Callable[[str], psycopg.Connection]) -> None:
    """Compare rows, values, and the settings, owner and grants of the database itself."""
    server = cast("TestServer", SimpleNamespace(connect=connect))
    assert lost.rows == rows_by_key(server, _NAME)
    with connect(_NAME) as session:
        of_database = session.execute(_OF_DATABASE, [_NAME]).fetchone()
        owner = session.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'words'")
        assert [("sheet_owner",)] == owner.fetchall()
        parts = session.execute("SELECT DISTINCT parts FROM words").fetchall()
        assert [([None, "NULL"],)] == parts
        days = session.execute("SELECT day::text FROM days").fetchall()
        assert [("2024-01-02",)] == days
    assert lost.of_database == of_database


_LATIN = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'POSIX'"
_BUILT_IN = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
_LOCALE = """
SELECT pg_encoding_to_char(d.encoding), d.datlocprovider, d.datcollate, d.datctype,
  to_jsonb(d)->>'datlocale'
FROM pg_database AS d WHERE datname = %s
"""


@pytest.mark.parametrize(
    ("options", "server"), [(_LATIN, 15), (_LATIN, 18), (_BUILT_IN, 18)], indirect=["server"]
)
def test_the_database_is_made_with_the_locale_of_the_source(
    options: str, server: TestServer, tmp_path: Path
) -> None:
    """Encoding, provider and locales: createdb, as printed, makes the same database."""
    name, dump = server.unique_name(), tmp_path / "x.dump"
    server.psql("postgres", f"CREATE DATABASE {name} TEMPLATE template0 {options}")
    env = server.environment("postgres")
    try:
        subprocess.run([server.bin / "pg_dump", "-Fc", "-f", dump, name], env=env, check=True)
        with server.connect("postgres") as session:
            expected = session.execute(_LOCALE, [name]).fetchone()
            server.drop_database(name)
            run(created_by(dump, name, server), tmp_path, env)
            assert expected == session.execute(_LOCALE, [name]).fetchone()
    finally:
        server.drop_database(name)


def created_by(dump: Path, name: str, server: TestServer) -> list[str]:
    """Return the createdb of the sheet, with the program's path."""
    with dump.open("rb") as file:
        toc = read_toc(file)
    facts = metadata(database=name, dump=dump.read_bytes())
    needs = needs_of(StoredBackup.at(dump), facts, toc)
    commands = stock_commands(RecoveredBackup("dev", dump, None, facts, toc, needs))
    (line,) = [each.line for each in commands if each.line.startswith("createdb ")]
    return [str(server._programs / "createdb"), *shlex.split(line)[1:]]
