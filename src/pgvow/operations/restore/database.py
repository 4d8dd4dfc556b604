"""What pg_restore leaves undone: the database's own settings, and what only its owner may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import kinds
from pgvow.errors import RestoreFailed
from pgvow.postgres.database_settings import needed_by_restore
from pgvow.postgres.databases import refused
from pgvow.postgres.sql import query
from pgvow.postgres.statements import for_database, statements, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pgvow.archive import TocEntry
    from pgvow.operations.restore.list import DatabaseDefinition
    from pgvow.postgres.connection import Session, Target


def apply_definition(
    session: Session, definition: DatabaseDefinition, name: str, *, no_owner: bool, keep: bool
) -> None:
    """Give a database the owner, settings and grants that the archive has for its own.

    Without ``keep`` all but the owner is tried, for whatever is refused is better known before the
    hours that a restore takes, and only those settings stay that the restore needs. Raises
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
    """See to what pg_restore was not given: who owns ``public``, and comments on extensions.

    A comment that is refused is a warning: the extension has brought its own.
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
    """Gather the planner's statistics, which no dump contains.

    Where one table cannot be read, such as a foreign one whose server is away, the others are
    analyzed one by one; who fails then is a warning.
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
