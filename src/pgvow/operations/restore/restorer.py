"""The role that restores in a superuser's place, on the server that the settings lead to."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import PgvowError
from pgvow.postgres.databases import on_database
from pgvow.postgres.restorer import create_restorer, drop_restorer
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.operations.restore.run import Run
    from pgvow.operations.restore.swap import Names
    from pgvow.postgres.connection import Target
    from pgvow.postgres.restorer import Restorer


def as_restorer(target: Target, restorer: Restorer) -> Target:
    """Aim at the same server as that role."""
    connection = replace(target.connection, user=restorer.name, password=restorer.password)
    return replace(target, connection=connection)


@contextmanager
def restorer_for(run: Run, names: Names) -> Iterator[None]:
    """Make the role while the block runs, and drop it at the end, if we are a superuser.

    If it cannot log in as we do, as under peer authentication, there is none and a warning. It has
    the name of the temporary database, so that the next restore into this name clears away what a
    killed one left: databases first.
    """
    if not run.server.is_superuser:
        yield
        return
    try:
        run.restorer = _made(run, names.temporary)
        yield
    finally:
        _drop(run, names.temporary)


def _made(run: Run, name: str) -> Restorer | None:
    try:
        restorer = create_restorer(
            run.databases.session, name, comment=f"pgvow: restores into {run.options.database}"
        )
    except psycopg.Error as error:
        _warn(run, str(error).strip())
        return None
    target = as_restorer(run.target, restorer)
    try:
        on_database(target, run.databases.session.info.dbname).open("restore").close()
    except PgvowError as error:
        _warn(run, error.cause)
        return None
    return restorer


def _warn(run: Run, cause: str) -> None:
    run.warn(
        f"checks, generated columns and functions of the backup run with the rights of"
        f" {run.server.user}, a superuser: the role made to restore in its place cannot log in here"
        f" ({cause}); see whose they are: pgvow show FILE --code"
    )


def _drop(run: Run, name: str) -> None:
    """Drop the role in a session of its own: that of the run may be closed, or in the middle."""
    run.restorer = None
    try:
        with on_database(run.target, run.databases.dbname).open("restore") as session:
            drop_restorer(session, name)
    except (psycopg.Error, PgvowError) as error:
        run.warn(f"the role {name}, made for this restore, could not be dropped: {error}")


def clear_restorers(run: Run, pattern: str) -> None:
    """Drop the roles of dead restores; one that is still in use stays, and is named."""
    session = run.databases.session
    for (name,) in session.execute(query("abandoned_restorers"), {"pattern": pattern}).fetchall():
        try:
            drop_restorer(session, name)
        except psycopg.Error as error:
            run.warn(f"the role {name}, left by a restore that died, stays: {error}")
        else:
            run.warn(f"dropped the role {name}, left by a restore that died")
