"""The checks of a restore: everything that can refuse it, before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds, read_toc, roles_named
from pgvow.errors import AccessDenied, ConfigurationError, RestoreFailed, VerificationFailed
from pgvow.model import DEV
from pgvow.operations.core import foreign
from pgvow.operations.core.choose_pg_restore import choose_pg_restore, major_of
from pgvow.operations.core.owners import is_given_away
from pgvow.operations.core.stages import CheckedBackup
from pgvow.operations.restore.failure import owner_steps, role_steps, tablespace_steps
from pgvow.operations.restore.selection import database_definition, mapped, select
from pgvow.operations.restore.swap import (
    SwapNames,
    claim,
    drop_abandoned_roles,
    listed,
    refuse_connected,
    refuse_existing,
    refuse_unreplaceable,
)
from pgvow.operations.verify import VerifyOptions, verify_backup
from pgvow.postgres.binaries import find_installations
from pgvow.postgres.databases import LONGEST_NAME, refused
from pgvow.postgres.pg_restore import RestoreTools
from pgvow.postgres.server import server_facts
from pgvow.postgres.statements import role_set, roles_in
from pgvow.store import StoredBackup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgvow.archive import TocEntry
    from pgvow.model import Metadata
    from pgvow.operations.context import Context
    from pgvow.operations.restore import RestoreOptions
    from pgvow.operations.restore.selection import DatabaseDefinition
    from pgvow.postgres.connection import ConnectionTarget
    from pgvow.postgres.databases import ConnectedSession, Databases
    from pgvow.postgres.server import ServerFacts
    from pgvow.progress import Reporter
    from pgvow.settings import Settings
    from pgvow.store import StoredBackup

_TEMPLATES = frozenset({"template0", "template1"})


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """A restore whose name is claimed: its backup, its server, and its programs.

    ``left_out`` are entries that pg_restore does not get. ``replaced`` are the sessions of the
    database that a swap will replace, None if there is none.
    """

    options: RestoreOptions
    databases: Databases
    server: ServerFacts
    tools: RestoreTools
    backup: CheckedBackup
    left_out: tuple[TocEntry, ...]
    definition: DatabaseDefinition
    names: SwapNames
    replaced: tuple[ConnectedSession, ...] | None
    report: Reporter

    @property
    def target(self) -> ConnectionTarget:
        """The server, and how to reach it."""
        return self.databases.target


def require_name(options: RestoreOptions) -> None:
    """Raise ConfigurationError if PostgreSQL would cut the name off, or not take it."""
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


def require_whole(backup: StoredBackup, options: RestoreOptions) -> None:
    """Raise ConfigurationError if a part of a backup would take the place of a database."""
    part = "--table" if options.tables else "--schema-only" if options.schema_only else None
    if options.swap and part is not None:
        raise ConfigurationError(
            f"--swap puts a whole database in the place of another, and {part} is a part of one",
            steps=[f"Restore the part under a name of its own: {part} without --swap"],
        )
    if options.swap:
        try:
            metadata = backup.metadata()
        except (VerificationFailed, AccessDenied, OSError):
            return  # the verification reports it in full
        _refuse_part(backup, options, metadata)


def _refuse_part(backup: StoredBackup, options: RestoreOptions, metadata: Metadata) -> None:
    """Raise ConfigurationError if a backup of a part would take the place of a database."""
    if not options.swap or not metadata.selection:
        return
    raise ConfigurationError(
        "--swap puts a whole database in the place of another, and this backup is only of a part:"
        f" {' '.join(metadata.selection)}",
        facts={"File": str(backup.path)},
        steps=[
            "Restore it under a name of its own, without --swap, and take what you need: --to NAME",
            "Or restore a whole backup: pgvow list",
        ],
    )


def is_asked_for(settings: Settings, options: RestoreOptions) -> bool:
    """Whether a swap has to be confirmed: in every environment but development."""
    return options.swap and settings.environment != DEV


def require_confirmation(settings: Settings, options: RestoreOptions) -> None:
    """Raise RestoreFailed if a swap outside of development was not confirmed."""
    if options.confirmed or not is_asked_for(settings, options):
        return
    raise RestoreFailed(
        f"a swap replaces the database {options.database} of environment"
        f" {settings.environment}, and was not confirmed",
        facts=settings.connection.facts(),
        steps=["Say that this is what you want: --yes"],
    )


def verified(
    settings: Settings, backup: StoredBackup, options: RestoreOptions, context: Context
) -> Metadata:
    """Verify the file and return its metadata; raises VerificationFailed if they differ.

    A dump without metadata is decoded to its end instead.
    """
    metadata = foreign.described_alone(backup, context)
    if metadata is not None:
        _refuse_part(backup, options, metadata)
        return metadata
    result = verify_backup(backup, VerifyOptions(settings.pg_bin), context)
    if result.passed and result.metadata is not None:
        foreign.require_definitions(result.metadata)
        _refuse_part(backup, options, result.metadata)  # of the very metadata that were verified
        return result.metadata
    raise VerificationFailed(
        "\n".join(
            f"{check.name}: expected {check.expected}, found {check.found}"
            for check in result.checks
            if not check.passed
        ),
        facts={"File": str(backup.path)},
        steps=[
            "Nothing was restored, and nothing on the server was touched",
            "Restore from another backup: pgvow list",
            "See all that is wrong with this one: pgvow verify FILE",
        ],
    )


def planned(
    settings: Settings,
    backup: StoredBackup,
    options: RestoreOptions,
    context: Context,
    databases: Databases,
    metadata: Metadata,
) -> RestorePlan:
    """Choose the program and the entries, and claim the name.

    Raises RestoreFailed, AccessDenied, ToolUnsuitable, VerificationFailed and UnknownTable.
    """
    with refused(databases.target):
        server = server_facts(databases.session)
    installation = choose_pg_restore(
        find_installations(pg_bin=settings.pg_bin, environ=context.environ),
        server_major=server.major,
        made_by=major_of(metadata.pg_dump_version),
    )
    with backup.open_dump() as file:
        toc = mapped(read_toc(file), options.owner_map)
    definition = database_definition(toc)
    selection = select(toc, options.tables, superuser=server.is_superuser)
    if selection.cut_off:
        names = ", ".join(entry.shown for entry in selection.cut_off)
        context.reporter.warn(f"left out, for it needs a table that was not chosen: {names}")
    replaced = _claim(options, databases, server, context.reporter.warn)
    tools = RestoreTools(installation, databases.target)
    return RestorePlan(
        options=options,
        databases=databases,
        server=server,
        tools=tools,
        backup=CheckedBackup(
            backup, metadata, toc, selection.entries, tools, bool(options.owner_map)
        ),
        left_out=selection.left_out,
        definition=definition.without_tablespace() if options.no_tablespaces else definition,
        names=SwapNames.free(databases, options.database, context.clock()),
        replaced=replaced,
        report=context.reporter,
    )


def _claim(
    options: RestoreOptions,
    databases: Databases,
    server: ServerFacts,
    warn: Callable[[str], None],
) -> tuple[ConnectedSession, ...] | None:
    """Claim the name; returns the sessions of the database to replace, None if there is none."""
    database = options.database
    claim(databases, database, warn=warn)
    if server.is_superuser:
        drop_abandoned_roles(databases, database, warn=warn)
    if not options.swap:
        refuse_existing(databases, database)
        return None
    if not databases.exists(database):
        return None
    refuse_unreplaceable(databases, database, user=server.user)
    sessions = refuse_connected(databases, database, terminate=options.terminate)
    if sessions:
        warn(
            f"{len(sessions)} sessions are connected to {database} and will be ended at"
            f" the moment of the swap: {listed(sessions)}"
        )
    return sessions


def with_known_roles(plan: RestorePlan) -> RestorePlan:
    """Return the plan if the server has all roles, and they may own and be granted everything.

    pg_restore would find that out in the middle. With ``--no-owner`` the database's settings for
    roles that are missing are left out. Raises RestoreFailed if a role is missing, AccessDenied if
    we may not give anything to one.
    """
    existing = plan.databases.role_names()
    no_owner = plan.options.no_owner
    restored = (*plan.backup.entries, *plan.left_out)
    owner = plan.definition.owner
    if no_owner:
        plan = _without_settings_of_missing(plan, existing)
        restored, owner = tuple(replace(entry, owner="") for entry in restored), ""
    needed = roles_named(replace(plan.backup.toc, entries=restored)) | ({owner} - {""})
    missing = sorted(needed.union(*map(roles_in, plan.definition.properties)) - existing)
    if plan.options.rescue:
        plan = without_missing_roles(plan, missing) if missing else plan
        # Objects that cannot be given away are told, and stay ours.
        return replace(plan, backup=replace(plan.backup, owners_later=not no_owner))
    if missing:
        raise RestoreFailed(
            f"the archive names roles that this server does not have: {', '.join(missing)}",
            facts=plan.target.facts,
            steps=role_steps(no_owner=no_owner),
        )
    if not (no_owner or plan.server.is_superuser):
        _require_membership(plan)
    return plan


def without_missing_roles(plan: RestorePlan, missing: Sequence[str]) -> RestorePlan:
    """Return the plan of a rescue on a server without some roles.

    Objects go to their owners at the end, and those of a missing role stay ours. The settings of
    the database that name such a role are left out.
    """
    gone = frozenset(missing)
    plan.report.warn(
        f"the archive names roles that this server does not have: {', '.join(missing)}; what they"
        f" own belongs to {plan.server.user}"
    )
    definition = plan.definition
    properties = tuple(each for each in definition.properties if gone.isdisjoint(roles_in(each)))
    owner = "" if definition.owner in gone else definition.owner
    left_out = tuple(
        replace(entry, owner="") if entry.owner in gone else entry for entry in plan.left_out
    )
    return replace(
        plan,
        definition=replace(definition, owner=owner, properties=properties),
        left_out=left_out,
    )


def _without_settings_of_missing(plan: RestorePlan, existing: frozenset[str]) -> RestorePlan:
    """Drop ALTER ROLE … IN DATABASE settings of roles that this server lacks: none can log in."""
    of_roles = {each: role_set(each) for each in plan.definition.properties}
    missing = {role for role in of_roles.values() if role is not None} - existing
    if not missing:
        return plan
    plan.report.warn(
        "left out the database's settings for roles that this server does not have:"
        f" {', '.join(sorted(missing))}"
    )
    kept = tuple(each for each, role in of_roles.items() if role not in missing)
    return replace(plan, definition=replace(plan.definition, properties=kept))


def _require_membership(plan: RestorePlan) -> None:
    owners = {entry.owner for entry in plan.backup.entries if is_given_away(entry)}
    owners |= {entry.owner for entry in plan.left_out if entry.desc == kinds.SCHEMA}
    beyond = plan.databases.roles_beyond_us((owners | {plan.definition.owner}) - {""})
    if beyond:
        raise AccessDenied(
            f"the role {plan.server.user} is not a member of, or does not inherit from, roles that"
            f" own what is restored: {', '.join(beyond)}",
            facts=plan.target.facts,
            steps=[*owner_steps(), "Or restore as a superuser, or as a member of those roles"],
        )


def with_known_tablespaces(plan: RestorePlan) -> RestorePlan:
    """Return the plan if the server has all tablespaces; a rescue goes on without any.

    Raises RestoreFailed if one of an entry or of the database is missing.
    """
    if plan.options.no_tablespaces:
        return plan
    needed = {entry.tablespace for entry in plan.backup.entries} | {plan.definition.tablespace}
    missing = sorted({each for each in needed if each} - plan.databases.tablespace_names())
    if missing and plan.options.rescue:
        plan.report.warn(
            "the archive names tablespaces that this server does not have:"
            f" {', '.join(missing)}; everything is in the default one"
        )
        options = replace(plan.options, no_tablespaces=True)
        return replace(plan, options=options, definition=plan.definition.without_tablespace())
    if missing:
        raise RestoreFailed(
            f"the archive names tablespaces that this server does not have: {', '.join(missing)}",
            facts=plan.target.facts,
            steps=tablespace_steps(),
        )
    return plan
