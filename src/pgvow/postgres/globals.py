"""What a database's dump does not contain: roles, their memberships, tablespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from pgvow.errors import BackupFailed
from pgvow.postgres.connection import translate
from pgvow.postgres.process import run
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session, Target


@dataclass(frozen=True, slots=True)
class Globals:
    """A script for psql, and whether the roles' password hashes are in it."""

    script: bytes
    role_passwords: bool


def dump_globals(target: Target, session: Session, installation: Installation) -> Globals:
    """Run pg_dumpall --globals-only through the one database that we know we may enter.

    pg_dumpall would look for databases ``postgres`` and ``template1``, which may not exist or not
    let us in. Password hashes need rights that managed servers give to nobody; without them the
    roles come without. Raises BackupFailed.
    """
    passwords = may_read_role_passwords(target, session)
    argv = [
        str(installation.program("pg_dumpall")),
        "--globals-only",
        "--no-password",
        # As a connection string: a bare name with a "=" in it would be taken for one.
        f"--database={make_conninfo('', dbname=target.connection.dbname)}",
        f"--dbname={target.conninfo('pgvow globals')}",
    ]
    if not passwords:
        argv.append("--no-role-passwords")
    output = run(argv, env=installation.environment(target.tool_environment()))
    if output.ended.returncode != 0:
        raise BackupFailed(output.ended.stderr or "pg_dumpall failed", facts=target.facts)
    return Globals(output.stdout, passwords)


def may_read_role_passwords(target: Target, session: Session) -> bool:
    """Tell whether our role may read pg_authid, where the password hashes are."""
    try:
        row = session.execute(query("may_read_role_passwords")).fetchone()
    except psycopg.Error as error:
        raise translate(error, target.facts) from error
    return bool(row and row[0])
