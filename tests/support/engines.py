"""The parallel engine beside pg_dump, on the same database."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from pgvow.engine import DumpCommand
from pgvow.engine.parallel import Parallel
from pgvow.model import Compress
from pgvow.postgres.binaries import examine
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.snapshot import Deadline
from pgvow.progress import Silent
from pgvow.settings import Connection
from pgvow.spool.files import OpenedDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.engine import FilledArchive
    from pgvow.postgres.binaries import Installation
    from tests.support.servers import TestServer

_RESTRICT = re.compile(rb"^\\(?:un)?restrict .*\n", re.MULTILINE)
_WRITTEN = re.compile(rb"^; *Archive created at .*\n", re.MULTILINE)
_WAIT = 20.0


def target_of(server: TestServer, database: str) -> ConnectionTarget:
    """The way to a database of a server of the tests."""
    return ConnectionTarget(
        Connection(server.host, server.port, database, server.user, server.password), {}, os.environ
    )


def programs_of(server: TestServer) -> Installation:
    """The server's own programs."""
    found = examine(server.bin, os.environ)
    assert found is not None
    return found


def dump_in_parallel(
    server: TestServer, database: str, path: Path, *, compress: str = "gzip", jobs: int = 2
) -> FilledArchive:
    """Have the parallel engine fill a file."""
    target = target_of(server, database)
    command = DumpCommand(target, programs_of(server), Compress.parse(compress))
    with OpenedDirectory(path.parent) as directory, target.connect("test") as session:
        engine = Parallel(command, session, Silent(), workers=jobs)
        return engine.dump(directory.create(path.name), deadline=Deadline.after(_WAIT))


def dump_by_pg_dump(
    server: TestServer, database: str, path: Path, *, compress: str = "gzip"
) -> Path:
    """Have pg_dump fill a file, in the database's own encoding."""
    option = {"gzip": "6", "none": "0"}.get(compress, compress)
    command = [server.bin / "pg_dump", "-Fc", "-Z", option, "-f", path]
    subprocess.run(command, env=server.environment(database), check=True)
    return path


def script_of(server: TestServer, path: Path) -> bytes:
    """Return pg_restore's script of an archive, without the token that differs every time."""
    script = _pg_restore(server, "-f", "-", str(path))
    return _RESTRICT.sub(b"", script)


def list_of(server: TestServer, path: Path) -> bytes:
    """Return pg_restore's list of an archive, without its timestamp."""
    return _WRITTEN.sub(b"", _pg_restore(server, "--list", str(path)))


def _pg_restore(server: TestServer, *arguments: str) -> bytes:
    command = [server.bin / "pg_restore", *arguments]
    env = server.environment("postgres")
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout
