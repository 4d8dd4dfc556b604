"""``pgvow doctor``: 0 when all is well, 11 and 12 by real causes, and nothing is changed."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from pgvow.store import names
from tests.support.commands import Commands, Done, settings_for
from tests.support.disks import needs_root
from tests.support.privileges import bound_by_permissions
from tests.support.servers import TcpServer
from tests.support.tls import speak_tls
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

    MakeRole = Callable[..., dict[str, str]]

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for a database with one table."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    return Commands(tmp_path, settings_for(server, database))


@pytest.fixture
def healthy(commands: Commands) -> Commands:
    """The same with a fresh backup: nothing is left to be desired."""
    made = commands.run("--quiet")
    assert made.code == 0, made.err
    return commands


@pytest.fixture
def make_role(server: TestServer, database: str) -> Iterator[MakeRole]:
    """Make roles that last as long as the test; gives the variables that log in as one."""
    made: list[sql.Identifier] = []

    def make(attributes: str = "", *, reads_all: bool = False) -> dict[str, str]:
        name = server.unique_name("role")
        role = sql.Identifier(name)
        with server.connect(database) as session:
            session.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'it has one' " + attributes).format(role)
            )
            made.append(role)
            if reads_all:
                session.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(role))
        return {"DEV_DB_USER": name, "DEV_DB_PASSWORD": "it has one"}

    yield make
    with server.connect(database) as session:
        for role in made:
            session.execute(sql.SQL("DROP OWNED BY {}").format(role))
            session.execute(sql.SQL("DROP ROLE {}").format(role))


def examined(commands: Commands, *words: str | Path, **more: str) -> Done:
    """Run the doctor, and see that it has changed nothing."""
    before = contents(commands.cwd)
    done = commands.pgvow("doctor", *words, **more)
    assert contents(commands.cwd) == before
    return done


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder, with size and time of the last change."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")
    }


def concerns(done: Done) -> dict[str, dict[str, Any]]:
    """Return the checks that are not good, by name."""
    return {one["name"]: one for one in done.json["checks"] if one["level"] != "good"}


def check(done: Done, name: str) -> dict[str, Any]:
    """One check by its name."""
    (found,) = [one for one in done.json["checks"] if one["name"] == name]
    return found


def only_concern(done: Done, code: int, name: str) -> dict[str, Any]:
    """The one thing that is not good, which decides the exit code."""
    assert (code, [name]) == (done.code, list(concerns(done))), done.out + done.err
    assert {11: "attention", 12: "bad"}[code] == concerns(done)[name]["level"]
    return concerns(done)[name]


def backup_agrees(commands: Commands, done: Done, **more: str) -> bool:
    """Whether a backup fails just where the doctor says that one would."""
    return (commands.run("--quiet", **more).code != 0) == (done.code == 12)


def test_a_sound_setup_exits_0_with_every_check_good(healthy: Commands) -> None:
    """0, every check is good, and the verdict says so."""
    done = examined(healthy)
    assert done.code == 0, done.out
    assert done.err == ""
    assert {"✓"} == {line[0] for line in done.out.split("\n\n")[0].splitlines()}
    assert "Everything a backup needs is there" == done.out.splitlines()[-1]
    assert {} == concerns(examined(healthy, "--json"))


def test_json_is_one_object(healthy: Commands) -> None:
    """``--json`` prints every check with its level, and nothing else."""
    done = examined(healthy, "--json")
    assert (True, 0) == (done.json["ok"], done.json["exit_code"])
    assert {"name", "level", "text", "hint", "origin"} == set(done.json["checks"][0])
    named = {one["name"] for one in done.json["checks"]}
    assert named >= {"host", "tools", "connection", "TLS", "versions", "rights", "row security"}
    assert named >= {"roles", "directory", "space", "newest backup"}
    assert done.err == ""


def test_quiet_is_silent_only_when_all_is_well(healthy: Commands, commands: Commands) -> None:
    """``--quiet`` prints nothing on success, and everything otherwise."""
    assert Done(0, "", "") == examined(healthy, "--quiet")
    done = examined(healthy, "--quiet", "--output-dir", "elsewhere")
    assert done.code == 11
    assert "! newest backup" in done.out


def test_settings_are_listed_with_their_sources_and_no_password(healthy: Commands) -> None:
    """One line a setting, with the variable and the line of the file; no password."""
    lines = [f"{key}='{value}'\n" for key, value in healthy.variables.items()]
    private(healthy.cwd / ".env.local", "".join(lines))
    (healthy.cwd / ".env").write_text("PGSSLMODE=prefer\nENV_MODE=Development\n")
    done = examined(Commands(healthy.cwd), PGTZ="UTC")
    assert done.code == 0, done.out
    shown = [re.split(r"\s{2,}", line.removeprefix("✓ ")) for line in done.out.splitlines()[:8]]
    variables = healthy.variables
    assert [
        ["environment", "dev", "ENV_MODE from .env line 2"],
        ["host", variables["DEV_DB_HOST"], "DEV_DB_HOST from .env.local line 1"],
        ["port", variables["DEV_DB_PORT"], "DEV_DB_PORT from .env.local line 2"],
        ["database", variables["DEV_DB_NAME"], "DEV_DB_NAME from .env.local line 3"],
        ["user", variables["DEV_DB_USER"], "DEV_DB_USER from .env.local line 4"],
        ["password", "set, not shown", "DEV_DB_PASSWORD from .env.local line 5"],
        ["libpq", "PGSSLMODE", "from .env line 1"],
        ["libpq", "PGTZ", "from the environment"],
    ] == shown
    assert variables["DEV_DB_PASSWORD"] not in done.out


def private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)


def test_lines_wrap_between_words_at_80_columns(healthy: Commands) -> None:
    """In 80 columns lines are broken between words, under the text they belong to; with colours."""
    screen = healthy.on_terminal("doctor", columns=80)
    assert screen.code == 0
    assert screen.is_coloured
    for line in screen.text.splitlines():
        # A path is not broken, for it is to be copied.
        assert len(line) <= 80 or " " not in line.strip()
        assert line[:1] in {"✓", " ", "", "E"}, line
    assert not healthy.on_terminal("doctor", NO_COLOR="1").is_coloured


def test_12_invalid_settings_are_reported_all_at_once(commands: Commands) -> None:
    """All problems at once, each with its variable; the tools are looked at all the same."""
    done = examined(commands, "--json", DEV_DB_PORT="none", DEV_DB_NAME="")
    assert done.code == 12
    texts = [one["text"] for one in done.json["checks"] if one["name"] == "settings"]
    assert ["DEV_DB_PORT", "DEV_DB_NAME"] == [text.split(" ")[0] for text in texts]
    assert {"settings"} == set(concerns(done))
    assert commands.variables["PGVOW_PG_BIN"] in check(done, "tools")["text"]


def test_12_unreadable_settings_file_is_named(commands: Commands) -> None:
    """A file of somebody else's is named."""
    (commands.cwd / ".env").touch(mode=0o000)
    bound = Commands(commands.cwd, commands.variables, tuple(bound_by_permissions([])))
    done = examined(bound, "--json")
    assert done.code == 12, done.err
    assert ".env" in concerns(done)["settings"]["text"]


