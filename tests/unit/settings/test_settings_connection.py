"""The table of variables, row by row, and everything that can be wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConfigurationError
from pgvow.settings import load, load_configuration, load_pg_bin
from pgvow.settings.variables import LIBPQ

if TYPE_CHECKING:
    from tests.support.settings_files import SettingsFolder

DEV = "DEV_DB_NAME=d\n"
PROD = "DB_NAME=p\nDB_USER=u\nDB_HOST=db.example\n"

TABLE = [
    # setting, environment, variables set beside the required ones, expected
    ("host", "dev", {"DEV_DB_HOST": "a", "DB_HOST": "b"}, "a"),
    ("host", "dev", {"DB_HOST": "b"}, "b"),
    ("host", "dev", {}, "127.0.0.1"),
    ("host", "prod", {"DEV_DB_HOST": "a", "DB_HOST": "b"}, "b"),
    ("host", "prod", {"DEV_DB_HOST": "a"}, "127.0.0.1"),
    ("port", "dev", {"DEV_DB_PORT": "1", "DB_PORT": "65535"}, 1),
    ("port", "dev", {"DB_PORT": "65535"}, 65535),
    ("port", "dev", {}, 5432),
    ("port", "prod", {"DEV_DB_PORT": "1", "DB_PORT": "65535"}, 65535),
    ("port", "prod", {"DEV_DB_PORT": "1"}, 5432),
    ("dbname", "dev", {}, "dev name"),
    ("dbname", "prod", {}, "prod name"),
    ("user", "dev", {"DEV_DB_USER": "a", "DB_USER": "b"}, "a"),
    ("user", "dev", {"DB_USER": "b"}, "b"),
    ("user", "dev", {"DB_USER": None}, None),
    ("user", "prod", {"DEV_DB_USER": "a", "DB_USER": "b"}, "b"),
    ("password", "dev", {"DEV_DB_PASSWORD": "a", "DB_PASSWORD": "b"}, "a"),
    ("password", "dev", {"DB_PASSWORD": "b"}, "b"),
    ("password", "dev", {"DEV_DB_PASSWORD": "", "DB_PASSWORD": "b"}, "b"),
    ("password", "dev", {"DEV_DB_PASSWORD": "", "DB_PASSWORD": ""}, None),
    ("password", "dev", {}, None),
    ("password", "prod", {"DEV_DB_PASSWORD": "a", "DB_PASSWORD": "b"}, "b"),
    ("password", "prod", {"DEV_DB_PASSWORD": "a"}, None),
    ("password", "prod", {"DB_PASSWORD": ""}, None),
]


@pytest.mark.parametrize(("setting", "env", "variables", "expected"), TABLE)
def test_each_setting_comes_from_its_variables_in_order(
    folder: SettingsFolder,
    setting: str,
    env: str,
    variables: dict[str, str | None],
    expected: object,
) -> None:
    """Each setting comes from the variables, and in the order, that the contract names."""
    given = {"DEV_DB_NAME": "dev name", "DB_NAME": "prod name", "DB_USER": "required"} | variables
    folder.exported(**{name: value for name, value in given.items() if value is not None})

    connection = folder.load(env).connection

    assert expected == getattr(connection, setting)
    assert env == connection.environment


@pytest.mark.parametrize(
    ("env", "text", "missing"),
    [
        ("dev", "DB_NAME=p\nDB_USER=u\n", ["DEV_DB_NAME"]),
        ("prod", "DEV_DB_NAME=d\nDEV_DB_USER=u\n", ["DB_NAME", "DB_USER"]),
        ("prod", "DB_NAME=p\n", ["DB_USER"]),
        ("prod", "DB_USER=u\n", ["DB_NAME"]),
    ],
)
def test_a_missing_required_variable_is_an_error(
    folder: SettingsFolder, env: str, text: str, missing: list[str]
) -> None:
    """The names of both, and production's user, are required; an example shows how."""
    problems = folder.local(text).refused(env).problems

    assert missing == [problem.variable for problem in problems]
    for problem in problems:
        assert "is not set" in problem.complaint
        assert problem.example is not None
        assert problem.example.startswith(f"{problem.variable}=")


def test_an_empty_password_in_a_nearer_source_unsets_it(folder: SettingsFolder) -> None:
    """Precedence is decided first: an empty password exported hides the file's."""
    folder.local(PROD + "DB_PASSWORD=hunter2\n").exported(DB_PASSWORD="")

    assert folder.load().connection.password is None


