"""Fixtures for all tests: real servers, and fresh databases on them."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from tests.support.disks import mounted
from tests.support.servers import MAJORS, Servers, ServerUnavailable, TcpServer, TestServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


# How long an example takes tells of the machine, and of what else runs on it.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# A shell without job control has what it starts in the background ignore Ctrl-C, and so would every
# program that is started here: those that are to heed it would run on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def empty_working_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run each test in an empty directory: the one that pytest was started in may hold backups."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test's password be masked in the texts of another."""
    monkeypatch.setattr("pgvow.quoted_texts._spelled", set())


def _names(argnames: str | Sequence[str]) -> list[str]:
    """Split the names of a ``parametrize`` as pytest does."""
    if isinstance(argnames, str):
        return [name.strip() for name in argnames.split(",")]
    return list(argnames)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that ask for ``server`` on every major, or on those that their marker names.

    A test that names its majors by ``parametrize`` has said so itself.
    """
    marks = metafunc.definition.iter_markers("parametrize")
    named = any("server" in _names(mark.args[0]) for mark in marks)
    if "server" in metafunc.fixturenames and not named:
        marker = metafunc.definition.get_closest_marker("majors")
        numbers = marker.args if marker else MAJORS
        ids = [f"pg{number}" for number in numbers]
        metafunc.parametrize("server", numbers, ids=ids, indirect=True, scope="session")


@contextlib.contextmanager
def or_skip() -> Iterator[None]:
    """Skip if a server does not run on this machine; under CI that is a failure."""
    try:
        yield
    except ServerUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Servers of this worker, each started when first asked for."""
    with Servers() as pool:
        yield pool


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, servers: Servers) -> TestServer:
    """Give the server of each major in turn."""
    with or_skip():
        return servers.get(request.param)


@pytest.fixture(scope="session")
def pg15(servers: Servers) -> TestServer:
    """Give the oldest server."""
    with or_skip():
        return servers.get(15)


@pytest.fixture(scope="session")
def pg18(servers: Servers) -> TestServer:
    """Give the newest server."""
    with or_skip():
        return servers.get(18)


@pytest.fixture(scope="session")
def tcp_server() -> Iterator[TcpServer]:
    """Give a server, of the newest major, that listens on 127.0.0.1 as well."""
    with contextlib.ExitStack() as stack:
        with or_skip():
            server = stack.enter_context(TcpServer.on_free_port(max(MAJORS)))
        yield server


class StartServer(Protocol):
    """Start a server for one test alone."""

    def __call__(self, major: int, **settings: str) -> TestServer:
        """Start it with settings of its own."""


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start servers for this test alone, for tests that break or set up things others would see."""
    with contextlib.ExitStack() as stack:

        def start(major: int, **settings: str) -> TestServer:
            with or_skip():
                return stack.enter_context(TestServer(major, settings))

        yield start


class MakeDatabase(Protocol):
    """Make a database that lasts as long as the test."""

    def __call__(
        self,
        server: TestServer,
        name: str | None = None,
        *,
        encoding: str | None = None,
        locale: str | None = None,
    ) -> str:
        """Return the name, a unique one if none is given."""


@pytest.fixture
def make_database(start_server: StartServer) -> Iterator[MakeDatabase]:
    """Make databases on any server; they are dropped after the test, even under sessions.

    Asks for ``start_server`` so as to be torn down before it: a server outlives its databases.
    """
    with contextlib.ExitStack() as stack:

        def make(
            server: TestServer,
            name: str | None = None,
            *,
            encoding: str | None = None,
            locale: str | None = None,
        ) -> str:
            name = name or server.unique_name()
            server.create_database(name, encoding=encoding, locale=locale)
            stack.callback(server.drop_database, name)
            return name

        yield make


@pytest.fixture
def database(server: TestServer, make_database: MakeDatabase) -> str:
    """Make a fresh database on ``server``, dropped after the test."""
    return make_database(server)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, for tests that ``needs_root`` marks."""
    with mounted(tmp_path / "small", "size=2m") as folder:
        yield folder