def test_12_missing_pg_dump(healthy: Commands) -> None:
    """No pg_dump: what to install; the server is looked at all the same."""
    done = examined(healthy, "--json", PGVOW_PG_BIN=str(healthy.cwd))
    concern = only_concern(done, 12, "tools")
    assert "no working pg_dump" in concern["text"]
    assert concern["hint"]
    assert "good" == check(done, "rights")["level"]
    assert backup_agrees(healthy, done, PGVOW_PG_BIN=str(healthy.cwd))


def test_12_pg_dump_older_than_the_server(healthy: Commands, pg15: TestServer) -> None:
    """A pg_dump older than the server."""
    done = examined(healthy, "--json", PGVOW_PG_BIN=str(pg15.bin))
    concern = only_concern(done, 12, "versions")
    assert "cannot read a PostgreSQL 18 server" in concern["text"]
    assert "postgresql-client-18" in concern["hint"]
    assert backup_agrees(healthy, done, PGVOW_PG_BIN=str(pg15.bin))


@pytest.mark.majors(15)
def test_11_pg_dump_newer_than_the_server(healthy: Commands, pg18: TestServer) -> None:
    """A newer pg_dump serves, but its archives need an equally new pg_restore."""
    done = examined(healthy, "--json", PGVOW_PG_BIN=str(pg18.bin))
    assert "needs" not in only_concern(done, 11, "versions")["text"]
    assert "need a pg_restore of 18" in concerns(done)["versions"]["hint"]
    assert backup_agrees(healthy, done, PGVOW_PG_BIN=str(pg18.bin))


