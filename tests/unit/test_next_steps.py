"""Next steps, by the words in which a server or libpq refused."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgvow.postgres.next_steps import connection_steps, is_lock_table_full, query_steps
from pgvow.settings import Connection, SettingOrigin, load

if TYPE_CHECKING:
    from pathlib import Path

_CONNECTION = Connection(
    host="db.example.net",
    port=5433,
    dbname="shop",
    user="backup",
    password="hunter2",
    origins={
        "host": SettingOrigin("DEV_DB_HOST", ".env.local line 1"),
        "port": SettingOrigin("DEV_DB_PORT", ".env.local line 2"),
        "dbname": SettingOrigin("DEV_DB_NAME", ".env.local line 3"),
        "user": SettingOrigin("DEV_DB_USER", "the environment"),
        "password": SettingOrigin("DEV_DB_PASSWORD", ".env line 4"),
    },
)

# As libpq 18, psycopg 3.3 and PostgreSQL 15 to 18 word it.
_AT = 'connection to server at "192.0.2.1", port 5433 failed: '
_REFUSALS = {
    _AT + 'FATAL:  database "shop" does not exist': ["createdb shop", "DEV_DB_NAME", " -l"],
    _AT + 'FATAL:  password authentication failed for user "backup"': [
        "DEV_DB_PASSWORD in .env line 4",
        "DEV_DB_USER in the environment",
        "psql -h db.example.net -p 5433 -U backup -d shop",
    ],
    _AT + "fe_sendauth: no password supplied": ["Set DEV_DB_PASSWORD", "~/.pgpass"],
    _AT + 'FATAL:  no pg_hba.conf entry for host "192.0.2.9", user "backup", database "shop",'
    " no encryption": ["pg_hba.conf", "PGSSLMODE=require"],
    _AT + 'FATAL:  role "backup" does not exist': ["createuser", "DEV_DB_USER"],
    _AT + 'FATAL:  permission denied for database "shop"': ["GRANT CONNECT ON DATABASE", "backup"],
    "failed to resolve host 'db.example.net': [Errno -2] Name or service not known": [
        "DEV_DB_HOST in .env.local line 1",
        "getent hosts db.example.net",
    ],
    "failed to resolve host 'x': [Errno -3] Temporary failure in name resolution": ["getent hosts"],
    'could not translate host name "x" to address: Name or service not known': ["getent hosts"],
    _AT + "Connection refused": ["pg_isready -h db.example.net -p 5433", "DEV_DB_PORT"],
    'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory': [
        "pg_isready",
        "systemctl start",
    ],
    "connection timeout expired": ["pg_isready"],
    _AT + "No route to host": ["pg_isready"],
    _AT + "Network is unreachable": ["pg_isready"],
    _AT + "SSL error: certificate verify failed": ["PGSSLROOTCERT"],
    'root certificate file "/root/.postgresql/root.crt" does not exist': ["PGSSLROOTCERT"],
    _AT + "server does not support SSL, but SSL was required": ["PGSSLMODE"],
    _AT + "FATAL:  Passwort-Authentifizierung für Benutzer »backup« fehlgeschlagen": [
        "DEV_DB_NAME in .env.local line 3",
        "psql -h db.example.net",
        "pgvow doctor",
    ],
}


@pytest.mark.parametrize("cause", _REFUSALS)
def test_a_refused_connection_has_steps(cause: str) -> None:
    """Each names the setting, its source, and the command to type."""
    steps = connection_steps(cause, _CONNECTION)
    text = "\n".join(steps)
    assert [] == [words for words in _REFUSALS[cause] if words not in text]
    assert len(steps) >= 2


@pytest.mark.parametrize("cause", _REFUSALS)
def test_no_step_shows_the_password(cause: str) -> None:
    """Not even if it is about the password."""
    assert "hunter2" not in "\n".join(connection_steps(cause, _CONNECTION))


def test_steps_name_the_password_variable_of_the_environment(tmp_path: Path) -> None:
    """Production's password stands in another variable than development's."""
    cause = "fe_sendauth: no password supplied"
    settings = {"DB_NAME": "shop", "DB_USER": "backup"}
    connection = load(env="prod", environ=settings, directory=tmp_path).connection
    assert "Set DB_PASSWORD in" in connection_steps(cause, connection)[0]


@pytest.mark.parametrize("name", ["my shop", "x; rm -rf ~", "it's", "$(id)", '"quoted"'])
def test_names_in_steps_are_quoted_for_the_shell(name: str) -> None:
    """Printed commands can be copied into a shell, whatever a database is called."""
    connection = replace(_CONNECTION, dbname=name, user=name)
    steps = connection_steps(f'FATAL:  database "{name}" does not exist', connection)
    assert ["createdb", name] == shlex.split(steps[2].split(": ")[1])
    words = shlex.split(connection_steps("?", connection)[1].split(": ")[1])
    assert ["psql", "-h", "db.example.net", "-p", "5433", "-U", name, "-d", name] == words


def test_steps_name_no_user_that_is_left_to_libpq() -> None:
    """The printed command leaves the user to libpq, which finds the same one for psql."""
    steps = connection_steps("?", replace(_CONNECTION, user=None))
    assert "Try by hand: psql -h db.example.net -p 5433 -d shop" in steps


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (psycopg.errors.InsufficientPrivilege, "GRANT pg_read_all_data"),
        (psycopg.errors.InsufficientPrivilege, "BYPASSRLS"),
        (psycopg.errors.SerializationFailure, "max_standby_streaming_delay"),
        (psycopg.errors.OutOfMemory, "ran out of memory"),
        (psycopg.errors.DiskFull, "server's log"),
        (psycopg.OperationalError, "server's log"),
    ],
)
def test_a_refused_statement_has_steps_by_sqlstate(error: type[psycopg.Error], words: str) -> None:
    """By SQLSTATE, for the words may be in any language."""
    assert words in "\n".join(query_steps(error("¿cómo?")))


@pytest.mark.parametrize(
    ("words", "full"),
    [
        ("out of shared memory", True),
        ("kein Speicher\nHINT:  You might need to increase max_locks_per_transaction.", True),
        ("out of memory\nDETAIL:  Failed on request of size 8 in memory context", False),
    ],
)
def test_out_of_memory_and_full_lock_table_have_different_steps(words: str, *, full: bool) -> None:
    """Locks or the server's own memory: one SQLSTATE, and not the same to do."""
    error = psycopg.errors.OutOfMemory(words)
    assert full == is_lock_table_full(error)
    assert full == any("max_locks_per_transaction" in step for step in query_steps(error))
