"""The part of an examination that reads the settings files."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, PgvowError
from pgvow.operations.health.findings import Finding, Level
from pgvow.settings import FILES, Variables, password_variables, readable_by_others, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pgvow.settings import Configuration

_CUTOFF = 0.85
"""How alike two names are: DEV_DB_NAM and DB_PSSWORD pass, PGDATA and PGDATABASE do not."""


def configuration_problems(error: PgvowError) -> Iterator[Finding]:
    """Yield a finding for each thing that is wrong with pgvow.toml, with file and line."""
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    hint = error.steps[0] if error.steps else None
    for problem in problems:
        yield Finding(Level.BAD, "pgvow.toml", str(problem))
    if not problems:
        yield Finding(Level.BAD, "pgvow.toml", error.cause, hint)


def examine_files(
    configuration: Configuration, environ: Mapping[str, str], directory: Path
) -> Iterator[Finding]:
    """Look at what ``.env.local`` and ``.env`` hold, and at who may read it."""
    try:
        sources = Variables.read(environ=environ, directory=directory)
    except PgvowError:
        return  # among the problems of the settings already
    passwords = password_variables(configuration.environments)
    yield from _readable(sources, directory, passwords)
    yield from _replaced(sources, passwords)
    yield from _nearly_right(sources, variables_of(configuration.environments))


def _readable(sources: Variables, directory: Path, passwords: frozenset[str]) -> Iterator[Finding]:
    for name in FILES:
        path = directory / name
        if sources.file_has_secret(name, passwords) and readable_by_others(path):
            text = f"{path} has a password in it, and every user of this machine may read it"
            yield Finding(Level.ATTENTION, "settings file", text, f"chmod 600 {path}")


def _replaced(sources: Variables, passwords: frozenset[str]) -> Iterator[Finding]:
    """Find passwords with ``${`` in them, which python-dotenv took for a reference.

    A value that is one reference and nothing else is meant as one.
    """
    for variable in sorted(passwords):
        sourced = sources.get(variable)
        if sourced is not None and sourced.mixed:
            text = f"{variable} from {sourced.source}: a ${{…}} within it was replaced"
            hint = "If the password has ${ itself, write ${:-$}{ for it; single quotes do not help"
            yield Finding(Level.ATTENTION, "password", text, hint)


def _nearly_right(sources: Variables, known: frozenset[str]) -> Iterator[Finding]:
    for name, place in sources.names():
        if name in known:
            continue
        for meant in difflib.get_close_matches(name, sorted(known), 1, _CUTOFF):
            if sources.get(meant) is None:
                text = f"{name} from {place} is read by nobody"
                hint = f"Is {meant} meant, which is not set?"
                yield Finding(Level.ATTENTION, "variable", text, hint)
