"""The roles and tablespaces kept beside a dump: those that are missing are made, no other touched.

The script is pg_dumpall's, meant for psql. It is run here statement by statement: psql would obey
what a script tells it to run on this machine, and would change the roles that exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, PgvowError, VerificationFailed
from pgvow.finished_file import read_finished
from pgvow.postgres.statements import statements, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pgvow.operations.restore.run import Run
    from pgvow.postgres.databases import Databases
    from pgvow.postgres.statements import Statement, Token

_LARGEST = 256 << 20
_SHORTEST = 3  # CREATE ROLE name
_GRANTED_BY = ("GRANTED", "BY")


@dataclass(frozen=True, slots=True)
class Known:
    """What the server has before anything is made."""

    roles: frozenset[str]
    tablespaces: frozenset[str]


def restore_globals(run: Run) -> None:
    """Make the roles and tablespaces that the server lacks; raises RestoreFailed, AccessDenied.

    The roles in one transaction, so that none is there half of what it was; a tablespace cannot be
    made in one.
    """
    dump, databases = run.options.file, run.databases
    kept = run.metadata.globals
    if kept is None:
        raise ConfigurationError(
            "there are no roles and tablespaces beside this backup: it was made with --no-globals",
            facts={"File": str(dump)},
            steps=["Create the roles yourself, or let everything belong to one: --no-owner"],
        )
    path = dump.with_name(kept.file)
    known = Known(databases.role_names(), databases.tablespace_names())
    script = tuple(wanted(_text(path), known))
    with databases.session.transaction():
        _run(databases, (one for one in script if not _is_of_tablespace(one)), path)
    run.made_roles = tuple(sorted(databases.role_names() - known.roles))
    if run.made_roles:
        run.warn(f"created roles: {', '.join(run.made_roles)}")
    if not run.options.no_tablespaces:
        _run(databases, filter(_is_of_tablespace, script), path)


def _text(path: Path) -> str:
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
    """Yield what makes a role or tablespace that is not known, or is said of such a one.

    A membership is wanted where either role is new. Who granted it is left out where the server
    has no such role.
    """
    roles = set(known.roles)
    for statement in statements(script):
        said = words(statement)
        if _is_wanted(said, known):
            if said[0].keyword == "CREATE" and said[1].keyword == "ROLE" and said[2].name:
                roles.add(said[2].name)
            yield _with_known_grantor(statement, roles)


def _is_wanted(said: tuple[Token, ...], known: Known) -> bool:
    keywords = [token.keyword for token in said]
    if len(said) < _SHORTEST or keywords[0] == "SET":
        return False
    if keywords[1] == "ROLE" or keywords[1:3] == ["ON", "ROLE"]:
        return said[keywords.index("ROLE") + 1].name not in known.roles
    if "TABLESPACE" in keywords:
        return said[keywords.index("TABLESPACE") + 1].name not in known.tablespaces
    if keywords[0] == "GRANT" and "ON" not in keywords:
        granted, member = said[1].name, said[keywords.index("TO") + 1].name
        return granted not in known.roles or member not in known.roles
    return _is_for_new_role(said, keywords, known)


def _is_for_new_role(said: tuple[Token, ...], keywords: list[str | None], known: Known) -> bool:
    """Say whether a grant on a parameter is to a role that is not known."""
    if keywords[0] != "GRANT" or "TO" not in keywords:
        return False
    member = said[keywords.index("TO") + 1].name
    return member is not None and member not in known.roles


def _with_known_grantor(statement: Statement, roles: set[str]) -> Statement:
    places = [place for place, token in enumerate(statement) if not token.is_blank]
    for first, second, third in zip(places, places[1:], places[2:], strict=False):
        pair = (statement[first].keyword, statement[second].keyword)
        if pair == _GRANTED_BY and statement[third].name not in roles:
            return (*statement[:first], *statement[third + 1 :])
    return statement
