"""The temporary database: the role that fills it, its own settings, ANALYZE, and its end."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pgvow.archive import kinds
from pgvow.errors import ConfigurationError, PgvowError, RestoreFailed, VerificationFailed
from pgvow.postgres.database_settings import needed_by_restore
from pgvow.postgres.databases import Databases, on_database, refused
from pgvow.postgres.restorer import create_restorer, drop_restorer, runs_as_superuser
from pgvow.postgres.sql import query
from pgvow.postgres.statements import for_database, statements, words, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pgvow.archive import TocEntry
    from pgvow.operations.restore.checks import RestorePlan
    from pgvow.postgres.connection import ConnectionTarget, Session
    from pgvow.postgres.restorer import Restorer
    from pgvow.postgres.statements import Statement, Token
    from pgvow.store import StoredBackup


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


def create_database(plan: RestorePlan) -> None:
    """Create the temporary database; for a rescue with locale C if the source's is not to be had.

    Raises RestoreFailed, AccessDenied and the like, with the server's words.
    """
    name = plan.names.temporary
    try:
        plan.databases.create(name, plan.definition.create)
    except PgvowError as error:
        if not plan.options.rescue:
            raise
        encoding = sql.Literal(plan.backup.toc.encoding).as_string(None)
        plain = f"CREATE DATABASE x WITH TEMPLATE = template0 ENCODING = {encoding} LOCALE = 'C'"
        try:
            plan.databases.create(name, next(statements(plain)))
        except PgvowError:
            raise error from None
        plan.report.warn(f"made with the collation C, for the source's is refused: {error.cause}")


def apply_definition(session: Session, plan: RestorePlan, *, keep: bool) -> None:
    """Give the temporary database the owner, settings and grants that the archive has for its own.

    Without ``keep`` everything but the owner is tried and rolled back, so that a refusal is known
    before the hours that a restore takes; only the settings that the restore needs stay. A rescue
    leaves out settings that are refused, with a warning. Raises psycopg.Error.
    """
    definition, name = plan.definition, plan.names.temporary
    quoted = sql.Identifier(name)
    if definition.owner and not plan.options.no_owner:
        # Kept in any case: as owner of the database a role may have tables in its schema public.
        owner = sql.Identifier(definition.owner)
        session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(quoted, owner))
    with session.transaction(force_rollback=not keep):
        # In the archive's order, which a later dump would have too.
        session.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(quoted))
        for statement in definition.properties:
            _set(session, plan, statement)
    for statement in () if keep else needed_by_restore(definition.properties):
        _set(session, plan, statement, told=True)


def _set(session: Session, plan: RestorePlan, statement: Statement, *, told: bool = False) -> None:
    """Run a statement about the database; in a rescue a refusal is a warning."""
    if not plan.options.rescue:
        session.execute(written(for_database(statement, plan.names.temporary)))
        return
    try:
        with session.transaction():
            session.execute(written(for_database(statement, plan.names.temporary)))
    except psycopg.Error as error:
        if session.closed:
            raise
        if not told:
            text = " ".join(token.text for token in words(statement))
            plan.report.warn(f"a setting of the database is left out: {text}: {error}")


def apply_left_out(
    session: Session,
    left_out: Iterable[TocEntry],
    *,
    target: ConnectionTarget,
    no_owner: bool,
    rescue: bool,
    warn: Callable[[str], None],
) -> None:
    """Apply the entries that pg_restore does not get: the owner of ``public``, and comments.

    A comment on an extension that is refused is a warning: the extension has brought its own. So
    is any of a rescue, which may have left the extension out.
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
            if rescue and not session.closed:
                warn(f"the comment on {entry.tag.lower()} is left out: {error}")
                continue
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


_LARGEST = 256 << 20
_SHORTEST = 3  # CREATE ROLE name
_GRANTED_BY = ("GRANTED", "BY")


@dataclass(frozen=True, slots=True)
class ExistingNames:
    """The names of the server before anything is made."""

    roles: frozenset[str]
    tablespaces: frozenset[str]


@contextmanager
def restored_globals(plan: RestorePlan) -> Iterator[None]:
    """Make the roles and tablespaces that the server lacks, if they were asked for.

    They stay if the block fails, because others may have begun to use them, and the error names
    the roles. Raises ConfigurationError without globals, RestoreFailed, AccessDenied.
    """
    made: tuple[str, ...] = ()
    try:
        if plan.options.with_globals:
            name = _name_of_globals(plan)
            path = plan.backup.stored.path.with_name(name)
            known = ExistingNames(plan.databases.role_names(), plan.databases.tablespace_names())
            script = tuple(wanted(_script(plan.backup.stored, name), known))
            made = _make_roles(plan, known, script, path)
            if not plan.options.no_tablespaces:
                # Not in a transaction: CREATE TABLESPACE refuses to run in one.
                _run(plan.databases, filter(_is_of_tablespace, script), path)
        yield
    except PgvowError as error:
        if made:
            error.with_facts({"Created roles": f"{', '.join(made)} (they stay)"})
        raise


