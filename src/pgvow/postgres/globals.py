"""Dump roles, their memberships and tablespaces, which no dump of a database contains."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from subprocess import PIPE
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg.conninfo import make_conninfo

from pgvow.errors import BackupFailed
from pgvow.postgres.connection import translate
from pgvow.postgres.process import RunningTool
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from types import TracebackType

    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import ConnectionTarget, Session


# Of 15.14, 16.10, 17.6 and newer ones psql's restriction is lifted behind this, or before.
_END = re.compile(rb"^-- PostgreSQL database cluster dump complete\n--\n\s*", re.MULTILINE)
_LIFTED = re.compile(rb"^\\unrestrict (\w+)\n\s*", re.MULTILINE)
_RESTRICTED = re.compile(rb"^\\restrict (\w+)\n", re.MULTILINE)


class GlobalsCutShort(BackupFailed):
    """pg_dumpall ended with success, and its script has no end."""

    title = "The script of the roles was cut short"


@dataclass(frozen=True, slots=True)
class Globals:
    """A script for psql, and whether the roles' password hashes are in it."""

    script: bytes
    role_passwords: bool


class GlobalsDump:
    """A pg_dumpall --globals-only at work beside us, by the one database that we may enter.

    pg_dumpall would look for databases ``postgres`` and ``template1``, which may not exist or not
    let us in. Password hashes need rights that managed servers give to nobody; without
    ``role_passwords`` the roles come without. Leaving the block ends the program.
    """

    def __init__(
        self, target: ConnectionTarget, installation: Installation, *, role_passwords: bool
    ) -> None:
        self.role_passwords = role_passwords
        self._facts = target.facts
        self._script = b""
        argv = [
            str(installation.program("pg_dumpall")),
            "--globals-only",
            "--no-password",
            # As a connection string: a bare name with a "=" in it would be taken for one.
            f"--database={make_conninfo('', dbname=target.connection.dbname)}",
            f"--dbname={target.conninfo('pgvow globals')}",
            *([] if role_passwords else ["--no-role-passwords"]),
        ]
        environment = installation.environment(target.tool_environment())
        self._tool = RunningTool(argv, env=environment, stdout=PIPE)
        self._reader = threading.Thread(target=self._read, name="globals", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tool.stop()

    def result(self) -> Globals:
        """Wait for the end; raises BackupFailed."""
        ended = self._tool.wait()
        self._reader.join()
        if ended.returncode != 0:
            raise BackupFailed(ended.stderr or "pg_dumpall failed", facts=self._facts)
        if not is_whole(self._script):
            raise GlobalsCutShort(
                "pg_dumpall ended with success, but its script was cut short",
                facts=self._facts,
                steps=["Run it again", "Or back up without roles: --no-globals"],
            )
        return Globals(self._script, self.role_passwords)

    def _read(self) -> None:
        self._script = self._tool.stdout.read()


def is_whole(script: bytes) -> bool:
    """Whether the script ends as pg_dumpall ends one, and lifts the restriction it lays on psql."""
    restricted = _RESTRICTED.search(script)
    lifted = {match[1] for match in _LIFTED.finditer(script)}
    if restricted and restricted[1] not in lifted:
        return False
    ends = list(_END.finditer(script))
    return bool(ends) and not _LIFTED.sub(b"", script[ends[-1].end() :]).strip()


def may_read_role_passwords(target: ConnectionTarget, session: Session) -> bool:
    """Return whether our role may read pg_authid, which has the password hashes."""
    try:
        row = session.execute(query("may_read_role_passwords")).fetchone()
    except psycopg.Error as error:
        raise translate(error, target.facts) from error
    return bool(row and row[0])
