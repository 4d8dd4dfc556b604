"""A URL may name several servers, and libpq choose among them: a snapshot is on one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from pgvow.postgres.connection import ConnectionTarget
from pgvow.settings import load
from tests.support.commands import Commands, clean_environment, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeDatabase, StartServer
    from tests.support.servers import TcpServer, TestServer


def test_every_session_uses_the_host_that_answered_first(
    pg18: TestServer, start_server: StartServer, tmp_path: Path
) -> None:
    """Every session of one run, pg_dump's included, is at the server that answered first."""
    other = start_server(18)
    with other.connect("postgres") as session:
        session.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(other.superuser), sql.Literal(pg18.password)
            )
        )
    hosts = f"{pg18.socket_dir},{other.socket_dir}"
    commands = Commands(
        tmp_path,
        {
            "DEV_DATABASE_URL": f"postgresql://{pg18.superuser}@/postgres?host={hosts}",
            "DEV_DB_PASSWORD": pg18.password,
            "PGVOW_PG_BIN": str(pg18.bin),
            "PGLOADBALANCEHOSTS": "random",
        },
    )
    codes = [commands.run("--space-factor", "0", "--no-globals").code for _ in range(5)]
    assert codes == [0] * 5


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_address_that_answered_is_kept_beside_the_name(
    host: str, tcp_server: TcpServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """The address that answered is kept beside the name, which TLS and .pgpass go by."""
    settings = settings_for(tcp_server, make_database(tcp_server))
    environ = {**clean_environment(), **settings, "DEV_DB_HOST": host}
    target = ConnectionTarget(load(env="dev", environ=environ, directory=tmp_path).connection)
    with target.open("test") as session:
        parameters = target.pinned(session).parameters("test")
    assert (parameters["host"], parameters["hostaddr"]) == (host, "127.0.0.1")
    assert parameters["port"] == str(tcp_server.port)
