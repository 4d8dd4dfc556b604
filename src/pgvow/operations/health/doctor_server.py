"""The doctor's findings about the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import PgvowError
from pgvow.operations.health.findings import Finding, Severity
from pgvow.postgres import majors
from pgvow.postgres.binaries import choose_for_server
from pgvow.postgres.connection import ConnectionTarget, prepare, readable, translate
from pgvow.postgres.globals import may_read_role_passwords
from pgvow.postgres.planned_code import planned_code
from pgvow.postgres.server import behind_pooler, refuse_transaction_pooler, server_facts
from pgvow.postgres.snapshot import read_tables
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgvow.operations.context import Context
    from pgvow.postgres.binaries import Installation
    from pgvow.postgres.connection import Session
    from pgvow.postgres.server import ServerFacts
    from pgvow.settings import Settings

_NAMES_SHOWN = 5
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class ServerFindings:
    """Findings about the server; ``database_size`` is None if it was not reached."""

    findings: tuple[Finding, ...]
    database_size: int | None


def examine_server(
    settings: Settings, installations: Sequence[Installation], context: Context
) -> ServerFindings:
    """Connect and look at versions, TLS, poolers, rights, roles and extensions."""
    target = ConnectionTarget(settings.connection, settings.libpq_variables, context.environ)
    try:
        with target.open("doctor") as session:
            pooled = behind_pooler(session)
            refuse_transaction_pooler(target, session)
            prepare(session)
            server = server_facts(session)
            findings = (
                *_connection(server, target),
                *_pooler(pooled=pooled),
                *_versions(server, installations),
                *_rights(session, server),
                *_code(session, server),
                *_roles(session, server, target),
                *_extensions(session),
                *_refused_later(session, server),
            )
    except psycopg.Error as error:
        refused = Finding.from_error("connection", translate(error, target.facts))
        return ServerFindings((refused,), None)
    except PgvowError as error:
        return ServerFindings((Finding.from_error("connection", error),), None)
    return ServerFindings(findings, server.database_size)


def _connection(server: ServerFacts, target: ConnectionTarget) -> Iterator[Finding]:
    text = f"{server.user} on {server.database}, PostgreSQL {server.version}"
    standby = ", a standby" if server.in_recovery else ""
    yield Finding(Severity.GOOD, "connection", text + standby)
    if server.tls:
        yield Finding(Severity.GOOD, "TLS", "encrypted")
    elif target.connection.is_local:
        yield Finding(Severity.GOOD, "TLS", "none, the server is on this machine")
    else:
        yield Finding(
            Severity.ATTENTION,
            "TLS",
            "the connection crosses a network unencrypted",
            "Set PGSSLMODE=verify-full and PGSSLROOTCERT",
        )


def _pooler(*, pooled: bool) -> Iterator[Finding]:
    if pooled:
        yield Finding(
            Severity.ATTENTION,
            "pooler",
            "a pooler in session mode answers in the server's place",
            "Connect to PostgreSQL itself: a pooler adds only a way to fail",
        )


def _versions(server: ServerFacts, installations: Sequence[Installation]) -> Iterator[Finding]:
    if (text := majors.untested(server.major, server.version)) is not None:
        yield Finding(Severity.ATTENTION, "versions", text)
    if not installations:
        return
    try:
        chosen = choose_for_server(installations, server.major)
        chosen.program("pg_restore")
    except PgvowError as error:
        yield Finding.from_error("versions", error)
        return
    text = f"pg_dump {chosen.version} for PostgreSQL {server.version}"
    if chosen.major > server.major:
        hint = f"Its archives need a pg_restore of {chosen.major}: install the server's own major"
        yield Finding(Severity.ATTENTION, "versions", text, hint)
    else:
        yield Finding(Severity.GOOD, "versions", text)


def _rights(session: Session, server: ServerFacts) -> Iterator[Finding]:
    role = _sql_name(server.user)
    unreadable = _tables(session, "unreadable_tables")
    if unreadable:
        hint = f"GRANT pg_read_all_data TO {role}"
        yield Finding(Severity.BAD, "rights", f"cannot read {_some(unreadable)}", hint)
    else:
        yield Finding(Severity.GOOD, "rights", "every table is readable")
    row = session.execute(query("unreadable_large_objects")).fetchone()
    if row and row[0]:
        hint = f"pg_read_all_data does not cover them: GRANT SELECT ON LARGE OBJECT … TO {role}"
        yield Finding(Severity.BAD, "rights", f"large objects that it may not read: {row[0]}", hint)
    hidden = _tables(session, "row_security")
    if hidden:
        hint = f"ALTER ROLE {role} BYPASSRLS"
        text = f"would hide rows of {_some(hidden)}"
        yield Finding(Severity.BAD, "row security", text, hint)
    else:
        yield Finding(Severity.GOOD, "row security", "hides no row from this role")


def _code(session: Session, server: ServerFacts) -> Iterator[Finding]:
    """Look for functions of other roles that a plan for a query runs; a backup makes none."""
    found = planned_code(session, [table.oid for table in read_tables(session)])
    if not found:
        return
    named = [
        readable(session, f"{one.name} calls {one.function} of role {one.owner}") for one in found
    ]
    text = f"tables that --jobs copies by one worker: {_some(named)}"
    if session.info.parameter_status("is_superuser") == "on":
        hint = f"Back up by a role that is no superuser, not by {server.user}: docs/operations.md"
        yield Finding(Severity.ATTENTION, "code of others", text, hint)
    else:
        yield Finding(Severity.GOOD, "code of others", text)


def _roles(session: Session, server: ServerFacts, target: ConnectionTarget) -> Iterator[Finding]:
    owners = [readable(session, row[0]) for row in session.execute(query("owners"))]
    text = "a dump names the owners of its objects"
    if owners:
        text += f" ({_some(owners)})"
    text += ", the globals beside it hold them"
    if may_read_role_passwords(target, session):
        yield Finding(Severity.GOOD, "roles", text)
    else:
        # An ordinary role will never read it, so that is no warning: nothing is to be mended.
        hint = f"{server.user} may not read pg_authid: roles are kept without their passwords"
        yield Finding(Severity.GOOD, "roles", text, hint)


def _extensions(session: Session) -> Iterator[Finding]:
    extensions = [f"{name} {version}" for name, version in session.execute(query("extensions"))]
    if extensions:
        text = f"{', '.join(extensions)}: a restore needs them installed"
        yield Finding(Severity.GOOD, "extensions", text)


def _refused_later(session: Session, server: ServerFacts) -> Iterator[Finding]:
    """Yield findings about things that the next major refuses: they can only be mended before."""
    since = majors.STANDARD_STRINGS_ONLY_SINCE
    row = session.execute(query("refused_by_19")).fetchone()
    if row is None or server.major >= since:
        return
    if row[0]:
        text = f"standard_conforming_strings is off, which PostgreSQL {since} refuses"
        hint = "Turn it on, and write E'…' for texts with backslash escapes"
        yield Finding(Severity.ATTENTION, "strings", text, hint)
    if row[1]:
        text = f"roles and databases with a line break in their names: {row[1]}"
        hint = f"Rename them: PostgreSQL {majors.NO_LINE_BREAKS_SINCE} refuses such names"
        yield Finding(Severity.ATTENTION, "names", text, hint)


def _tables(session: Session, name: str) -> list[str]:
    return [
        f"{readable(session, schema)}.{readable(session, table)}"
        for schema, table in session.execute(query(name))
    ]


def _some(names: Sequence[str]) -> str:
    left = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {left} more" if left > 0 else "")


def _sql_name(role: str) -> str:
    """Write a role as an SQL identifier, quoted only if it must be: hints are to be copied."""
    return role if _PLAIN.fullmatch(role) else '"' + role.replace('"', '""') + '"'