@pytest.mark.parametrize(
    "port", ["0", "65536", "-1", "+1", "1.0", "5432x", "0x10", "1_000", "٣", "' 5432'", "9" * 5000]
)
def test_a_port_is_a_number(folder: SettingsFolder, port: str) -> None:
    """Anything but 1 to 65535 in decimal names variable and file, and shows an example."""
    (problem,) = folder.local(f"{DEV}DEV_DB_PORT={port}\n").refused().problems

    assert ("DEV_DB_PORT", ".env.local line 2") == (problem.variable, problem.source)
    assert "is not a port" in problem.complaint
    assert "DEV_DB_PORT=5432" == problem.example
    assert len(problem.complaint) < 200


@pytest.mark.parametrize("blank", ["", "' '", '"\\t\\n"'])
@pytest.mark.parametrize(
    ("variable", "env"),
    [
        *((name, "dev") for name in ("DEV_DB_NAME", "DEV_DB_HOST", "DEV_DB_PORT", "DEV_DB_USER")),
        *((name, "dev") for name in ("DB_HOST", "DB_PORT", "DB_USER")),
        *((name, "prod") for name in ("DB_NAME", "DB_HOST", "DB_PORT", "DB_USER")),
    ],
)
def test_an_empty_value_is_a_problem(
    folder: SettingsFolder, variable: str, env: str, blank: str
) -> None:
    """An empty name, host, port or user, or one of white space, is a problem once it counts.

    It is not passed over for the next variable or a default.
    """
    required = {"DEV_DB_NAME": "d", "DB_NAME": "p"}
    required |= {"DB_USER": "u"} if env == "prod" else {}
    lines = [f"{name}={value}" for name, value in required.items() if name != variable]
    folder.shared("\n".join([f"{variable}={blank}", *lines, ""]))

    expected = "is only white space" if blank else "is empty"
    assert [f"{variable} (.env line 1): {expected}"] == folder.complaints(env)


@pytest.mark.parametrize("variable", ["DEV_DB_NAME", "DEV_DB_USER"])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("x" * 64, "has 64 bytes; PostgreSQL's names have 63 at most"),
        ("ä" * 32, "has 64 bytes; PostgreSQL's names have 63 at most"),
        ("a\0b", "contains a NUL character"),
        ("a\udcff", "is not UTF-8"),
        ("postgresql://u:hunter2@h/d", "is a URL, where a name belongs"),
    ],
)
def test_an_impossible_database_name_is_refused_unquoted(
    folder: SettingsFolder, variable: str, value: str, complaint: str
) -> None:
    """An impossible name is a problem that does not quote it."""
    folder.exported(**({"DEV_DB_NAME": "d"} | {variable: value}))

    assert [f"{variable} (the environment): {complaint}"] == folder.complaints()


@pytest.mark.parametrize("name", ["x" * 63, "ä" * 31, "my db", "a=b", "a/b", "Ünï.cödé", '"', "-x"])
def test_unusual_names_are_kept_unchanged(folder: SettingsFolder, name: str) -> None:
    """Whatever PostgreSQL takes for a name is one, unchanged."""
    assert name == folder.exported(DEV_DB_NAME=name).load().connection.dbname


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ("https://db.example", "is a URL, where a host's name belongs"),
        ("a\0", "contains a NUL character"),
        ("\udc80", "is not UTF-8"),
    ],
)
def test_an_impossible_host_is_refused_unquoted(
    folder: SettingsFolder, host: str, complaint: str
) -> None:
    """An impossible host is a problem that does not quote it."""
    folder.exported(DEV_DB_NAME="d", DEV_DB_HOST=host)

    assert [f"DEV_DB_HOST (the environment): {complaint}"] == folder.complaints()


@pytest.mark.parametrize("password", ["a\0hunter2", "hunter2\udcff"])
def test_an_impossible_password_is_refused_unquoted(folder: SettingsFolder, password: str) -> None:
    """Such a password is a problem, which does not show it."""
    error = folder.exported(DEV_DB_NAME="d", DEV_DB_PASSWORD=password).refused()

    assert ["DEV_DB_PASSWORD"] == [problem.variable for problem in error.problems]
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("host", ["/var/run/postgresql", "::1", "a,b", "db.example", "ümläut.de"])
def test_hosts_are_passed_to_libpq_unchanged(folder: SettingsFolder, host: str) -> None:
    """Addresses, names, several of them, and socket directories are libpq's business."""
    connection = folder.exported(DEV_DB_NAME="d", DEV_DB_HOST=host).load().connection

    assert {"host": host, "port": "5432", "dbname": "d"} == connection.parameters()


