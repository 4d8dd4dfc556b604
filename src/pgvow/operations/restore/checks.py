"""Everything that a restore can be refused for, found out before anything is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds, read_toc, roles_named
from pgvow.errors import AccessDenied, ConfigurationError, RestoreFailed, VerificationFailed
from pgvow.finished_file import open_finished
from pgvow.model import DEV
from pgvow.operations.compare.filling import is_given_away
from pgvow.operations.restore.list import database_definition, select
from pgvow.operations.restore.owners import mapped
from pgvow.operations.restore.restorer import clear_restorers
from pgvow.operations.restore.run import Run
from pgvow.operations.restore.swap import (
    claim,
    refuse_connected,
    refuse_existing,
    refuse_unreplaceable,
    restorers_of,
    told,
)
from pgvow.operations.restore.tool import (
    choose_pg_restore,
    major_of,
    owner_steps,
    role_steps,
    tablespace_steps,
)
from pgvow.operations.verify import verify_backup
from pgvow.postgres.binaries import find_installations
from pgvow.postgres.databases import LONGEST_NAME, refused
from pgvow.postgres.server import server_facts
from pgvow.postgres.statements import role_set, roles_in
from pgvow.store import StoredBackup, load_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.model import Metadata
    from pgvow.operations.restore.run import RestoreOptions
    from pgvow.postgres.databases import Databases
    from pgvow.progress import Progress
    from pgvow.settings import Settings


_TEMPLATES = frozenset({"template0", "template1"})


def require_name(options: RestoreOptions) -> None:
    """Raise ConfigurationError where PostgreSQL would cut the name off, or not take it."""
    try:
        size = len(options.database.encode())
    except UnicodeEncodeError:
        raise ConfigurationError(
            "the name of the database is not UTF-8",
            steps=["Choose another name: --to DATABASE"],
        ) from None
    if not 0 < size <= LONGEST_NAME or "\0" in options.database:
        raise ConfigurationError(
            f"a database's name has 1 to {LONGEST_NAME} bytes, not {size}",
            steps=["Choose another name: --to DATABASE"],
        )
    if options.database in _TEMPLATES:
        raise ConfigurationError(
            f"{options.database} is what the server makes new databases of, and not for data",
            steps=["Choose another name: --to DATABASE"],
        )


def require_whole(options: RestoreOptions) -> None:
    """Raise ConfigurationError where a part of a backup would take the place of a database."""
    part = "--table" if options.tables else "--schema-only" if options.schema_only else None
    if options.swap and part is not None:
        raise ConfigurationError(
            f"--swap puts a whole database in the place of another, and {part} is a part of one",
            steps=[f"Restore the part under a name of its own: {part} without --swap"],
        )
    if options.swap:
        try:
            metadata = load_metadata(options.file)
        except (VerificationFailed, AccessDenied, OSError):
            return  # verifying it has more to tell
        _refuse_part(options, metadata)


def _refuse_part(options: RestoreOptions, metadata: Metadata) -> None:
    """Raise ConfigurationError if a backup of a part would take the place of a database."""
    if not options.swap or not metadata.selection:
        return
    raise ConfigurationError(
        "--swap puts a whole database in the place of another, and this backup is only of a part:"
        f" {' '.join(metadata.selection)}",
        facts={"File": str(options.file)},
        steps=[
            "Restore it under a name of its own, without --swap, and take what you need: --to NAME",
            "Or restore a whole backup: pgvow list",
        ],
    )


def is_asked_for(settings: Settings, options: RestoreOptions) -> bool:
    """Whether a swap has to be confirmed: everywhere but in development."""
    return options.swap and settings.environment != DEV


def require_confirmation(settings: Settings, options: RestoreOptions) -> None:
    """Raise RestoreFailed where more than a database for development goes, and nobody said so."""
    if options.confirmed or not is_asked_for(settings, options):
        return
    raise RestoreFailed(
        f"a swap replaces the database {options.database} of environment"
        f" {settings.environment}, and was not confirmed",
        facts=settings.connection.facts(),
        steps=["Say that this is what you want: --yes"],
    )


def verified(
    settings: Settings, options: RestoreOptions, environ: Mapping[str, str], progress: Progress
) -> Metadata:
    """Refuse to restore from a file that is not what its metadata says."""
    result = verify_backup(
        StoredBackup.at(options.file), pg_bin=settings.pg_bin, environ=environ, progress=progress
    )
    if result.passed and result.metadata is not None:
        _refuse_part(options, result.metadata)  # of the very metadata that were verified
        return result.metadata
    raise VerificationFailed(
        "\n".join(
            f"{check.name}: expected {check.expected}, found {check.found}"
            for check in result.checks
            if not check.passed
        ),
        facts={"File": str(options.file)},
        steps=[
            "Nothing was restored, and nothing on the server was touched",
            "Restore from another backup: pgvow list",
            "See all that is wrong with this one: pgvow verify FILE",
        ],
    )


def prepared(
    settings: Settings,
    options: RestoreOptions,
    environ: Mapping[str, str],
    progress: Progress,
    databases: Databases,
    metadata: Metadata,
) -> Run:
    """Find out everything that can be refused before anything is made."""
    with refused(databases.target):
        server = server_facts(databases.session)
    installation = choose_pg_restore(
        find_installations(pg_bin=settings.pg_bin, environ=environ),
        server_major=server.major,
        made_by=major_of(metadata.pg_dump_version),
    )
    with open_finished(options.file) as file:
        toc = mapped(read_toc(file), options.owner_map)
    definition = database_definition(toc)
    selection = select(toc, options.tables, superuser=server.is_superuser)
    run = Run(
        options=options,
        progress=progress,
        target=databases.target,
        databases=databases,
        server=server,
        installation=installation,
        metadata=metadata,
        toc=toc,
        selection=selection,
        definition=definition.without_tablespace() if options.no_tablespaces else definition,
    )
    if selection.cut_off:
        names = ", ".join(f"{entry.desc} {entry.name}" for entry in selection.cut_off)
        run.warn(f"left out, for it needs a table that was not chosen: {names}")
    return run


def require_roles(run: Run) -> None:
    """Raise an error where a role is to own or be granted something and cannot.

    RestoreFailed where the server lacks it, AccessDenied where nothing may be given to it by us:
    pg_restore would find that out in the middle.
    """
    there = run.databases.role_names()
    if run.options.no_owner:
        _leave_out_settings(run, there)
    restored = (*run.selection.entries, *run.selection.left_out)
    owner = run.definition.owner
    if run.options.no_owner:
        restored, owner = tuple(replace(entry, owner="") for entry in restored), ""
    needed = roles_named(replace(run.toc, entries=restored)) | ({owner} - {""})
    missing = sorted(needed.union(*map(roles_in, run.definition.properties)) - there)
    if missing:
        raise RestoreFailed(
            f"the archive names roles that this server does not have: {', '.join(missing)}",
            facts=run.target.facts,
            steps=role_steps(no_owner=run.options.no_owner),
        )
    if not (run.options.no_owner or run.server.is_superuser):
        _require_membership(run)


def _leave_out_settings(run: Run, there: frozenset[str]) -> None:
    """Leave out what the database sets for roles that are not there: nobody can come as one."""
    of_roles = {one: role_set(one) for one in run.definition.properties}
    missing = {role for role in of_roles.values() if role is not None} - there
    if missing:
        kept = tuple(one for one, role in of_roles.items() if role not in missing)
        run.definition = replace(run.definition, properties=kept)
        run.warn(
            "left out the database's settings for roles that this server does not have:"
            f" {', '.join(sorted(missing))}"
        )


def _require_membership(run: Run) -> None:
    owners = {entry.owner for entry in run.selection.entries if is_given_away(entry)}
    owners |= {entry.owner for entry in run.selection.left_out if entry.desc == kinds.SCHEMA}
    beyond = run.databases.roles_beyond_us((owners | {run.definition.owner}) - {""})
    if beyond:
        raise AccessDenied(
            f"the role {run.server.user} is not a member of, or does not inherit from, roles that"
            f" own what is restored: {', '.join(beyond)}",
            facts=run.target.facts,
            steps=[*owner_steps(), "Or restore as a superuser, or as a member of those roles"],
        )


def require_tablespaces(run: Run) -> None:
    """Raise RestoreFailed where the server lacks a tablespace that something is to lie in."""
    if run.options.no_tablespaces:
        return
    needed = {entry.tablespace for entry in run.selection.entries} | {run.definition.tablespace}
    missing = sorted({one for one in needed if one} - run.databases.tablespace_names())
    if missing:
        raise RestoreFailed(
            f"the archive names tablespaces that this server does not have: {', '.join(missing)}",
            facts=run.target.facts,
            steps=tablespace_steps(),
        )


def claim_name(run: Run) -> None:
    """Take the name, and refuse what must not be touched."""
    database, options = run.options.database, run.options
    claim(run.databases, database, warn=run.warn)
    if run.server.is_superuser:
        clear_restorers(run, restorers_of(database))
    if not options.swap:
        refuse_existing(run.databases, database)
    elif run.databases.exists(database):
        refuse_unreplaceable(run.databases, database, user=run.server.user)
        run.replaces = True
        run.sessions = refuse_connected(run.databases, database, terminate=options.terminate)
        if run.sessions:
            run.warn(
                f"{len(run.sessions)} sessions are connected to {database} and will be ended at"
                f" the moment of the swap: {told(run.sessions)}"
            )
