"""Every exit code, by its real cause; the message names the cause and a step that mends it.

Codes 11 and 12 are in tests/cli/test_doctor.py; 10 and 13 come with restore and prove.
"""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.privileges import bound_by_permissions
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TcpServer, TestServer

pytestmark = pytest.mark.majors(18)

_LEFT_BEHIND = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'pgvow%'
"""


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for a database with one table of a few MB."""
    with server.connect(database) as session:
        session.execute(
            "CREATE TABLE noise AS SELECT n, md5(n::text) || md5((-n)::text) AS bytes"
            " FROM generate_series(1, 100000) AS n"
        )
    return Commands(tmp_path, settings_for(server, database))


@contextmanager
def locked(server: TestServer, database: str) -> Iterator[None]:
    """Hold the table so that a backup has to wait for it."""
    with server.connect(database) as session, session.transaction():
        session.execute("LOCK TABLE noise IN ACCESS EXCLUSIVE MODE")
        yield


def files(commands: Commands) -> list[str]:
    """List the backup directory, lock files and partial files included."""
    directory = commands.cwd / "db/backups"
    return [path.name for path in left_in(directory)] if directory.exists() else []


def test_2_nothing_configured(tmp_path: Path) -> None:
    """Without any settings: 2, and the message shows what a .env.local would look like."""
    done = Commands(tmp_path).run()
    assert done.code == 2
    assert "Configuration error" in done.err
    assert "DEV_DB_NAME" in done.err
    assert done.out == ""


def test_2_unknown_mode(tmp_path: Path) -> None:
    """An unknown ENV_MODE is quoted, never guessed."""
    done = Commands(tmp_path, {"ENV_MODE": "staging", "DB_NAME": "shop"}).run()
    assert done.code == 2
    assert "'staging'" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["--verify", "x.dump", "--list"],
        ["--verify", "x.dump", "--env", "dev"],
        ["--list", "--space-factor", "3"],
        ["--unknown"],
        ["--space-factor", "nan"],
        ["--verify"],
    ],
)
def test_2_invalid_options(words: list[str], tmp_path: Path) -> None:
    """Options of another mode, unknown ones and impossible values are usage errors."""
    done = Commands(tmp_path).run(*words)
    assert done.code == 2
    assert "--help" in done.err


def test_2_a_name_that_is_in_no_directory_named(tmp_path: Path) -> None:
    """--output-dir and --env say where a name is looked for; what is not there is a usage error."""
    done = Commands(tmp_path).pgvow("verify", "x.dump", "--output-dir", "elsewhere")
    assert done.code == 2
    assert "no file x.dump, and no backup of that name in elsewhere" in done.err


@pytest.mark.parametrize("below", [".", "below"])
@pytest.mark.parametrize("words", [[], ["--list"], ["--all"]])
def test_2_the_directory_is_a_file(words: list[str], below: str, commands: Commands) -> None:
    """A file in place of the directory, or above it: 2, naming the path and the option."""
    path = commands.cwd / "backups"
    path.touch()
    done = commands.run(*words, "--output-dir", path / below)
    assert done.code == 2
    assert f"{path / below}: Not a directory" in done.err
    assert "--output-dir DIR" in done.err


def test_3_wrong_password(commands: Commands) -> None:
    """A wrong password: 3, the server's words, and where the password came from."""
    done = commands.run(DEV_DB_PASSWORD="wrong")
    assert done.code == 3
    assert "password authentication failed" in done.err
    assert "DEV_DB_PASSWORD" in done.err
    assert "wrong" not in done.err.replace("DEV_DB_PASSWORD", "")


def test_3_no_such_database(commands: Commands) -> None:
    """A database that is not there: 3, and the step that makes it."""
    done = commands.run(DEV_DB_NAME="nowhere")
    assert done.code == 3
    assert 'database "nowhere" does not exist' in done.err
    assert "createdb nowhere" in done.err
    assert "DEV_DB_NAME" in done.err


def test_3_connection_refused(commands: Commands) -> None:
    """Nobody listens: 3, and how to ask whether the server runs."""
    done = commands.run(DEV_DB_HOST="127.0.0.1", DEV_DB_PORT="1")
    assert done.code == 3
    assert "Connection refused" in done.err
    assert "pg_isready -h 127.0.0.1 -p 1" in done.err


def test_4_role_without_select(commands: Commands, server: TestServer, database: str) -> None:
    """A role that may not read a table: 4, before anything is written, naming the table."""
    role = f"reader_{database}"
    with server.connect(database) as session:
        session.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'reads nothing'").format(sql.Identifier(role))
        )
    try:
        done = commands.run(DEV_DB_USER=role, DEV_DB_PASSWORD="reads nothing")
    finally:
        with server.connect(database) as session:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert done.code == 4
    assert "noise" in done.err
    assert "pg_read_all_data" in done.err
    assert files(commands) == []