def test_12_wrong_password(healthy: Commands) -> None:
    """The server's words and the step that mends it; the password is not shown."""
    done = examined(healthy, "--json", DEV_DB_PASSWORD="not-that-one")
    concern = only_concern(done, 12, "connection")
    assert "password authentication failed" in concern["text"]
    assert "DEV_DB_PASSWORD" in concern["hint"]
    assert "not-that-one" not in done.out + done.err


def test_12_connection_refused_still_checks_directory_and_backups(healthy: Commands) -> None:
    """The directory and the backups are looked at all the same."""
    done = examined(healthy, "--json", DEV_DB_HOST="127.0.0.1", DEV_DB_PORT="1")
    assert "Connection refused" in only_concern(done, 12, "connection")["text"]
    assert "good" == check(done, "newest backup")["level"]


def test_12_table_not_readable(healthy: Commands, make_role: MakeRole) -> None:
    """A role without SELECT: the table, and the GRANT that mends it."""
    role = make_role()
    done = examined(healthy, "--json", **role)
    assert done.code == 12
    assert "public.orders" in concerns(done)["rights"]["text"]
    assert f"GRANT pg_read_all_data TO {role['DEV_DB_USER']}" == concerns(done)["rights"]["hint"]
    assert backup_agrees(healthy, done, **role)


def test_tables_of_an_extension_need_no_select_privilege(
    healthy: Commands, server: TestServer, database: str, make_role: MakeRole
) -> None:
    """Its own tables are not dumped; its configuration tables are."""
    role = make_role()
    name = sql.Identifier(role["DEV_DB_USER"])
    with server.connect(database) as session:
        session.execute("CREATE EXTENSION pgvow_conf")
        session.execute(sql.SQL("GRANT SELECT ON orders TO {}").format(name))
    done = examined(healthy, "--json", **role)
    assert done.code == 12
    assert "private_rows" not in concerns(done)["rights"]["text"]
    assert "pgvow_conf.whole" in concerns(done)["rights"]["text"]
    assert backup_agrees(healthy, done, **role)
    with server.connect(database) as session:
        session.execute(sql.SQL("GRANT USAGE ON SCHEMA pgvow_conf TO {}").format(name))
        for table in ("filtered", "whole", "numbers"):
            configuration = sql.Identifier("pgvow_conf", table)
            session.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(configuration, name))
    done = examined(healthy, "--json", **role)
    assert (0, {}) == (done.code, concerns(done))
    assert "pgvow_conf 1.0" in check(done, "extensions")["text"]
    assert backup_agrees(healthy, done, **role)


def test_a_materialized_view_needs_no_select_privilege(
    healthy: Commands, server: TestServer, database: str, make_role: MakeRole
) -> None:
    """Its rows are computed anew by a restore, and never read."""
    role = make_role()
    with server.connect(database) as session:
        session.execute("CREATE MATERIALIZED VIEW summary AS SELECT count(*) FROM orders")
        session.execute(
            sql.SQL("GRANT SELECT ON orders TO {}").format(sql.Identifier(role["DEV_DB_USER"]))
        )
    done = examined(healthy, "--json", **role)
    assert (0, {}) == (done.code, concerns(done))
    assert backup_agrees(healthy, done, **role)


