"""Make the roles and tablespaces kept beside a dump that the server lacks, and touch no others.

The script is pg_dumpall's, meant for psql. It is run here statement by statement: psql would run
the commands of a hostile script on this machine, and would change the roles that exist.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, PgvowError, VerificationFailed
from pgvow.finished_file import read_finished
from pgvow.postgres.statements import statements, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pgvow.operations.restore.checks import RestorePlan
    from pgvow.postgres.databases import Databases
    from pgvow.postgres.statements import Statement, Token

_LARGEST = 256 << 20
_SHORTEST = 3  # CREATE ROLE name
_GRANTED_BY = ("GRANTED", "BY")


@dataclass(frozen=True, slots=True)
class Known:
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
            path = _path(plan)
            known = Known(plan.databases.role_names(), plan.databases.tablespace_names())
            script = tuple(wanted(_script(path), known))
            made = _make_roles(plan, known, script, path)
            if not plan.options.no_tablespaces:
                # Not in a transaction: CREATE TABLESPACE refuses to run in one.
                _run(plan.databases, filter(_is_of_tablespace, script), path)
        yield
    except PgvowError as error:
        if made:
            error.with_facts({"Created roles": f"{', '.join(made)} (they stay)"})
        raise


def _path(plan: RestorePlan) -> Path:
    dump, facts = plan.options.file, plan.backup.metadata.globals
    if facts is None:
        raise ConfigurationError(
            "there are no roles and tablespaces beside this backup: it was made with --no-globals",
            facts={"File": str(dump)},
            steps=["Create the roles yourself, or let everything belong to one: --no-owner"],
        )
    return dump.with_name(facts.file)


def _make_roles(
    plan: RestorePlan, known: Known, script: Iterable[Statement], path: Path
) -> tuple[str, ...]:
    """Make the roles in one transaction, all of each or nothing; returns their names."""
    databases = plan.databases
    with databases.session.transaction():
        _run(databases, (each for each in script if not _is_of_tablespace(each)), path)
    made = tuple(sorted(databases.role_names() - known.roles))
    if made:
        plan.report.warn(f"created roles: {', '.join(made)}")
    return made


def _script(path: Path) -> str:
    """Read the script; raises what ``open_finished`` raises, and VerificationFailed."""
    steps = ["Create the roles yourself, or let everything belong to one: --no-owner"]
    try:
        data = read_finished(path, largest=_LARGEST)
    except FileNotFoundError:
        raise VerificationFailed(
            f"there is no {path.name}, in which the roles were kept",
            facts={"Globals": str(path)},
            steps=steps,
        ) from None
    if data is None:
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


def wanted(script: str, known: Known) -> Iterator[Statement]:
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


def _is_wanted(tokens: tuple[Token, ...], known: Known) -> bool:
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


def _is_for_new_role(tokens: tuple[Token, ...], keywords: list[str | None], known: Known) -> bool:
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