def _name_of_globals(plan: RestorePlan) -> str:
    facts = plan.backup.metadata.globals
    if facts is None:
        raise ConfigurationError(
            "there are no roles and tablespaces beside this backup: it was made with --no-globals",
            facts={"File": str(plan.backup.stored.path)},
            steps=["Create the roles yourself, or let everything belong to one: --no-owner"],
        )
    return facts.file


def _make_roles(
    plan: RestorePlan, known: ExistingNames, script: Iterable[Statement], path: Path
) -> tuple[str, ...]:
    """Make the roles in one transaction, all of each or nothing; returns their names."""
    databases = plan.databases
    with databases.session.transaction():
        _run(databases, (each for each in script if not _is_of_tablespace(each)), path)
    made = tuple(sorted(databases.role_names() - known.roles))
    if made:
        plan.report.warn(f"created roles: {', '.join(made)}")
    return made


def _script(backup: StoredBackup, name: str) -> str:
    """Read the script; raises VerificationFailed, and the errors of the store."""
    path = backup.path.with_name(name)
    steps = ["Create the roles yourself, or let everything belong to one: --no-owner"]
    try:
        with backup.store.open(name) as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise VerificationFailed(
            f"there is no {path.name}, in which the roles were kept",
            facts={"Globals": str(path)},
            steps=steps,
        ) from None
    if len(data) > _LARGEST:
        raise VerificationFailed(
            f"{path.name} has more than {_LARGEST:,} bytes",
            facts={"Globals": str(path)},
            steps=steps,
        )
    return data.decode("utf-8", "surrogateescape")


def _run(databases: Databases, script: Iterable[Statement], path: Path) -> None:
    for statement in script:
        try:
            databases.run(statement)
        except PgvowError as error:
            shown = " ".join(token.text for token in words(statement)[:3])
            raise error.with_facts({"Statement": shown, "Globals": str(path)}) from None


def _is_of_tablespace(statement: Statement) -> bool:
    return any(token.keyword == "TABLESPACE" for token in words(statement))


def wanted(script: str, known: ExistingNames) -> Iterator[Statement]:
    """Yield the statements that make a role or tablespace that is not known, or concern one.

    A membership is wanted if either role is new. Its GRANTED BY is left out if the server has no
    such role.
    """
    roles = set(known.roles)
    for statement in statements(script):
        tokens = words(statement)
        if _is_wanted(tokens, known):
            if tokens[0].keyword == "CREATE" and tokens[1].keyword == "ROLE" and tokens[2].name:
                roles.add(tokens[2].name)
            yield _with_known_grantor(statement, roles)


def _is_wanted(tokens: tuple[Token, ...], known: ExistingNames) -> bool:
    keywords = [token.keyword for token in tokens]
    if len(tokens) < _SHORTEST or keywords[0] == "SET":
        return False
    if keywords[1] == "ROLE" or keywords[1:3] == ["ON", "ROLE"]:
        return tokens[keywords.index("ROLE") + 1].name not in known.roles
    if "TABLESPACE" in keywords:
        return tokens[keywords.index("TABLESPACE") + 1].name not in known.tablespaces
    if keywords[0] == "GRANT" and "ON" not in keywords:
        granted, member = tokens[1].name, tokens[keywords.index("TO") + 1].name
        return granted not in known.roles or member not in known.roles
    return _is_for_new_role(tokens, keywords, known)


def _is_for_new_role(
    tokens: tuple[Token, ...], keywords: list[str | None], known: ExistingNames
) -> bool:
    """Whether a grant on a parameter is to a role that is not known."""
    if keywords[0] != "GRANT" or "TO" not in keywords:
        return False
    member = tokens[keywords.index("TO") + 1].name
    return member is not None and member not in known.roles


def _with_known_grantor(statement: Statement, roles: set[str]) -> Statement:
    places = [place for place, token in enumerate(statement) if not token.is_blank]
    for first, second, third in zip(places, places[1:], places[2:], strict=False):
        pair = (statement[first].keyword, statement[second].keyword)
        if pair == _GRANTED_BY and statement[third].name not in roles:
            return (*statement[:first], *statement[third + 1 :])
    return statement