def test_12_large_object_not_readable(
    healthy: Commands, server: TestServer, database: str, make_role: MakeRole
) -> None:
    """pg_read_all_data does not cover large objects; a grant on each does."""
    role = make_role(reads_all=True)
    with server.connect(database) as session:
        session.execute("SELECT lo_from_bytea(4711, 'large')")
    done = examined(healthy, "--json", **role)
    assert done.code == 12
    assert "large objects that it may not read: 1" in concerns(done)["rights"]["text"]
    assert backup_agrees(healthy, done, **role)
    with server.connect(database) as session:
        session.execute(
            sql.SQL("GRANT SELECT ON LARGE OBJECT 4711 TO {}").format(
                sql.Identifier(role["DEV_DB_USER"])
            )
        )
    done = examined(healthy, "--json", **role)
    assert (0, {}) == (done.code, concerns(done))
    assert backup_agrees(healthy, done, **role)


def test_12_row_security_hides_rows_from_the_role(
    healthy: Commands, server: TestServer, database: str, make_role: MakeRole
) -> None:
    """Policies that would hide rows, unless the role has BYPASSRLS."""
    with server.connect(database) as session:
        session.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    role = make_role(reads_all=True)
    done = examined(healthy, "--json", **role)
    assert done.code == 12
    assert "public.orders" in concerns(done)["row security"]["text"]
    assert "BYPASSRLS" in concerns(done)["row security"]["hint"]
    assert backup_agrees(healthy, done, **role)
    passes = make_role("BYPASSRLS", reads_all=True)
    done = examined(healthy, "--json", **passes)
    assert (0, {}) == (done.code, concerns(done))
    assert backup_agrees(healthy, done, **passes)


@pytest.mark.parametrize("force", ["NO FORCE", "FORCE"])
def test_12_row_security_forced_on_the_owner(
    force: str, healthy: Commands, server: TestServer, database: str, make_role: MakeRole
) -> None:
    """An owner sees all rows of his table, unless FORCE ROW LEVEL SECURITY says otherwise."""
    role = make_role()
    with server.connect(database) as session:
        owner = sql.Identifier(role["DEV_DB_USER"])
        session.execute(sql.SQL("ALTER TABLE orders OWNER TO {}").format(owner))
        session.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
        session.execute(f"ALTER TABLE orders {force} ROW LEVEL SECURITY")
    done = examined(healthy, "--json", **role)
    if force == "FORCE":
        assert (12, {"row security"}) == (done.code, set(concerns(done)))
    else:
        assert (0, {}) == (done.code, concerns(done))
    assert backup_agrees(healthy, done, **role)


def test_unreadable_role_passwords_are_information_not_a_warning(
    healthy: Commands, server: TestServer, database: str, make_role: MakeRole
) -> None:
    """An ordinary role can become green: that roles have no passwords then is information."""
    role = make_role()
    with server.connect(database) as session:
        grantee = sql.Identifier(role["DEV_DB_USER"])
        session.execute(sql.SQL("GRANT SELECT ON orders TO {}").format(grantee))
    done = examined(healthy, "--json", **role)
    assert (0, {}) == (done.code, concerns(done))
    assert "pg_authid" in check(done, "roles")["hint"]
    made = healthy.run("--json", **role).json
    assert (1, False) == (len(made["warnings"]), made["metadata"]["globals"]["role_passwords"])
    reader = make_role(reads_all=True)
    assert 0 == examined(healthy, **reader).code
    time.sleep(1)
    made = healthy.run("--json", **reader).json
    assert ([], True) == (made["warnings"], made["metadata"]["globals"]["role_passwords"])


