"""Settings for the doctor: whether the server is local, and which variables count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.settings import Connection

if TYPE_CHECKING:
    from tests.support.settings_files import SettingsFolder


@pytest.mark.parametrize(
    "host",
    [
        "/var/run/postgresql",
        "@pgvow",
        "localhost",
        "LocalHost",
        "127.0.0.1",
        "127.255.3.4",
        "::1",
        "localhost,127.0.0.1,/tmp",
    ],
)
def test_sockets_and_loopback_are_local(host: str) -> None:
    """A socket, localhost and the loopback addresses cross no network."""
    assert Connection(host, 5432, "d").is_local


@pytest.mark.parametrize(
    "host",
    [
        "db.example.net",
        "localhost.example.net",
        "192.168.0.1",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "::2",
        "127.0.0.1.example.net",
        "localhost,db.example.net",
        "",
    ],
)
def test_any_other_host_is_remote(host: str) -> None:
    """Everything else does, and one host of several is enough."""
    assert not Connection(host, 5432, "d").is_local


@pytest.mark.parametrize(("address", "is_local"), [("127.0.0.1", True), ("10.0.0.1", False)])
def test_hostaddr_decides_before_host(address: str, *, is_local: bool) -> None:
    """libpq connects to ``hostaddr``, and asks the host's certificate for the name."""
    for host in ("localhost", "db.example.net"):
        connection = Connection(host, 5432, "d", params={"hostaddr": address})
        assert is_local == connection.is_local


def test_libpq_variables_are_listed_with_their_sources(folder: SettingsFolder) -> None:
    """Those that count, of the environment and of both files, without their values."""
    folder.shared("PGSSLMODE=require\nPGTZ=UTC\n").local("DEV_DB_NAME=d\nPGTZ=CET\nPGOPTIONS=\n")
    folder.exported(PGPASSFILE="/secret", PGDATA="/none of libpq's")
    assert {
        "PGPASSFILE": "the environment",
        "PGSSLMODE": ".env line 1",
        "PGTZ": ".env.local line 2",
    } == folder.load().libpq_origins


def test_overruled_libpq_variables_are_not_listed(folder: SettingsFolder) -> None:
    """A user and a password of ours leave libpq's without effect; so do host, port and name."""
    folder.local("DEV_DB_NAME=d\n")
    folder.exported(
        PGHOST="elsewhere", PGPORT="1", PGDATABASE="other", PGUSER="me", PGPASSWORD="hunter2"
    )
    assert {"PGPASSWORD", "PGUSER"} == set(folder.load().libpq_origins)
    folder.exported(DEV_DB_USER="backup", DEV_DB_PASSWORD="hunter3")
    assert {} == folder.load().libpq_origins
