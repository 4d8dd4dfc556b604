"""A database of hostile names, through every command: nothing runs, no terminal obeys a name."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.support.commands import Commands, settings_for
from tests.support.hostile import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.commands import Done
    from tests.support.servers import TestServer

_COLUMN = "a\x1b[2J\n\\! touch pgvow-was-here\n\u202e"


def _fill(server: TestServer, database: str) -> None:
    with server.connect(database) as session:
        for name in catalog.NAMES.values():
            quoted = sql.Identifier(name)
            session.execute(sql.SQL("CREATE SCHEMA {}").format(quoted))
            session.execute(
                sql.SQL("CREATE TYPE {}.{} AS ENUM ({})").format(
                    quoted, quoted, sql.Literal(name[:9])
                )
            )
            session.execute(
                sql.SQL("CREATE TABLE {}.{} AS SELECT {}::text AS {}").format(
                    quoted, sql.Identifier(f"t{name}"), sql.Literal(name), sql.Identifier(_COLUMN)
                )
            )
            session.execute(
                sql.SQL("COMMENT ON TABLE {}.{} IS {}").format(
                    quoted, sql.Identifier(f"t{name}"), sql.Literal(name)
                )
            )


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Iterator[Commands]:
    """A shell beside a hostile database; afterwards nothing has run in it."""
    _fill(server, database)
    yield Commands(tmp_path, settings_for(server, database))
    assert [] == list(tmp_path.rglob(catalog.CANARY))


def _checked(done: Done) -> Done:
    assert [] == re.findall(catalog.OBEYED, done.out + done.err)
    assert "Traceback" not in done.err
    return done


@pytest.mark.parametrize(("server", "jobs"), [(15, "2"), (18, "1")], indirect=["server"])
def test_every_command_shows_hostile_names_harmlessly(commands: Commands, jobs: str) -> None:
    """Backup, list, show, verify, diff, extract, status, history: plain text, and true names."""
    kept = (commands.cwd / "pgvow.log", commands.cwd / "pgvow.prom")
    files = ("--log-file", kept[0], "--metrics-file", kept[1])
    made = _checked(commands.pgvow("backup", "--jobs", jobs, "--space-factor", "0", *files))
    assert 0 == made.code, made.err
    assert [] == [one for file in kept for one in re.findall(catalog.OBEYED, file.read_text())]
    (dump,) = (commands.cwd / "db/backups").glob("*.dump")
    for words in (
        ("list",),
        ("show", dump),
        ("verify", "--deep", dump),
        ("diff", dump, dump),
        ("history",),
    ):
        done = _checked(commands.pgvow(*words))
        assert 0 == done.code, (words, done.err)
        _checked(commands.pgvow(*words, "--json"))
    for words in (
        ("status",),
        ("status", "--nagios"),
        ("doctor",),
        ("extract", dump, "no\x1bsuch"),
    ):
        _checked(commands.pgvow(*words))
    (metadata,) = (commands.cwd / "db/backups").glob("*.metadata.json")
    tables = json.loads(metadata.read_text())["tables"]
    assert {f"t{name}" for name in catalog.NAMES.values()} == {one["name"] for one in tables}


@pytest.mark.majors(18)
def test_prove_and_restore_reproduce_hostile_names_harmlessly(
    commands: Commands, server: TestServer, database: str
) -> None:
    """Objects of such a database come back, are compared, and stay as harmless."""
    made = _checked(commands.pgvow("backup", "--jobs", "2", "--space-factor", "0"))
    assert 0 == made.code, made.err
    (dump,) = (commands.cwd / "db/backups").glob("*.dump")
    proven = _checked(commands.pgvow("prove", dump))
    assert 0 == proven.code, proven.err
    target = f"{database}_back"
    try:
        restored = _checked(commands.pgvow("restore", dump, "--to", target))
        assert 0 == restored.code, restored.err
    finally:
        server.drop_database(target)