def test_11_production_on_this_machine(
    tcp_server: TcpServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Production on 127.0.0.1 earns a warning, and the environment is shown."""
    settings = settings_for(tcp_server, make_database(tcp_server), environment="prod")
    commands = Commands(tmp_path, {**settings, "DB_HOST": tcp_server.tcp_host})
    assert commands.run("--quiet", "--env", "Production").code == 0
    done = examined(commands, "--env", "prod", "--json")
    assert "on this machine" in only_concern(done, 11, "settings")["text"]
    assert "prod" == check(done, "environment")["text"]


def test_11_unencrypted_connection_across_a_network(
    tcp_server: TcpServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Any host but this one, without TLS; a loopback address is no network."""
    settings = settings_for(tcp_server, make_database(tcp_server))
    commands = Commands(tmp_path, {**settings, "DEV_DB_HOST": tcp_server.tcp_host})
    assert commands.run("--quiet").code == 0
    assert examined(commands, "--json").code == 0
    elsewhere = {"DEV_DB_HOST": "db.example.net", "PGHOSTADDR": tcp_server.tcp_host}
    done = examined(commands, "--json", **elsewhere)
    assert done.code == 11
    assert "PGSSLMODE" in concerns(done)["TLS"]["hint"]


@pytest.fixture
def tls_server() -> Iterator[TcpServer]:
    """A server with a certificate of its own."""
    with TcpServer.on_free_port(18) as server:
        speak_tls(server, "localhost")
        yield server


def test_a_tls_connection_is_reported_as_encrypted(tls_server: TcpServer, tmp_path: Path) -> None:
    """A connection that is encrypted is called so, whatever the host."""
    settings = {**settings_for(tls_server, "postgres"), "DEV_DB_HOST": tls_server.tcp_host}
    done = examined(Commands(tmp_path, settings), "--json")
    assert "encrypted" == check(done, "TLS")["text"]
    plain = examined(Commands(tmp_path, settings), "--json", PGSSLMODE="disable")
    assert "encrypted" != check(plain, "TLS")["text"]


def test_12_unwritable_directory(
    tcp_server: TcpServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """A directory that may not be written, or entered, or is none; and a missing one below it."""
    directory = tmp_path / "db"
    directory.mkdir()
    settings = settings_for(tcp_server, make_database(tcp_server))
    settings["DEV_DB_HOST"] = tcp_server.tcp_host
    commands = Commands(tmp_path, settings, tuple(bound_by_permissions([])))
    for mode in (0o500, 0o600):
        directory.chmod(mode)
        done = commands.pgvow("doctor", "--json")
        assert done.code == 12, done.err
        assert str(directory) in concerns(done)["directory"]["text"]
        assert backup_agrees(commands, done)
    directory.chmod(0o700)
    assert [] == list(directory.iterdir())
    (tmp_path / "file").touch()
    done = examined(commands, "--json", "--output-dir", "file")
    assert done.code == 12
    assert "not a directory" in concerns(done)["directory"]["text"]


@needs_root
def test_12_too_little_space(commands: Commands, small_disk: Path) -> None:
    """Less than twice the database's size is free: 12, as a backup would say 5."""
    done = examined(commands, "--json", "--output-dir", small_disk)
    assert done.code == 12
    assert "bad" == concerns(done)["space"]["level"]
    assert "--space-factor" in concerns(done)["space"]["hint"]
    assert 5 == commands.run("--output-dir", small_disk).code


@contextmanager
def live_run(commands: Commands, server: TestServer, database: str) -> Iterator[int]:
    """A run that is held in the midst of its dump; yields its process id."""
    with server.connect(database) as session, session.transaction():
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        run = commands.start("--quiet")
        wait_until(lambda: list((commands.cwd / "db/backups").glob("*.partial")))
        yield run.pid
        run.kill()
        run.communicate()


def test_11_abandoned_partial_files(healthy: Commands, server: TestServer, database: str) -> None:
    """Partial files of a dead run are named and kept for the next backup; a live run's are not.

    The file of a live run grows meanwhile, so what the doctor changes is looked at afterwards.
    """
    with live_run(healthy, server, database):
        assert {} == concerns(healthy.pgvow("doctor", "--json"))
    left = sorted(path.name for path in (healthy.cwd / "db/backups").glob("*.partial"))
    assert left
    done = examined(healthy, "--json")
    only_concern(done, 11, "partial file")
    texts = [one["text"] for one in done.json["checks"] if one["name"] == "partial file"]
    assert left == sorted(text.rpartition("/")[2] for text in texts)
    assert healthy.run("--quiet").code == 0
    assert examined(healthy).code == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda dump: dump.write_bytes(b"PGDMP"), "5 bytes, where the metadata says"),
        (lambda dump: dump.unlink(), "there is no"),
        (lambda dump: dump.with_suffix(".metadata.json").unlink(), "there is no"),
        (lambda dump: dump.with_suffix(".metadata.json").write_text("{"), "JSON"),
    ],
    ids=["truncated", "gone", "no-metadata", "broken-metadata"],
)
def test_11_incomplete_backup_is_named(
    change: Callable[[Path], object], complaint: str, commands: Commands
) -> None:
    """A backup that is not whole is named with what is wrong; the next one is fresh, and whole."""
    dump = commands.cwd / commands.run("--json").json["backup_path"]
    change(dump)
    time.sleep(1)  # another moment, another name
    assert commands.run("--quiet").code == 0
    concern = only_concern(examined(commands, "--json"), 11, "backup")
    assert dump.name in concern["text"]
    assert complaint in concern["text"]
    assert f"pgvow verify db/backups/{dump.name}" in concern["hint"]