def test_4_unwritable_directory(
    tcp_server: TcpServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """A directory that may not be written: 4, naming it."""
    directory = tmp_path / "db/backups"
    directory.mkdir(parents=True)
    directory.chmod(0o500)
    settings = settings_for(tcp_server, make_database(tcp_server))
    settings["DEV_DB_HOST"] = tcp_server.tcp_host
    done = Commands(tmp_path, settings, tuple(bound_by_permissions([]))).run()
    assert done.code == 4, done.err
    assert "db/backups" in done.err
    assert "Troubleshooting" in done.err


def test_5_too_little_space_before_the_dump(commands: Commands) -> None:
    """Less space than asked for: 5 before the dump begins, showing required and available."""
    done = commands.run("--space-factor", "1e9")
    assert done.code == 5
    assert "Required" in done.err
    assert "Available" in done.err
    assert files(commands) == []


def test_5_disk_full_during_the_dump(commands: Commands) -> None:
    """The file cannot grow any more: 5, cause and path; the partial file goes, no other does."""
    assert commands.run().code == 0
    before = files(commands)
    small = Commands(commands.cwd, commands.variables, ("prlimit", "--fsize=300000", "--"))
    done = small.run()
    assert done.code == 5, done.err
    assert "ulimit -f" in done.err
    assert re.search(r"Directory: .*db/backups", done.err)
    assert files(commands) == before


@pytest.mark.parametrize("option", ["--output-dir", "--verify"])
def test_2_empty_path(option: str, commands: Commands) -> None:
    """An empty path, as of an unset shell variable: 2, and nothing happens here."""
    done = commands.run(option, "")
    assert done.code == 2
    assert "path is empty" in done.err
    assert not list(commands.cwd.rglob("*.dump"))


def test_3_too_few_connections_for_pg_dump(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Our own sessions get in, pg_dump does not: 3 as well, with steps that help."""
    role = server.unique_name("bounded")
    with server.connect(database) as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p' CONNECTION LIMIT 2")
        session.execute(f"GRANT pg_read_all_data TO {role}")
    try:
        done = commands.run(DEV_DB_USER=role, DEV_DB_PASSWORD="p")
    finally:
        with server.connect(database) as session:
            session.execute(f"DROP ROLE {role}")
    assert done.code == 3, done.err
    assert "too many connections for role" in done.err
    assert "CONNECTION LIMIT" in done.err


def test_4_large_object_without_select(
    commands: Commands, server: TestServer, database: str
) -> None:
    """pg_read_all_data does not cover it: 4, and the GRANT that does."""
    role = server.unique_name("reader")
    with server.connect(database) as session:
        session.execute("SELECT lo_from_bytea(0, 'bytes')")
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
        session.execute(f"GRANT pg_read_all_data TO {role}")
    try:
        done = commands.run(DEV_DB_USER=role, DEV_DB_PASSWORD="p")
    finally:
        with server.connect(database) as session:
            session.execute(f"DROP ROLE {role}")
    assert done.code == 4, done.err
    assert "GRANT SELECT ON LARGE OBJECT" in done.err


def test_6_pg_dump_missing(commands: Commands, tmp_path: Path) -> None:
    """No pg_dump: 6, and what to install."""
    empty = tmp_path / "empty"
    empty.mkdir()
    done = commands.run(PGVOW_PG_BIN=str(empty))
    assert done.code == 6
    assert "apt install postgresql-client" in done.err


def test_6_pg_dump_older_than_the_server(commands: Commands, pg15: TestServer) -> None:
    """A pg_dump older than the server: 6, naming both versions."""
    done = commands.run(PGVOW_PG_BIN=str(pg15.bin))
    assert done.code == 6
    assert "PostgreSQL 18" in done.err
    assert "15." in done.err


def test_7_lock_timeout_names_the_table(
    commands: Commands, server: TestServer, database: str
) -> None:
    """A table that stays locked: 7 once the user's patience is over, naming the table."""
    with locked(server, database):
        done = commands.run("--lock-wait-timeout", "0.5")
    assert done.code == 7
    assert "noise" in done.err
    assert "--lock-wait-timeout" in done.err
    assert files(commands) == []


def test_8_corrupt_file(commands: Commands) -> None:
    """A changed byte: 8, with the checksum expected and found."""
    dump = commands.cwd / commands.run("--json").json["backup_path"]
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    done = commands.run("--verify", dump)
    assert done.code == 8
    assert "✗ Checksum" in done.out
    assert "expected:" in done.out
    assert "found:" in done.out


def test_9_two_runs_at_once(commands: Commands, server: TestServer, database: str) -> None:
    """The second run ends at once with 9 and names the process of the first."""
    with locked(server, database):
        first = commands.start("--lock-wait-timeout", "3600")
        wait_until(lambda: any(name.endswith(".lock") for name in files(commands)))
        second = commands.run()
        assert second.code == 9
        assert str(first.pid) in second.err
        assert first.poll() is None  # nobody waited for it
    _, err = first.communicate(timeout=600)
    assert first.returncode == 0, err


def test_9_one_database_in_two_environments(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Settings of prod that name dev's database: 9 as well; of another one, they run."""
    production = Commands(commands.cwd, settings_for(server, database, environment="prod"))
    other = Commands(commands.cwd, settings_for(server, "postgres", environment="prod"))
    with locked(server, database):
        first = commands.start("--lock-wait-timeout", "3600")
        wait_until(lambda: any("source" in name for name in files(commands)))
        second = production.run("--env", "prod")
        assert second.code == 9, second.err
        assert str(first.pid) in second.err
        third = other.run("--env", "prod")
        assert third.code == 0, third.err
    _, err = first.communicate(timeout=600)
    assert first.returncode == 0, err
    again = production.run("--env", "prod")
    assert again.code == 0, again.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_130_and_143_on_ctrl_c_and_sigterm_leave_nothing(
    number: signal.Signals, code: int, commands: Commands, server: TestServer, database: str
) -> None:
    """Ctrl-C and SIGTERM: 130 and 143, no file, no pg_dump, no session left."""
    with locked(server, database):
        run = commands.start("--lock-wait-timeout", "3600")
        wait_until(lambda: any(name.endswith(".lock") for name in files(commands)))
        run.send_signal(number)
        _, err = run.communicate(timeout=600)
    assert run.returncode == code
    assert "Interrupted" in err
    assert files(commands) == []
    with server.connect(database) as session:
        wait_until(lambda: session.execute(_LEFT_BEHIND).fetchone() == (0,))
