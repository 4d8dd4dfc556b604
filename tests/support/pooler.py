"""A real PgBouncer in front of a test server."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from pgvow.postgres.private_directories import server_account
from pgvow.postgres.process import die_with_parent
from tests.support.commands import Commands, settings_for
from tests.support.programs import system_program
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import TestServer

_HOST = "127.0.0.1"


class Pooler:
    """A running PgBouncer: connect to it as if it were the server."""

    host = _HOST

    def __init__(self, server: TestServer, port: int) -> None:
        self.server = server
        self.port = port

    def connect(self, database: str) -> psycopg.Connection:
        """Connect in autocommit, leaving nothing behind in sessions that are shared."""
        conninfo = make_conninfo(
            "",
            host=self.host,
            port=self.port,
            user=self.server.user,
            password=self.server.password,
            dbname=database,
            # PgBouncer hands on the name of whoever gives one, and leaves the last one standing.
            application_name="another client",
        )
        return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)

    def answers(self) -> bool:
        """Whether it lets us through to the server."""
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def commands_through(pooler: Pooler, database: str, cwd: Path) -> Commands:
    """A user's shell that points at the pooler."""
    settings = settings_for(pooler.server, database)
    return Commands(cwd, {**settings, "DEV_DB_HOST": pooler.host, "DEV_DB_PORT": str(pooler.port)})


@contextlib.contextmanager
def pgbouncer(server: TestServer, **settings: str | int) -> Iterator[Pooler]:
    """Run a PgBouncer of its own, as the user the server runs as; it refuses to be root."""
    account = server_account()
    executable = system_program("pgbouncer", package="pgbouncer")
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name, socket.socket() as probe:
        probe.bind((_HOST, 0))
        pooler = Pooler(server, probe.getsockname()[1])
        probe.close()
        folder = Path(name)
        config = _configure(folder, pooler, settings)
        for path in (folder, *folder.iterdir()):
            account.give(path)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [executable, config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - see there
                **account.popen_arguments(),
            )
        try:
            wait_until(lambda: process.poll() is not None or pooler.answers())
            assert process.poll() is None, (folder / "log").read_text()
            yield pooler
        finally:
            process.kill()
            process.wait()


def _configure(folder: Path, pooler: Pooler, settings: dict[str, str | int]) -> Path:
    server = pooler.server
    users = folder / "users"
    users.write_text(f'"{server.user}" "{server.password}"\n')
    lines = {
        "listen_addr": pooler.host,
        "listen_port": pooler.port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": users,
        **settings,
    }
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\n"
        + "".join(f"{key} = {value}\n" for key, value in lines.items())
    )
    for path in (users, config):
        path.chmod(0o600)
    return config
