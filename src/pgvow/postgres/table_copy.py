"""Copy tables into a living database: renamed apart, carried over by the tools, and moved in.

Nothing of the living database is changed. The tables come into a schema of their own there, the
holding schema, and go under their final names in one transaction.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.errors import PgvowError
from pgvow.postgres.database_settings import options_for
from pgvow.postgres.pg_restore import RestoreError
from pgvow.postgres.process import RunningTool
from pgvow.postgres.restore_order import Stage
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from pgvow.postgres.connection import Session
    from pgvow.postgres.pg_restore import ServerTools
    from pgvow.postgres.process import ToolExit

_KEYWORDS = {kind: sql.SQL(kind) for kind in ("TABLE", "INDEX", "SEQUENCE", "STATISTICS")}
_MOVED = frozenset({"TABLE", "STATISTICS"})
"""Indexes and the sequences of columns go where their table goes."""
_STEM = re.compile(r"pgvow_[0-9a-f]{8}_\d{8}T\d{6}Z$")
_TIMESTAMP = len("20260101T000000Z")
_LOCK_SECONDS = "30s"
_COMMENT = "pgvow: tables on their way beside others"
_ERROR = re.compile(r"^pg_(?:restore|dump): error: (.*)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CopiedObject:
    """A table, index, sequence or statistics object; ``place`` is its table's among those given."""

    place: int
    kind: str
    oid: int
    schema: str
    name: str


def holding_name(temporary: str) -> str:
    """Make the holding schema's name of the name of the restore's temporary database."""
    stem = _STEM.search(temporary)
    if stem is None:
        raise ValueError(f"{temporary} is not the name of a temporary database")
    return stem[0].lower()


def taken_names(live: Session, schema: str) -> set[str]:
    """Read which names of a schema no new object could have."""
    rows = live.execute(query("beside_taken"), {"schema": schema}).fetchall()
    return {name for (name,) in rows}


def set_apart(
    session: Session,
    tables: Sequence[tuple[str, str]],
    holding: str,
    naming: Callable[[CopiedObject], str],
) -> None:
    """Move tables with all that is theirs into the holding schema, under other names.

    It is done in the database that was made for them. Links to tables that are not among them are
    cut. ``naming`` is asked once for each object, for a name that none of the others has. Raises
    psycopg.Error.
    """
    with session.transaction():
        roots = [_oid(session, *name) for name in tables]
        original = _objects(session, roots)
        copied = [each for each in original if each.kind == "TABLE"]
        for table in copied:
            _cut_links(session, table, copied)
        _adopt_sequences(session, copied)
        # First names that nothing has: on its way an object would meet another of its own name.
        for each in _objects(session, roots):
            _rename(session, each, _passing_name(each.oid))
        session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(holding)))
        for each in _objects(session, roots):
            if each.kind in _MOVED:
                _move(session, each.kind, (each.schema, each.name), holding)
        given = {each.oid: naming(each) for each in original}
        for each in _objects(session, roots):
            _rename(session, each, given[each.oid])


def _passing_name(oid: int) -> str:
    return f"pgvow {oid}"


def _oid(session: Session, schema: str, name: str) -> int:
    row = session.execute(
        "SELECT class.oid FROM pg_catalog.pg_class AS class"
        " JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace"
        " WHERE schema.nspname = %s AND class.relname = %s",
        [schema, name],
    ).fetchone()
    if row is None:
        raise PgvowError(f"the table {schema}.{name} did not come back")
    return int(row[0])


def _objects(session: Session, roots: Sequence[int]) -> list[CopiedObject]:
    rows = session.execute(query("beside_objects"), {"tables": list(roots)}).fetchall()
    return [
        CopiedObject(place - 1, kind, oid, schema, name)
        for place, kind, oid, schema, name, _ in rows
    ]