def age(commands: Commands, by: timedelta) -> None:
    """Make the only backup so much older: the timestamp in its names and in its metadata."""
    directory = commands.cwd / "db/backups"
    (dump,) = directory.glob("*.dump")
    stem = names.parse_stem(dump.stem)
    assert stem is not None
    older = names.stem(stem.database, stem.environment, stem.moment - by)
    for path in list(directory.iterdir()):
        path.rename(directory / path.name.replace(dump.stem, older))
    metadata = directory / f"{older}.metadata.json"
    facts = json.loads(metadata.read_text().replace(dump.stem, older))
    facts["backup_timestamp"] = f"{stem.moment - by:%Y-%m-%dT%H:%M:%SZ}"
    metadata.write_text(json.dumps(facts))


def test_11_newest_backup_too_old(healthy: Commands) -> None:
    """A daily backup that did not happen; one of yesterday is still fresh."""
    age(healthy, timedelta(hours=25))
    assert examined(healthy).code == 0
    age(healthy, timedelta(hours=2))
    done = examined(healthy, "--json")
    concern = only_concern(done, 11, "newest backup")
    assert "27 h old" in concern["text"]
    assert "pgvow backup --env dev" in concern["hint"]


def test_11_newest_backup_dated_in_the_future(healthy: Commands) -> None:
    """A clock that went wrong must not keep silent for years."""
    age(healthy, -timedelta(days=400))
    done = examined(healthy, "--json")
    assert "in the future" in only_concern(done, 11, "newest backup")["text"]


def test_11_no_backup_yet(commands: Commands) -> None:
    """None at all: no directory is made, and the command that makes one is said."""
    done = examined(commands, "--json")
    assert "yet" in only_concern(done, 11, "newest backup")["text"]
    assert "will be created" in check(done, "directory")["text"]
    assert not (commands.cwd / "db").exists()


def test_11_only_other_databases_are_backed_up(
    healthy: Commands, server: TestServer, make_database: MakeDatabase
) -> None:
    """A fresh backup of another database, or of another environment, is not one of this."""
    other = make_database(server)
    done = examined(healthy, "--json", DEV_DB_NAME=other)
    assert other in only_concern(done, 11, "newest backup")["text"]
    production = {"DB_" + key[7:]: value for key, value in healthy.variables.items()}
    done = examined(healthy, "--json", "--env", "prod", **production)
    assert "prod" in only_concern(done, 11, "newest backup")["text"]
