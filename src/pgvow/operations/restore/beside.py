"""Restore tables into a living database, beside those that it has: ``restore --into``.

The entries are restored into a temporary database, as by every restore. There the tables are moved
apart and renamed; pg_dump and pg_restore carry them into a schema of their own in the living
database, where their rows are compared with the backup; and one transaction gives them their names.
Nothing that was there is changed, and no lock of it is waited for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.errors import CannotBeProven, PgvowError, RestoreFailed
from pgvow.operations.core.fill import Filling
from pgvow.operations.core.stages import FailedEntry, RestorerTools, open_restored
from pgvow.operations.restore import RestoreOptions, RestoreResult
from pgvow.operations.restore.beside_checks import require_beside_confirmation, require_usable
from pgvow.operations.restore.beside_copies import compare_copies
from pgvow.operations.restore.beside_names import free_name, named_after
from pgvow.operations.restore.beside_plan import BesidePlan, planned_beside
from pgvow.operations.restore.checks import RestorePlan, verified
from pgvow.operations.restore.failure import restore_failure
from pgvow.operations.restore.progress import RowsWatch
from pgvow.operations.restore.swap import SwapNames, claim, drop_abandoned_roles
from pgvow.operations.restore.temporary_database import dropped_on_failure, restoring_role
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.database_settings import needed_by_restore
from pgvow.postgres.databases import Databases, refused
from pgvow.postgres.pg_restore import PgRestoreOptions
from pgvow.postgres.restorer import runs_as_superuser
from pgvow.postgres.sql import query
from pgvow.postgres.statements import for_database, written
from pgvow.postgres.table_copy import (
    CopiedObject,
    carry_over,
    drop_abandoned_holdings,
    holding_name,
    holding_schema,
    move_in,
    set_apart,
    taken_names,
)
from pgvow.progress import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgvow.operations.context import Context
    from pgvow.operations.core.compare import Comparison
    from pgvow.operations.restore.beside_copies import TableCopy
    from pgvow.operations.restore.beside_plan import BesideOptions
    from pgvow.postgres.connection import Session
    from pgvow.settings import Settings
    from pgvow.store import StoredBackup

    Compared = tuple[Comparison | None, str | None]
    """A comparison, or the server's reason why there is none."""

_DIFFERENCES_SHOWN = 20
_READ_ALL = "pg_read_all_data"


@dataclass(frozen=True, slots=True)
class BesideResult:
    """Copies that stand beside the living tables.

    ``result`` has the facts of every restore. ``queries`` are statements that a person may want
    next, each with its purpose before it.
    """

    result: RestoreResult
    plan: BesidePlan
    queries: tuple[tuple[str, str], ...]


def restore_beside(
    settings: Settings, backup: StoredBackup, options: BesideOptions, context: Context
) -> BesideResult:
    """Copy tables of a backup into a living database; see ``BesideOptions``.

    Raises the errors of ``pgvow.errors``. After any of them there is no table under a final name,
    and nothing that was there has been touched.
    """
    started = time.monotonic()
    require_usable(options)
    require_beside_confirmation(settings, options)
    # The stages that every restore has ask these; the database is the living one, and stays.
    common = RestoreOptions(
        options.database, options.jobs, options.tables, no_owner=True, no_tablespaces=True
    )
    with backup.held(), backup.at_hand() as fetched:
        target = ConnectionTarget(settings.connection, settings.libpq_variables, context.environ)
        with (
            context.reporter.collecting() as warnings,
            Databases.connect(target, avoiding=options.database) as databases,
        ):
            plan = planned_beside(settings, fetched, options, context, databases)
            metadata = verified(settings, fetched, common, context)
            seconds, compared = _copy(plan, _claimed(plan, common, databases, context))
            with open_restored(plan.tools, options.database) as live:
                queries = tuple(_queries(live, plan))
        comparison, not_compared = compared
        result = RestoreResult(
            file=fetched.path,
            database=options.database,
            address=plan.address,
            environment=settings.environment,
            metadata=metadata,
            server=plan.server,
            pg_restore=plan.tools.installation.version,
            entries=len(plan.backup.entries),
            comparison=comparison,
            not_compared=not_compared,
            kept_as=None,
            sessions=(),
            ended=0,
            restore_seconds=seconds,
            seconds=time.monotonic() - started,
            warnings=tuple(warnings),
        )
        return BesideResult(result, plan, queries)


