"""A certificate for a test server: connections by TLS are tried, not mocked."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pgvow.postgres.private_directories import server_account
from tests.support.programs import system_program
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer


def speak_tls(server: TestServer, *names: str) -> Path:
    """Give a running server a certificate of its own for these host names; returns its path."""
    openssl = system_program("openssl", package="openssl")
    key, certificate = (server.data_directory / f"server.{kind}" for kind in ("key", "crt"))
    alternatives = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    for path in (key, certificate):
        path.chmod(0o600)
        server_account().give(path)
    with server.connect("postgres") as session:
        session.execute("ALTER SYSTEM SET ssl = on")
        session.execute("SELECT pg_reload_conf()")
        wait_until(lambda: session.execute("SHOW ssl").fetchone() == ("on",))
    return certificate
