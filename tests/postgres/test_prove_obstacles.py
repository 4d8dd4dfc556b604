"""What a server or its machine lacks is no verdict: exit 13, and nothing is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.store import proof_path
from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer


@pytest.mark.majors(15, 18)
def test_a_long_statement_is_told_with_its_cause(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A table of 300 columns whose type was left out: what the server said of it decides."""
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