def test_all_problems_are_reported_at_once(folder: SettingsFolder) -> None:
    """One run reports everything: files, environment, connection, tools, libpq."""
    folder.local("DB_PORT=abc\nBROKEN='\nPGOPTIONS\n")
    folder.shared(f"DB_HOST=\nDB_NAME={'x' * 70}\nPGAPPNAME='a\0b'\nPGVOW_PG_BIN=\n")

    error = folder.refused("prod")

    assert [
        (".env.local line 2", None),
        ("PGOPTIONS", ".env.local line 3"),
        ("DB_HOST", ".env line 1"),
        ("DB_PORT", ".env.local line 1"),
        ("DB_NAME", ".env line 2"),
        ("DB_USER", None),
        ("PGVOW_PG_BIN", ".env line 4"),
        ("PGAPPNAME", ".env line 3"),
    ] == [(problem.variable, problem.source) for problem in error.problems]
    assert [str(problem) for problem in error.problems] == error.cause.splitlines()


def test_an_unknown_environment_hides_no_other_problem(folder: SettingsFolder) -> None:
    """An environment that is not known hides no other problem."""
    folder.local("ENV_MODE=stage\nDB_NAME\nPGVOW_PG_BIN=~/bin\n")

    assert ["DB_NAME", "ENV_MODE", "PGVOW_PG_BIN"] == [
        problem.variable for problem in folder.refused().problems
    ]


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "::1", None])
def test_production_on_this_machine_earns_a_warning(
    folder: SettingsFolder, host: str | None
) -> None:
    """A warning that names the variable, and not a failure; the default counts as well."""
    folder.local("DB_NAME=p\nDB_USER=u\n" + (f"DB_HOST={host}\n" if host else ""))

    (warning,) = folder.load().warnings

    assert "Production is on this machine" in warning
    assert "DB_HOST" in warning


def test_production_on_this_machine_is_confirmed_once(folder: SettingsFolder) -> None:
    """The key that the warning names ends it, for prod, and any other warning stays."""
    folder.local("DB_NAME=p\nDB_USER=u\nPGHOSTADDR=127.0.0.1\n")
    warned = folder.load().warnings
    assert "[environments.prod] on_this_machine = true" in warned[0]
    (folder.folder / "pgvow.toml").write_text("[environments.prod]\non_this_machine = true\n")
    read = load_configuration(path=None, environ={}, directory=folder.folder).configuration
    confirmed = load(environ={}, directory=folder.folder, environments=read.environments)
    assert warned[1:] == confirmed.warnings


@pytest.mark.parametrize(
    ("env", "host"),
    [
        ("prod", "db.example"),
        ("prod", "/var/run/postgresql"),
        ("prod", "127.0.0.1.example"),
        ("dev", "localhost"),
    ],
)
def test_development_and_remote_production_earn_no_warning(
    folder: SettingsFolder, env: str, host: str
) -> None:
    """Neither development nor production on another host is warned of."""
    folder.exported(DEV_DB_NAME="d", DB_NAME="p", DB_USER="u", DB_HOST=host)

    assert () == folder.load(env).warnings


def test_an_unset_reference_earns_a_warning(folder: SettingsFolder) -> None:
    """A ``${…}`` that python-dotenv replaces by nothing is said, for it is seldom meant."""
    folder.local("DEV_DB_NAME=${STAGE}db\nDEV_DB_PASSWORD='${x}'\nDB_PASSWORD='a${hunter}2'\n")

    warnings = folder.load().warnings

    assert ["DEV_DB_NAME", "DB_PASSWORD", "DEV_DB_PASSWORD"] == [
        warning.partition(" ")[0] for warning in warnings
    ]
    assert "hunter" not in "".join(warnings)


def test_an_unset_reference_explains_an_empty_value(folder: SettingsFolder) -> None:
    """If the value is empty for that reason, the problem says so."""
    (complaint,) = folder.local("DEV_DB_NAME=${STAGE}\n").complaints()

    assert complaint.endswith("is empty, for its ${…} refers to a variable that is not set")


@pytest.mark.parametrize("source", ["exported", "file"])
def test_pghostaddr_earns_a_warning(folder: SettingsFolder, source: str) -> None:
    """PGHOSTADDR wins over any host in libpq: a backup of another server is not left unsaid."""
    folder.exported(DEV_DB_NAME="d", DEV_DB_HOST="db.example")
    if source == "exported":
        folder.exported(PGHOSTADDR="192.0.2.1")
    else:
        folder.shared("PGHOSTADDR=192.0.2.1\n")

    (warning,) = folder.load().warnings

    assert "PGHOSTADDR" in warning
    assert "db.example" in warning


