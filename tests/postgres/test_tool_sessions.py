"""The sessions of PostgreSQL's tools have no time limits, whatever a role or a database sets."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pgvow.postgres.binaries import Installation
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.pg_restore import ProofTools, RestoreTools
from pgvow.postgres.reachable_server import DsnServer
from pgvow.settings import load
from tests.support.commands import clean_environment, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.postgres.pg_restore import ServerTools
    from tests.support.servers import TestServer

_LIMITS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
)


def _limited(server: TestServer, database: str) -> None:
    for limit in _LIMITS:
        server.psql(database, f"ALTER DATABASE {database} SET {limit} = '7s'")


def _shown(tools: ServerTools, server: TestServer, database: str, setting: str) -> str:
    connection, environment = tools.reach(database)
    return subprocess.run(
        [server.bin / "psql", "-XqAt", "-d", connection, "-c", f"SHOW {setting}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_pg_restore_of_a_proof_has_no_time_limits(server: TestServer, database: str) -> None:
    """No limit applies to pg_restore in a proof, and the user's own PGOPTIONS stay."""
    _limited(server, database)
    installation = Installation(server.bin, "", server.major)
    place = DsnServer(server.conninfo("postgres").replace("options=''", ""))
    environ = {**clean_environment(), "PGOPTIONS": "-c work_mem=7MB"}
    tools = ProofTools(installation, place, environ)
    assert ["0"] * len(_LIMITS) == [_shown(tools, server, database, one) for one in _LIMITS]
    assert "7MB" == _shown(tools, server, database, "work_mem")


def test_pg_restore_of_a_restore_has_no_time_limits(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """No limit applies to pg_restore in a restore, and the user's own PGOPTIONS stay."""
    _limited(server, database)
    environ = {
        **clean_environment(),
        **settings_for(server, database),
        "PGOPTIONS": "-c work_mem=7MB",
    }
    settings = load(env="dev", environ=environ, directory=tmp_path)
    target = ConnectionTarget(settings.connection, settings.libpq_variables, environ)
    tools = RestoreTools(Installation(server.bin, "", server.major), target)
    assert ["0"] * len(_LIMITS) == [_shown(tools, server, database, one) for one in _LIMITS]
    assert "7MB" == _shown(tools, server, database, "work_mem")
