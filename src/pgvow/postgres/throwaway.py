"""A throw-away server: a private cluster on a Unix socket, gone however the run ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgvow.errors import PgvowError, ToolUnsuitable
from pgvow.postgres.binaries import Installation, install_steps
from pgvow.postgres.embedded import lend_vectors
from pgvow.postgres.failure_classes import lack_of_system
from pgvow.postgres.private_directories import (
    SOCKET_NAME,
    Scratch,
    clear_abandoned,
    reachable,
    server_account,
    translated,
)
from pgvow.signals import SignalsKeptBack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["ThrowawayServer", "clear_abandoned"]

_LAST_LINES = 20
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
_START_TIMEOUT = 60.0
_STOP_TIMEOUTS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 6.0), (signal.SIGKILL, 6.0))
_PAUSE = 0.01
# A collation that exists without any language pack, and the one that exists everywhere.
_LOCALES = {"UTF8": ("C.UTF-8", "C")}
_DEFAULT_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    # Nothing in here outlives the server, so nothing needs to outlive a crash.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "log_checkpoints": "off",
    "shared_buffers": "64MB",
    "log_min_error_statement": "panic",
    "lc_messages": "C",
    # In the directory, not in /dev/shm: removed with it, and a container's /dev/shm is 64 MB.
    "dynamic_shared_memory_type": "mmap",
}


class ThrowawayServer:
    """A PostgreSQL server that exists while its ``with`` block lasts.

    It listens on a Unix socket in a 0700 directory and nowhere else, wants a random password, and
    runs as an unprivileged user if we are root. On Linux it dies with the *thread* that
    entered the block, so enter it in one that lives long enough. Entering also clears away what
    owners left that were killed.

    ``settings`` overrides server settings. ``vectors`` is a tree of this major whose pgvector the
    server is to find. ``locale`` None means C.UTF-8 if the system has it.
    Raises ToolUnsuitable if the programs do not run, PgvowError if the server does not come
    up, with the tail of its log.
    """

    def __init__(
        self,
        bin: Path,  # noqa: A002 - the folder is called bin
        *,
        settings: Mapping[str, str] | None = None,
        vectors: Path | None = None,
        encoding: str = "UTF8",
        locale: str | None = None,
        superuser: str = "postgres",
    ) -> None:
        self.bin = bin
        self.user = superuser
        self.password = secrets.token_urlsafe(24)
        self._settings = {**_DEFAULT_SETTINGS, **(settings or {})}
        self._vectors = vectors
        self.port = int(self._settings["port"])
        self._encoding = encoding
        self._locales = (locale,) if locale else _LOCALES.get(encoding, ("C",))
        self._account = server_account()
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for name in ("initdb", "postgres"):
            Installation(self.bin, "", 0).program(name)
        clear_abandoned()
        with contextlib.ExitStack() as stack:
            self._base = stack.enter_context(Scratch(self._account)).path
            try:
                self._programs = reachable(self.bin, self._base, self._account)
                if self._vectors:
                    self._settings |= lend_vectors(self._vectors, self._base, self._account)
                self._initialise()
                self._process = self._started()
                stack.callback(self._kill)
                stack.callback(self.stop)
            except OSError as error:
                raise translated(error) from error
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def host(self) -> str:
        """The directory of the socket."""
        return str(self._base)

    @property
    def data_directory(self) -> Path:
        """The cluster's files."""
        return self._base / "data"

    @property
    def log_path(self) -> Path:
        """The server's log; gone with it."""
        return self._base / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process.pid

    def conninfo(self, dbname: str) -> str:
        """A connection string for psycopg; its settings win over any PG* variable."""
        return make_conninfo(
            "",
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=dbname,
            options="",
            channel_binding="prefer",
        )

    def environment(self, dbname: str) -> dict[str, str]:
        """PG* variables for the tools; lay them over an environment that has none of its own."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": dbname,
        }

    def create_database(
        self, name: str, *, encoding: str | None = None, locale: str | None = None
    ) -> None:
        """Make an empty database from template0, by default in the cluster's encoding and locale.

        Raises PgvowError with the server's words.
        """
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        if encoding:
            statement += sql.SQL(" ENCODING {}").format(sql.Literal(encoding))
        if locale:
            statement += sql.SQL(" LOCALE {}").format(sql.Literal(locale))
        self._maintain(statement)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected; one that is not there is no error."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._maintain(statement.format(sql.Identifier(name)))

    def make_pipe(self) -> Path:
        """Make a named pipe that the server can write into; gone with it at the latest."""
        path = self._base / f"rows-{secrets.token_hex(4)}"
        try:
            os.mkfifo(path, 0o600)
            self._account.give(path)
        except OSError as error:
            raise translated(error) from error
        return path

    def stop(self) -> None:
        """End the server: fast, then hard, then by force. Repeating it is harmless."""
        process = self._process
        if process is None:
            return
        for signum, seconds in _STOP_TIMEOUTS:
            if process.poll() is not None:
                return
            process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)

    def _kill(self) -> None:
        # If a second Ctrl-C cut stop() short.
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _maintain(self, statement: sql.Composed) -> None:
        try:
            with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
                connection.execute(statement)
        except psycopg.Error as error:
            raise PgvowError(
                str(error).strip(),
                facts={"Programs": str(self.bin), "Directory": str(self._base)},
            ) from error

    def _environment(self) -> dict[str, str]:
        # TZ spares initdb its search for the system's time zone; clients set their own.
        small = {"PATH": "/usr/bin:/bin", "HOME": str(self._base), "TZ": "UTC"}
        return Installation(self._programs, "", 0).environment(small)

    def _initialise(self) -> None:
        """Make the cluster, in the first locale that this system has."""
        for locale in self._locales:
            done = self._run_initdb(locale)
            if done.returncode == 0:
                return
            if "invalid locale" not in done.stderr:
                break
        raise self._unsuitable(done.stderr)

    def _run_initdb(self, locale: str) -> subprocess.CompletedProcess[str]:
        secret = self._base / "password"
        try:
            handle = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.password + "\n")
            self._account.give(secret)
            return self._run(
                "initdb",
                f"--pgdata={self.data_directory}",
                f"--username={self.user}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                f"--encoding={self._encoding}",
                f"--locale={locale}",
                "--no-sync",
                "--no-instructions",
            )
        finally:
            secret.unlink(missing_ok=True)

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._programs / name, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            check=False,
            **self._popen_arguments(),
        )

    def _unsuitable(self, complaint: str) -> PgvowError:
        # initdb says "not found" of a server that is there and cannot be loaded. The server
        # itself says which library it misses.
        probe = self._run("postgres", "--version")
        words = [text.strip() for text in (complaint, probe.stderr) if text.strip()]
        # And it shows the statement that sets the password, should that one fail.
        text = "\n".join(words).replace(self.password, "***")
        if lack := lack_of_system(text, facts={"Directory": str(self._base)}):
            return lack
        return ToolUnsuitable(
            text or "initdb failed without a word",
            facts={"Programs": str(self.bin)},
            steps=["Install the libraries named above", *install_steps(None)],
        )

    def _started(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("wb") as log:
            self._account.give(self.log_path)
            with SignalsKeptBack() as signals:
                process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self.data_directory, *self._options()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._popen_arguments(),
                )
        try:
            signals.deliver()
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _options(self) -> list[str]:
        # Quoted as a list of one: a comma in the path would make it two.
        folder = '"' + self.host.replace('"', '""') + '"'
        settings = {"unix_socket_directories": folder, **self._settings}
        return [f"--{name}={value}" for name, value in settings.items()]

    def _popen_arguments(self) -> dict[str, Any]:
        return {
            "env": self._environment(),
            "cwd": self._base,
            "umask": 0o077,
            # A Ctrl-C at the terminal goes to us alone; we end the server in order.
            "start_new_session": True,
            "preexec_fn": _quit_with(os.getpid()),
            **self._account.popen_arguments(),
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        door = self._base / SOCKET_NAME.format(port=self.port)
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise self._failed("the server ended while it started")
            if door.exists() and self._answers():
                return
            time.sleep(_PAUSE)
        raise self._failed(f"the server did not answer within {_START_TIMEOUT:.0f} seconds")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False  # "the database system is starting up", for one; the log has the rest
        return True

    def _failed(self, what: str) -> PgvowError:
        text = "\n".join([what, *_last_lines(self.log_path)])
        facts = {"Programs": str(self.bin), "Directory": str(self._base)}
        steps = ["Read the server's log above", "Try other programs: PGVOW_PG_BIN=/path/to/bin"]
        return lack_of_system(text, facts=facts) or PgvowError(text, facts=facts, steps=steps)


def _quit_with(parent: int) -> Callable[[], None]:
    """Make a preexec function: a child that the kernel sends SIGQUIT when we die.

    For a postmaster that means "immediately": it ends its backends and gives back its shared
    memory. SIGTERM would make it wait for its clients, SIGKILL leaves both behind. A change of
    user clears the request, so it comes after it: subprocess calls a preexec function last.
    """

    def ask() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
        if os.getppid() != parent:
            os._exit(1)  # we died before the kernel was asked

    return ask


def _last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, none if it cannot be read."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []
