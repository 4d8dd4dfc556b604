"""The temporary database: the role that fills it, its own settings, ANALYZE, and its end."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import kinds
from pgvow.errors import PgvowError, RestoreFailed
from pgvow.postgres.database_settings import needed_by_restore
from pgvow.postgres.databases import Databases, on_database, refused
from pgvow.postgres.restorer import create_restorer, drop_restorer, runs_as_superuser
from pgvow.postgres.sql import query
from pgvow.postgres.statements import for_database, statements, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pgvow.archive import TocEntry
    from pgvow.operations.restore.checks import RestorePlan
    from pgvow.operations.restore.selection import DatabaseDefinition
    from pgvow.postgres.connection import Session, Target
    from pgvow.postgres.restorer import Restorer


@contextmanager
def restoring_role(plan: RestorePlan) -> Iterator[Restorer | None]:
    """Make the role that restores in a superuser's place, and drop it at the end.

    If we are no superuser, or it cannot log in as we do, there is none. It has the name of the
    temporary database, so that the next restore into this name drops it after a kill: databases
    first.
    """
    if not plan.server.is_superuser:
        yield None
        return
    try:
        yield _create_role(plan)
    finally:
        _drop_role(plan)


def _create_role(plan: RestorePlan) -> Restorer | None:
    session = plan.databases.session
    try:
        return create_restorer(
            session,
            plan.names.temporary,
            comment=f"pgvow: restores into {plan.options.database}",
            log_in=lambda restorer: plan.tools.as_role(restorer).open(session.info.dbname),
            warn=plan.report.warn,
        )
    except psycopg.Error as error:
        plan.report.warn(runs_as_superuser(plan.server.user, error))
        return None


def _drop_role(plan: RestorePlan) -> None:
    """Drop the role in a new session: the first may be closed, or in the middle of a statement."""
    name = plan.names.temporary
    try:
        with on_database(plan.target, plan.databases.dbname).open("restore") as session:
            drop_restorer(session, name)
    except (psycopg.Error, PgvowError) as error:
        plan.report.warn(f"the role {name}, made for this restore, could not be dropped: {error}")


@contextmanager
def dropped_on_failure(plan: RestorePlan) -> Iterator[None]:
    """Drop the temporary database if the block fails, and say so in the error if that fails too."""
    try:
        yield
    except BaseException as error:
        # Interrupted while it connected, a half-open connection lives on in the frames of error:
        # its server process is deaf until it times out, and DROP DATABASE waits for every process.
        traceback.clear_frames(error.__traceback__)
        plan.databases.session.close()  # it may be in the middle of anything
        obstacle = _drop(plan)
        if obstacle is not None and isinstance(error, PgvowError):
            name = plan.names.temporary
            text = f"{name}, which could not be dropped: {obstacle}"
            error.with_facts({"Left behind": text})
        raise


def _drop(plan: RestorePlan) -> str | None:
    """Drop the temporary database in a new session; returns the cause if that failed."""
    try:
        with Databases.connect(plan.target, avoiding=plan.names.final) as databases:
            databases.drop(plan.names.temporary)
    except PgvowError as error:
        return error.cause
    return None


def apply_definition(
    session: Session, definition: DatabaseDefinition, name: str, *, no_owner: bool, keep: bool
) -> None:
    """Give a database the owner, settings and grants that the archive has for its own.

    Without ``keep`` everything but the owner is tried and rolled back, so that a refusal is known
    before the hours that a restore takes; only the settings that the restore needs stay. Raises
    psycopg.Error.
    """
    quoted = sql.Identifier(name)
    if definition.owner and not no_owner:
        # Kept in any case: as owner of the database a role may have tables in its schema public.
        owner = sql.Identifier(definition.owner)
        session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(quoted, owner))
    with session.transaction(force_rollback=not keep):
        # In the archive's order, which a later dump would have too.
        session.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(quoted))
        for statement in definition.properties:
            session.execute(written(for_database(statement, name)))
    for statement in () if keep else needed_by_restore(definition.properties):
        session.execute(written(for_database(statement, name)))


def apply_left_out(
    session: Session,
    left_out: Iterable[TocEntry],
    *,
    target: Target,
    no_owner: bool,
    warn: Callable[[str], None],
) -> None:
    """Apply the entries that pg_restore does not get: the owner of ``public``, and comments.

    A comment on an extension that is refused is a warning: the extension has brought its own.
    """
    for entry in left_out:
        if entry.desc == kinds.SCHEMA:
            if entry.owner and not no_owner:
                with refused(target):
                    owner = sql.Identifier(entry.owner)
                    session.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
            continue
        try:
            for statement in statements(entry.defn):
                session.execute(written(statement))
        except psycopg.errors.InsufficientPrivilege:
            warn(f"the comment on {entry.tag.lower()} is the extension's own")
        except psycopg.Error as error:
            raise RestoreFailed(str(error).strip(), facts=target.facts) from error


def analyze(session: Session, warn: Callable[[str], None]) -> None:
    """Gather the planner's statistics, which dumps before 18 do not contain.

    If a table cannot be read, such as a foreign one whose server is away, the others are analyzed
    one by one; those that fail then are a warning.
    """
    try:
        # Indexes by a function that leans on search_path are analyzed too; it has no operators.
        session.execute("RESET search_path")
        session.execute("ANALYZE")
    except psycopg.Error:
        failed = list(_analyze_each(session))
        if failed:
            warn(f"ANALYZE failed, queries may be slow until it succeeds: {'; '.join(failed)}")


def _analyze_each(session: Session) -> Iterator[str]:
    try:
        session.execute("SET search_path TO ''")
        tables = session.execute(query("tables_to_analyze")).fetchall()
        session.execute("RESET search_path")
    except psycopg.Error as error:
        yield str(error).strip()
        return
    for schema, name in tables:
        try:
            session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, name)))
        except psycopg.Error as error:
            yield f"{schema}.{name}: {str(error).strip()}"
