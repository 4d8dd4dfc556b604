"""A refusal in another language is understood by its SQLSTATE."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from pgvow.errors import AccessDenied, ConnectionFailed
from pgvow.postgres.connection import ConnectionTarget, sqlstate_of_refusal
from pgvow.settings import load
from tests.support.commands import clean_environment, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer

_ENCRYPTION = {80877103, 80877104}  # the client asks for TLS, for GSSAPI


@contextmanager
def refusing(sqlstate: str, words: str) -> Iterator[int]:
    """Something that speaks PostgreSQL's protocol and refuses everybody; yields its port."""
    fields = (f"SFATAL\0VFATAL\0C{sqlstate}\0M{words}\0\0").encode()
    refusal = b"E" + struct.pack("!I", len(fields) + 4) + fields
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return  # it is over
                with client:
                    _refuse(client, refusal)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _refuse(client: socket.socket, refusal: bytes) -> None:
    while head := client.recv(8, socket.MSG_WAITALL):
        length, kind = struct.unpack("!II", head)
        client.recv(length - 8, socket.MSG_WAITALL) if length > 8 else b""
        if kind not in _ENCRYPTION:
            client.sendall(refusal)
            return
        client.sendall(b"N")


@pytest.mark.parametrize(
    ("sqlstate", "kind", "step"),
    [
        ("42501", AccessDenied, "GRANT CONNECT ON DATABASE"),
        ("28P01", ConnectionFailed, "Check the password"),
        ("28000", ConnectionFailed, "pg_hba.conf"),
        ("3D000", ConnectionFailed, "createdb"),
        ("57P03", ConnectionFailed, "Try by hand"),
    ],
)
def test_an_error_in_german_is_classified_by_sqlstate(
    sqlstate: str, kind: type[Exception], step: str, tmp_path: Path
) -> None:
    """An error in German has the class of the English one, and is quoted."""
    with refusing(sqlstate, "keine Berechtigung für Datenbank »shop«") as port:
        environ = {"DEV_DB_NAME": "shop", "DEV_DB_PASSWORD": "secret", "DEV_DB_PORT": str(port)}
        target = ConnectionTarget(load(env="dev", environ=environ, directory=tmp_path).connection)
        with pytest.raises(kind, match="keine Berechtigung") as caught:
            target.open("backup")
    assert isinstance(caught.value, AccessDenied | ConnectionFailed)
    assert step in "\n".join(caught.value.steps)


@pytest.mark.majors(15, 18)
def test_a_role_without_connect_gives_sqlstate_42501(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """A role that may not enter the database: 42501; one that may: None."""
    role = f"outside_{database}"
    with server.connect(database) as session:
        names = (sql.Identifier(database), sql.Identifier(role))
        session.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(names[0]))
        session.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(names[1]))
    settings = settings_for(server, database)
    settings |= {"DEV_DB_USER": role, "DEV_DB_PASSWORD": "secret"}
    target = ConnectionTarget(load(env="dev", environ={**clean_environment(), **settings},
                         directory=tmp_path).connection)  # fmt: skip
    outside = psycopg.conninfo.make_conninfo("", **target._with_password("test"))
    try:
        assert sqlstate_of_refusal(outside) == "42501"
        with pytest.raises(AccessDenied):
            target.open("backup")
    finally:
        with server.connect(database) as session:
            session.execute(sql.SQL("DROP ROLE {}").format(names[1]))
    assert sqlstate_of_refusal(server.conninfo(database)) is None