def _cut_links(session: Session, table: CopiedObject, copied: Sequence[CopiedObject]) -> None:
    """Cut a table from its parents, and let its owner read all rows."""
    own = sql.Identifier(table.schema, table.name)
    given = {"table": table.oid, "copied": [each.oid for each in copied]}
    for kind, schema, name in session.execute(query("beside_links"), given).fetchall():
        parent = sql.Identifier(schema, name)
        if kind == "PARTITION":
            session.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, own))
        elif kind == "INHERITS":
            session.execute(sql.SQL("ALTER TABLE {} NO INHERIT {}").format(own, parent))
        else:
            session.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(own))


def _adopt_sequences(session: Session, copied: Sequence[CopiedObject]) -> None:
    """Let the tables own the sequences that their defaults name: a copy counts by its own."""
    given = {"tables": [each.oid for each in copied]}
    rows = session.execute(query("beside_sequences"), given).fetchall()
    for oid, schema, name, table_schema, table, column in rows:
        passing = sql.Identifier(_passing_name(oid))
        column_name = sql.Identifier(table_schema, table, column)
        for text, *names in (
            ("ALTER SEQUENCE {} OWNED BY NONE", sql.Identifier(schema, name)),
            ("ALTER SEQUENCE {} RENAME TO {}", sql.Identifier(schema, name), passing),
        ):
            session.execute(sql.SQL(text).format(*names))
        _move(session, "SEQUENCE", (schema, _passing_name(oid)), table_schema)
        moved = sql.Identifier(table_schema, _passing_name(oid))
        session.execute(sql.SQL("ALTER SEQUENCE {} OWNED BY {}").format(moved, column_name))


def _rename(session: Session, each: CopiedObject, name: str) -> None:
    if each.name == name:
        return
    session.execute(
        sql.SQL("ALTER {} {} RENAME TO {}").format(
            _KEYWORDS[each.kind], sql.Identifier(each.schema, each.name), sql.Identifier(name)
        )
    )


def _move(session: Session, kind: str, name: tuple[str, str], schema: str) -> None:
    if name[0] == schema:
        return
    session.execute(
        sql.SQL("ALTER {} {} SET SCHEMA {}").format(
            _KEYWORDS[kind], sql.Identifier(*name), sql.Identifier(schema)
        )
    )


@contextmanager
def holding_schema(
    open_live: Callable[[], Session], name: str, role: str | None, warn: Callable[[str], None]
) -> Iterator[None]:
    """Make the holding schema in the living database, and clear it away if the block fails.

    ``role`` may make objects in it. At the end of the block it is gone: ``move_in`` drops it.
    """
    try:
        with open_live() as session, session.transaction():
            schema = sql.Identifier(name)
            session.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            session.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(schema, _COMMENT))
            if role is not None:
                grant = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}")
                session.execute(grant.format(schema, sql.Identifier(role)))
        yield
    except BaseException:
        try:
            with open_live() as session:
                _clear(session, name)
        except (psycopg.Error, PgvowError) as error:
            warn(f"the schema {name} could not be dropped, the next such restore will: {error}")
        raise


def drop_abandoned_holdings(session: Session, temporary: str, warn: Callable[[str], None]) -> None:
    """Drop the holding schemas that dead restores left; one that cannot be dropped is a warning.

    ``temporary`` is a name that a restore into this database would have: its digest is theirs.
    """
    stem = holding_name(temporary)[:-_TIMESTAMP]
    pattern = f"^{stem}[0-9]{{8}}t[0-9]{{6}}z$"
    for (name,) in session.execute(query("holding_schemas"), {"pattern": pattern}).fetchall():
        try:
            _clear(session, name)
        except psycopg.Error as error:
            warn(f"the schema {name}, left by a restore that died, stays: {error}")
        else:
            warn(f"dropped the schema {name}, which a restore left when it died")


def _clear(session: Session, name: str) -> None:
    """Drop a holding schema; raises psycopg.Error if something else hangs on it by now."""
    with session.transaction():
        session.execute(sql.SQL("SET LOCAL lock_timeout TO {}").format(_LOCK_SECONDS))
        found = session.execute(query("holding_objects"), {"schema": name}).fetchall()
        tables = [sql.Identifier(name, each[1]) for each in found if each[0] == "TABLE"]
        if tables:
            session.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(", ").join(tables)))
        session.execute(sql.SQL("DROP SCHEMA IF EXISTS {}").format(sql.Identifier(name)))