def _claimed(
    plan: BesidePlan, common: RestoreOptions, databases: Databases, context: Context
) -> RestorePlan:
    """Claim the living database for restores, and clear away the remains of those that died."""
    warn = context.reporter.warn
    claim(databases, plan.options.database, warn=warn)
    names = SwapNames.free(databases, plan.options.database, context.clock())
    with refused(databases.target), open_restored(plan.tools, plan.options.database) as live:
        drop_abandoned_holdings(live, names.temporary, warn)
    if plan.server.is_superuser:
        drop_abandoned_roles(databases, plan.options.database, warn=warn)
    return RestorePlan(
        options=common,
        databases=databases,
        server=plan.server,
        tools=plan.tools,
        backup=plan.backup,
        left_out=(),
        definition=plan.definition,
        names=names,
        replaced=None,
        report=context.reporter,
    )


def _copy(plan: BesidePlan, run: RestorePlan) -> tuple[float, Compared]:
    """Fill a temporary database, carry the tables over, compare them, and give them their names."""
    started = time.monotonic()
    with restoring_role(run) as restorer, dropped_on_failure(run), refused(run.target):
        helper = RestorerTools.of(restorer, plan.tools)
        _fill(plan, run, helper)
        holding = holding_name(run.names.temporary)
        with open_restored(plan.tools, plan.options.database) as live:
            taken = taken_names(live, plan.schema)
        with open_restored(plan.tools, run.names.temporary) as session:
            tables = [(copy.schema, copy.name) for copy in plan.copies]
            naming = _Naming(plan.copies, taken)
            set_apart(session, tables, holding, naming)
        open_live = partial(open_restored, plan.tools, plan.options.database)
        helper = _in_living_database(plan, run, helper)
        role = helper.name if helper is not None else None
        with holding_schema(open_live, holding, role, run.report.warn):
            _carry(plan, run, helper, holding)
            seconds = time.monotonic() - started
            run.report.update(Step(Phase.COMPARE))
            compared = _compared(plan, run, holding, naming.sequences)
            # Now, so that nothing can fail any more when the copies have their names.
            run.databases.drop(run.names.temporary)
            run.report.update(Step(Phase.NAMING))
            with open_live() as live:
                owners = _owners(plan)
                move_in(live, holding, plan.schema, owners, make_schema=plan.makes_schema)
        run.report.update(Step(Phase.NAMED))
    return seconds, compared


def _fill(plan: BesidePlan, run: RestorePlan, helper: RestorerTools | None) -> None:
    """Restore the tables into a temporary database, with no owners and no grants."""
    name, report = run.names.temporary, run.report
    report.update(Step(Phase.CREATE))
    run.databases.create(name, plan.definition.create)
    report.update(Step(Phase.CREATED))
    with open_restored(plan.tools, name) as session:
        for statement in needed_by_restore(plan.definition.properties):
            session.execute(written(for_database(statement, name)))
        watch = RowsWatch(
            session,
            plan.expected,
            plan.backup.entries,
            one_by_one=plan.options.jobs == 1,
            progress=report,
        )
        manner = PgRestoreOptions(
            plan.options.jobs, no_owner=True, tick=watch.look, warn=report.relay
        )
        filling = Filling(plan.backup, name, manner, helper)
        if failures := filling.run():
            raise restore_failure(failures[0], plan.tools)
    filling.release()


class _Naming:
    """Names the objects of the copies: tables as planned, all else after them and as is free."""

    def __init__(self, copies: Sequence[TableCopy], taken: set[str]) -> None:
        self._copies = copies
        self._tables = {(copy.schema, copy.name): copy.copy_name for copy in copies} | {
            (schema, name): new for copy in copies for schema, name, new in copy.partitions
        }
        self._taken = taken | set(self._tables.values())
        self.sequences: dict[tuple[str, str], str] = {}

    def __call__(self, each: CopiedObject) -> str:
        """Return the name that an object gets."""
        planned = self._tables.get((each.schema, each.name))
        if each.kind == "TABLE" and planned is not None:
            return planned
        copy = self._copies[each.place]
        name = free_name(named_after(each.name, copy.name, copy.copy_name), self._taken)
        self._taken.add(name)
        if each.kind == "SEQUENCE":
            self.sequences[each.schema, each.name] = name
        return name