def test_libpqs_variables_of_the_files_are_passed_on(folder: SettingsFolder) -> None:
    """Those that libpq cannot see itself, key by key; exported ones it sees already."""
    folder.local("DEV_DB_NAME=d\nPGSSLMODE=verify-full\nPGCONNECT_TIMEOUT=\nPGDATA=/x\n")
    folder.shared("PGSSLMODE=disable\nPGPASSFILE=/p\nPGCONNECT_TIMEOUT=5\nPGAPPNAME=x\n")
    folder.exported(PGAPPNAME="exported", PGOPTIONS="-c x=y")

    assert {"PGSSLMODE": "verify-full", "PGPASSFILE": "/p"} == folder.load().libpq_variables


def test_libpqs_variables_are_known() -> None:
    """Every variable that the libpq in use reads is in our list."""
    from psycopg import pq  # noqa: PLC0415  # as the package itself: loaded late

    read = {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}

    assert set() == read - LIBPQ


def test_pgvow_pg_bin_comes_from_every_source(folder: SettingsFolder) -> None:
    """PGVOW_PG_BIN comes from the same sources as everything else."""
    assert folder.local(DEV).load().pg_bin is None

    folder.shared("PGVOW_PG_BIN='/opt/pg sql/bin'\n")

    assert Path("/opt/pg sql/bin") == folder.load().pg_bin


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("~/bin", "begins with ~, which no shell expands here: write the whole path"),
        ("/a\0b", "contains a NUL character"),
    ],
)
def test_an_invalid_pgvow_pg_bin_is_a_problem(
    folder: SettingsFolder, value: str, complaint: str
) -> None:
    """An impossible folder is a problem."""
    folder.exported(DEV_DB_NAME="d", PGVOW_PG_BIN=value)

    assert [f"PGVOW_PG_BIN (the environment): {complaint}"] == folder.complaints()


def test_pgvow_pg_bin_is_read_without_a_database(folder: SettingsFolder) -> None:
    """To verify a file no database needs to be set, nor the rest of the files to be right."""
    folder.shared("DB_PORT=x\nBROKEN='\nPGVOW_PG_BIN=/opt/bin\n")

    assert Path("/opt/bin") == load_pg_bin(environ={}, directory=folder.folder)
    assert load_pg_bin(environ={}, directory=folder.folder / "elsewhere") is None


def test_an_invalid_pgvow_pg_bin_is_reported_without_a_database(folder: SettingsFolder) -> None:
    """An error of that one variable is reported as ever."""
    folder.shared("PGVOW_PG_BIN=~/bin\n")

    with pytest.raises(ConfigurationError, match="PGVOW_PG_BIN"):
        load_pg_bin(environ={}, directory=folder.folder)


def test_settings_give_facts_and_origins_for_errors(folder: SettingsFolder) -> None:
    """An error can say what was tried, and which variable to look at."""
    folder.local("DEV_DB_NAME=d\nDEV_DB_PASSWORD=hunter2\n").exported(DEV_DB_USER="me")

    connection = folder.load().connection

    assert {
        "Host": "127.0.0.1",
        "Port": "5432",
        "Database": "d",
        "User": "me",
    } == connection.facts()
    assert {
        "host": "DEV_DB_HOST (not set: 127.0.0.1)",
        "port": "DEV_DB_PORT (not set: 5432)",
        "dbname": "DEV_DB_NAME in .env.local line 1",
        "user": "DEV_DB_USER in the environment",
        "password": "DEV_DB_PASSWORD in .env.local line 2",
    } == {setting: connection.origin(setting) for setting in connection.origins}
    assert "DEV_DB_NAME in .env.local line 1" == connection.origin("dbname")
    assert "sslmode" == connection.origin("sslmode")


def test_a_missing_user_is_left_to_libpq(folder: SettingsFolder) -> None:
    """Development without a user leaves it to libpq, and the facts say so."""
    connection = folder.local(DEV).load().connection

    assert "user" not in connection.parameters()
    assert "libpq's default" == connection.facts()["User"]


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_parameters_hold_no_password(folder: SettingsFolder, env: str) -> None:
    """The parameters of a tool's command line have the password in no form."""
    folder.local(PROD + DEV + "DB_PASSWORD=hunter2\n")

    connection = folder.load(env).connection

    assert "hunter2" == connection.password
    assert "hunter2" not in str(connection.parameters())