def carry_over(
    source: tuple[ServerTools, str],
    target: tuple[ServerTools, str],
    holding: str,
) -> RestoreError | None:
    """Copy all that is in the holding schema from one database into another, in one transaction.

    pg_dump writes into a pipe that pg_restore reads. Returns the error that stopped either.
    """
    tools, dbname = source
    connection, environment = tools.reach(dbname)
    dumping = [
        *(str(tools.installation.program("pg_dump")), "--format=custom", "--compress=0"),
        *("--no-password", "--no-owner", "--no-privileges", "--no-tablespaces"),
        *(f"--schema={holding}", f"--dbname={connection}"),
    ]
    with RunningTool(dumping, env=environment, stdout=PIPE) as dump:
        tools, dbname = target
        connection, environment = tools.with_options(options_for(Stage.ROWS)).reach(dbname)
        restoring = [
            *(str(tools.installation.program("pg_restore")), "--exit-on-error", "--no-password"),
            *("--single-transaction", "--no-owner", "--no-privileges", "--no-tablespaces"),
            # Of the schema itself nothing is restored: it is there.
            *(f"--schema={holding}", f"--dbname={connection}"),
        ]
        with RunningTool(
            restoring, env=environment, stdout=DEVNULL, stdin=dump.stdout.fileno()
        ) as restore:
            dump.stdout.close()  # so that pg_dump notices when pg_restore ends
            ended = restore.wait()
        dumped = dump.wait()
    if ended.returncode != 0:
        return _error(ended, dumped)
    return _error(dumped, None) if dumped.returncode != 0 else None


def _error(ended: ToolExit, dumped: ToolExit | None) -> RestoreError:
    """Return an error; that of a pg_dump that failed is the cause of pg_restore's."""
    texts = [dumped.stderr] if dumped is not None and "error: " in dumped.stderr else []
    text = "\n".join([*texts, ended.stderr])
    error = _ERROR.search(ended.stderr)
    complaint = text if texts else error[1] if error else text
    return RestoreError(None, complaint.strip() or f"it ended with status {ended.returncode}")


def move_in(
    session: Session,
    holding: str,
    schema: str,
    owners: Mapping[str, str | None],
    *,
    make_schema: bool,
) -> None:
    """Put the copies under their final names, in one transaction: all of them, or none.

    ``owners`` has the owner of each table by its name; None is our own role. Nobody else has any
    right on them: default privileges would grant some. Raises psycopg.Error if a name was taken.
    """
    with session.transaction():
        session.execute(sql.SQL("SET LOCAL lock_timeout TO {}").format(_LOCK_SECONDS))
        if make_schema:
            _make_schema(session, schema, {role for role in owners.values() if role is not None})
        rows = session.execute(query("holding_objects"), {"schema": holding}).fetchall()
        for kind, name, grantees, table, *_ in rows:
            place = sql.Identifier(schema, name)
            if table is not None:  # a sequence goes with its table
                _move(session, kind, (holding, name), schema)
                role = owners[table]
                owner = sql.SQL("CURRENT_USER") if role is None else sql.Identifier(role)
                statement = sql.SQL("ALTER {} {} OWNER TO {}")
                session.execute(statement.format(_KEYWORDS[kind], place, owner))
            for grantee in grantees:
                role_name = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
                revoke = sql.SQL("REVOKE ALL ON {} {} FROM {} CASCADE")
                session.execute(revoke.format(_KEYWORDS[kind], place, role_name))
        session.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(holding)))


def _make_schema(session: Session, schema: str, owners: Collection[str]) -> None:
    """Make a schema that is its tables' owner's; several may use it, and make objects in it."""
    name = sql.Identifier(schema)
    if len(owners) == 1:
        owner = sql.Identifier(*owners)
        session.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(name, owner))
        return
    session.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    for each in sorted(owners):
        grant = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}")
        session.execute(grant.format(name, sql.Identifier(each)))
