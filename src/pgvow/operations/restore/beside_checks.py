"""The checks of a copy beside a living table: options, rights, and the objects that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.errors import AccessDenied, ConfigurationError, RestoreFailed
from pgvow.model import DEV
from pgvow.operations.restore.beside_names import require_length
from pgvow.operations.restore.failure import role_steps
from pgvow.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvow.archive import TocEntry
    from pgvow.operations.restore.beside_copies import TableCopy
    from pgvow.operations.restore.beside_plan import BesideOptions
    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.postgres.databases import Databases
    from pgvow.postgres.server import ServerFacts
    from pgvow.settings import Settings

_NEEDED = frozenset({kinds.COLLATION, kinds.DOMAIN, kinds.EXTENSION, kinds.FUNCTION, kinds.TYPE})


def require_usable(options: BesideOptions) -> None:
    """Raise ConfigurationError for options that do not fit together."""
    if not options.tables:
        raise ConfigurationError(
            "--into puts single tables beside those of a database, and none is named",
            steps=[
                "Name them: --table NAME --into DATABASE",
                "Or restore everything into a new database: --to DATABASE",
            ],
        )
    if options.name is not None and options.schema is not None:
        raise ConfigurationError(
            "--as and --as-schema both say where the copy goes",
            steps=["Give one of them; --as takes SCHEMA.NAME"],
        )
    if len(options.tables) > 1 and options.schema is None:
        raise ConfigurationError(
            f"{len(options.tables)} tables need a schema of their own to stand beside today's",
            steps=["Name one, which is made if it is not there: --as-schema SCHEMA"],
        )
    if options.schema is not None:
        require_length(options.schema)


def require_beside_confirmation(settings: Settings, options: BesideOptions) -> None:
    """Raise RestoreFailed if a copy outside of development was not confirmed."""
    if options.confirmed or settings.environment == DEV:
        return
    raise RestoreFailed(
        f"this makes a table in {options.database} of environment {settings.environment}, and was"
        " not confirmed",
        facts=settings.connection.facts(),
        steps=["Confirm that you want it: --yes"],
    )


def require_rights(
    live: Session, copies: Sequence[TableCopy], server: ServerFacts, databases: Databases
) -> bool:
    """Return whether the schema is to be made; raises AccessDenied, RestoreFailed."""
    schema, target = copies[0].copy_schema, databases.target
    row = live.execute(query("beside_rights"), {"schema": schema}).fetchone()
    exists, in_schema, in_database, creates = row or (False, False, False, False)
    lacking = {
        "CREATEDB: rows are first restored into a database of their own": creates,
        f"CREATE on the database {live.info.dbname}": in_database,
        f"CREATE on the schema {schema}": in_schema,
    }
    if missing := [text for text, may in lacking.items() if not may]:
        raise AccessDenied(
            f"the role {server.user} lacks rights that the copy needs: {'; '.join(missing)}",
            facts=target.facts,
            steps=["Grant them, or restore as the owner of the database or a superuser"],
        )
    owners = {copy.owner for copy in copies if copy.owner}
    if unknown := sorted(owners - databases.role_names()):
        raise RestoreFailed(
            f"the table belonged to a role that this server does not have: {', '.join(unknown)}",
            facts=target.facts,
            steps=[each for each in role_steps() if "--globals" not in each],
        )
    if server.is_superuser:
        return not exists
    beyond = databases.roles_beyond_us(owners)
    refusing = live.execute(
        query("beside_owners"), {"schema": schema, "names": sorted(owners)}
    ).fetchall()
    if names := sorted({*beyond, *(name for (name,) in refusing)}):
        raise AccessDenied(
            f"the copy cannot be given to the table's owner: {', '.join(names)}",
            facts=target.facts,
            steps=["Let it belong to the role that restores: --no-owner"],
        )
    return not exists


def require_present(
    live: Session, entries: Iterable[TocEntry], database: str, target: ConnectionTarget
) -> None:
    """Raise RestoreFailed for types, functions and extensions that the database lacks."""
    present = {tuple(row) for row in live.execute(query("beside_present")).fetchall()}
    needed = [entry for entry in entries if entry.desc in _NEEDED]
    missing = [each for each in needed if (each.desc, each.namespace, each.tag) not in present]
    if missing:
        names = ", ".join(f"{entry.desc.lower()} {entry.name}" for entry in missing)
        raise RestoreFailed(
            f"{database} does not have all that the copy needs: {names}",
            facts=target.facts,
            steps=[
                "Make them first; see how they were made: pgvow show FILE --code",
                "Or restore the table into a new database: --table NAME --to DATABASE",
            ],
        )