def _in_living_database(
    plan: BesidePlan, run: RestorePlan, helper: RestorerTools | None
) -> RestorerTools | None:
    """Let the restoring role work in the living database; None, with a warning, if it may not.

    It may use the schemas of the types that the tables have. Code of the backup then runs there
    with few rights: it can change nothing, a copy's own rows apart.
    """
    if helper is None:
        return None
    try:
        helper.tools.open(plan.options.database).close()
    except (PgvowError, psycopg.Error) as error:
        run.report.warn(runs_as_superuser(plan.server.user, error))
        return None
    grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(_READ_ALL), sql.Identifier(helper.name))
    run.databases.session.execute(grant)
    return helper


def _carry(plan: BesidePlan, run: RestorePlan, helper: RestorerTools | None, holding: str) -> None:
    tools = helper.tools if helper is not None else plan.tools
    run.report.update(Step(Phase.RESTORE))
    error = carry_over((plan.tools, run.names.temporary), (tools, plan.options.database), holding)
    if error is not None:
        raise _not_carried(plan, restore_failure(FailedEntry(None, error), plan.tools))
    run.report.update(Step(Phase.ANALYZE))
    with open_restored(tools, plan.options.database) as session:
        for copy in plan.copies:
            name = sql.Identifier(holding, copy.copy_name)
            session.execute(sql.SQL("ANALYZE {}").format(name))


def _not_carried(plan: BesidePlan, error: PgvowError) -> PgvowError:
    """Return the error with the steps for a refusal of the living database."""
    if type(error) is not RestoreFailed:
        return error
    database = plan.options.database
    return RestoreFailed(
        error.cause,
        facts=error.facts,
        steps=[
            (
                f"The backup restores, but not into {database}: its types and functions are"
                " today's, and have to take the rows and be usable by PUBLIC"
            ),
            "Restore the table into a database of its own: --table NAME --to DATABASE",
            f"Nothing was left in {database}",
        ],
    )


def _compared(
    plan: BesidePlan, run: RestorePlan, holding: str, sequences: Mapping[tuple[str, str], str]
) -> Compared:
    """Compare the copies with the backup; raises RestoreFailed if they differ."""
    with open_restored(plan.tools, plan.options.database) as session:
        try:
            comparison = compare_copies(session, plan, holding, sequences)
        except CannotBeProven as error:
            text = f"the copy could not be compared with the backup: {error.cause}"
            run.report.warn(text)
            return None, error.cause
    if comparison.equal:
        return comparison, None
    shown = [str(each) for each in comparison.differences[:_DIFFERENCES_SHOWN]]
    raise RestoreFailed(
        "the copy differs from the backup:\n" + "\n".join(shown),
        facts=run.target.facts,
        steps=[
            f"Nothing was left in {plan.options.database}",
            "Restore the table into a database of its own and look: --table NAME --to DATABASE",
        ],
    )


def _owners(plan: BesidePlan) -> dict[str, str | None]:
    """Return the owner of each copy, partitions too, by its name."""
    return {
        name: copy.owner
        for copy in plan.copies
        for name in (copy.copy_name, *(new for _, _, new in copy.partitions))
    }


def _queries(live: Session, plan: BesidePlan) -> Iterator[tuple[str, str]]:
    """Yield the statements that a person may want next, each with its purpose before it."""
    for copy in plan.copies:
        new = sql.Identifier(copy.copy_schema, copy.copy_name)
        old = sql.Identifier(copy.schema, copy.name)
        exists = live.execute("SELECT pg_catalog.to_regclass(%s)", [old.as_string(live)]).fetchone()
        is_itself = (copy.schema, copy.name) == (copy.copy_schema, copy.copy_name)
        if exists and exists[0] is not None and not is_itself:
            yield (
                f"rows of the backup that {copy.schema}.{copy.name} lacks",
                _lacking(live, copy, old, new),
            )
        drop = sql.SQL("DROP TABLE {};").format(new).as_string(live)
        yield "when the copy is no longer needed", drop


def _lacking(live: Session, copy: TableCopy, old: sql.Identifier, new: sql.Identifier) -> str:
    given = {"schema": copy.copy_schema, "name": copy.copy_name}
    key = [name for (name,) in live.execute(query("primary_key"), given).fetchall()]
    if not key:
        text = sql.SQL("SELECT * FROM {} EXCEPT ALL SELECT * FROM {};").format(new, old)
        return text.as_string(live)
    same = sql.SQL(" AND ").join(
        sql.SQL("today.{0} = backup.{0}").format(sql.Identifier(name)) for name in key
    )
    return (
        sql.SQL(
            "SELECT backup.* FROM {} AS backup WHERE NOT EXISTS (SELECT FROM {} AS today WHERE {});"
        )
        .format(new, old, same)
        .as_string(live)
    )
