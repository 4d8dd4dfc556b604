"""Decisions of a restore without a server: the tool, the names, the globals, the owners."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgvow.cli.arguments import UsageProblem
from pgvow.cli.commands.restore import with_tables
from pgvow.cli.parser import parse_pgvow
from pgvow.errors import RestoreFailed, ToolUnsuitable
from pgvow.operations.core.choose_pg_restore import choose_pg_restore, major_of
from pgvow.operations.restore.swap import SwapNames
from pgvow.operations.restore.temporary_database import ExistingNames, wanted
from pgvow.postgres.binaries import Installation
from pgvow.postgres.databases import dropdb, psql, shortened
from pgvow.postgres.statements import written

_TABLES = ("--table", "a", "b", "--table", "c", "d")
_GLOBALS = """\
--
-- Roles
--
\\restrict abc
SET default_transaction_read_only = off;

CREATE ROLE here;
ALTER ROLE here WITH NOSUPERUSER PASSWORD 'x';
CREATE ROLE "The New";
ALTER ROLE "The New" WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b';
COMMENT ON ROLE "The New" IS 'a
\\! touch nothing
b';
ALTER ROLE here SET search_path TO 'a', 'b';
GRANT here TO "The New" WITH INHERIT TRUE GRANTED BY gone;
GRANT here TO also WITH INHERIT TRUE GRANTED BY here;
GRANT SET ON PARAMETER work_mem TO "The New";
GRANT SET ON PARAMETER work_mem TO here;
CREATE TABLESPACE fast OWNER here LOCATION '/fast';
CREATE TABLESPACE slow OWNER here LOCATION '/slow';
GRANT ALL ON TABLESPACE slow TO here;
\\unrestrict abc
"""


def installed(*majors: int) -> list[Installation]:
    """Installations of these majors."""
    return [Installation(Path(f"/pg/{one}"), f"{one}.1", one) for one in majors]


@pytest.mark.parametrize(
    ("majors", "server", "made_by", "expected"),
    [
        ((15, 16, 17, 18), 16, 15, 16),
        ((15, 18), 16, 15, 15),
        ((18,), 17, 16, 18),
        ((16,), 15, 15, 16),
        ((15, 17), 18, 15, 17),
    ],
)
def test_pg_restore_of_the_servers_major_is_preferred(
    majors: tuple[int, ...], server: int, made_by: int, expected: int
) -> None:
    """The server's own major, else the nearest that it understands and that reads the archive."""
    chosen = choose_pg_restore(installed(*majors), server_major=server, made_by=made_by)
    assert expected == chosen.major


@pytest.mark.parametrize(
    ("majors", "server", "made_by"), [((18,), 16, 15), ((15,), 18, 16), ((), 15, 15)]
)
def test_an_unsuitable_pg_restore_is_not_chosen(
    majors: tuple[int, ...], server: int, made_by: int
) -> None:
    """One that sets transaction_timeout for an old server, or cannot read the archive, is none."""
    with pytest.raises(ToolUnsuitable):
        choose_pg_restore(installed(*majors), server_major=server, made_by=made_by)


@pytest.mark.parametrize("name", ["shop", "my shop", "it's", "-x", "a=b", "postgresql://x"])
def test_printed_commands_quote_the_database(name: str) -> None:
    """Whatever it is called: for the shell, for the tool's options, and for libpq."""
    words = shlex.split(dropdb(name))
    assert ["dropdb", name] == [word for word in words if word != "--"]
    assert name.startswith("-") == ("--" in words)
    _, option, connection = shlex.split(psql(name))
    assert ("-d", {"dbname": name}) == (option, conninfo_to_dict(connection))


def test_an_older_server_is_refused() -> None:
    """An archive of a newer pg_dump may mean nothing to an older server."""
    with pytest.raises(RestoreFailed, match="pg_dump 18"):
        choose_pg_restore(installed(18), server_major=17, made_by=18)


@pytest.mark.parametrize(("version", "major"), [("15.18", 15), ("18beta1", 18), ("", 0)])
def test_major_is_parsed_from_the_version(version: str, major: int) -> None:
    """The major is the first number of the version."""
    assert major == major_of(version)


def test_temporary_names_fit_63_bytes() -> None:
    """No made-up name is longer than PostgreSQL allows, nor cut within a character."""
    names = SwapNames.at("ü" * 31, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    for name in (names.temporary, names.before, names.differs):
        assert len(name.encode()) <= 63
        assert name.endswith("_20260102T030405Z")
    assert names.final == "ü" * 31
    other = SwapNames.at("ü" * 31 + "x", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert names.before == other.before
    assert names.temporary != other.temporary  # each clears its own alone
    assert shortened("shop", "_x") == "shop_x"


def test_globals_create_missing_roles_and_tablespaces_only() -> None:
    """Existing roles are left alone; missing grantors and psql's commands are left out."""
    known = ExistingNames(frozenset({"here", "also"}), frozenset({"pg_default", "slow"}))
    assert [
        'CREATE ROLE "The New"',
        "ALTER ROLE \"The New\" WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b'",
        "COMMENT ON ROLE \"The New\" IS 'a\n\\! touch nothing\nb'",
        'GRANT here TO "The New" WITH INHERIT TRUE ',
        'GRANT SET ON PARAMETER work_mem TO "The New"',
        "CREATE TABLESPACE fast OWNER here LOCATION '/fast'",
    ] == [written(one).decode() for one in wanted(_GLOBALS, known)]


@pytest.mark.parametrize(
    ("typed", "file", "tables"),
    [
        ("--table a --table b latest", "latest", ["a", "b"]),
        ("--table a latest --table b", "latest", ["a", "b"]),
        ("latest --table a --table b", "latest", ["a", "b"]),
        ("latest --table a b", "latest", ["a", "b"]),
        ("--table a b latest --to x", "latest", ["a", "b"]),
        ("--table a --to x latest", "latest", ["a"]),
        ("--table a", None, ["a"]),
        ("", None, []),
    ],
)
def test_a_backup_may_stand_behind_the_tables(
    typed: str, file: str | None, tables: list[str]
) -> None:
    """--table is repeated, or has several; the word left over at the end names the backup."""
    arguments = with_tables(parse_pgvow(["restore", "--to", "x", *typed.split()]))
    assert (file, tables) == (arguments.file, arguments.table)


def test_a_backup_among_several_lists_of_tables_has_to_stand_first() -> None:
    """One of two words may be it: 2, and how to write it."""
    arguments = parse_pgvow(["restore", "--to", "x", *_TABLES])
    with pytest.raises(UsageProblem, match="which word behind --table names the backup"):
        with_tables(arguments)
