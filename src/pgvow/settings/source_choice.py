"""Choose the source of a run: development, production or another, and why."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, Problem
from pgvow.settings.configuration import DEVELOPMENT, PRODUCTION
from pgvow.settings.connection import SettingsReader
from pgvow.settings.values import AUTO
from pgvow.settings.variables import ENV_MODE, KNOWN, OWN, SECRET_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.settings.configuration import Source
    from pgvow.settings.env_files import Variables

_CONTRACT = {
    "dev": DEVELOPMENT,
    "development": DEVELOPMENT,
    "prod": PRODUCTION,
    "production": PRODUCTION,
}

# Without --env and ENV_MODE the first of these that is set decides.
_SIGNS = {
    DEVELOPMENT.variables.of("NAME")[0]: DEVELOPMENT.name,
    PRODUCTION.variables.of("NAME")[0]: PRODUCTION.name,
    DEVELOPMENT.variables.url_variable: DEVELOPMENT.name,
    PRODUCTION.variables.url_variable: PRODUCTION.name,
}

_EXAMPLE = """a file .env.local in the current directory:

    DEV_DB_HOST=127.0.0.1
    DEV_DB_NAME=project_dev
    DEV_DB_USER=project
    DEV_DB_PASSWORD='secret'
"""


def choose(
    env: str, reader: SettingsReader, environments: Mapping[str, Source]
) -> tuple[Source, str] | None:
    """Choose the source of a run, and return it with the reason; None if that is a problem.

    ``environments`` are the sources of ``pgvow.toml``, which has more than the two of the contract.
    """
    sources = _by_name(environments)
    if env.lower() == AUTO:
        return _detect(reader, sources)
    if source := sources.get(env.lower()):
        return source, "--env"
    reader.complain("--env", None, f"{env!r} is no environment", _known(environments))
    return None


def named_environment(
    env: str, environments: Mapping[str, Source] = MappingProxyType({})
) -> str | None:
    """Translate ``--env`` alone: its short name, or None for auto; raises ConfigurationError."""
    if env.lower() == AUTO:
        return None
    if source := _by_name(environments).get(env.lower()):
        return source.name
    problem = Problem("--env", None, f"{env!r} is no environment", _known(environments))
    raise ConfigurationError.of([problem])


def detected_environment(
    env: str, variables: Variables, environments: Mapping[str, Source]
) -> str | None:
    """Return the name of a run's source, or None if it is not known; reports no problem."""
    chosen = choose(env, SettingsReader(variables), environments)
    return chosen[0].name if chosen else None


def variables_of(environments: Mapping[str, Source]) -> frozenset[str]:
    """Collect the name of every variable that is read, with those of added environments."""
    return KNOWN.union(OWN, *(source.variables.every for source in environments.values()))


def password_variables(environments: Mapping[str, Source]) -> frozenset[str]:
    """Collect the names of the variables that hold a password."""
    return SECRET_VARIABLES.union(*(own.variables.of("PASSWORD") for own in environments.values()))


def _by_name(environments: Mapping[str, Source]) -> dict[str, Source]:
    own = {name: environments.get(source.name, source) for name, source in _CONTRACT.items()}
    return {**environments, **own}


def _known(environments: Mapping[str, Source]) -> str:
    names = [DEVELOPMENT.name, PRODUCTION.name]
    names += sorted(environments.keys() - set(names))
    return f"{', '.join(names)} or {AUTO}"


def _detect(reader: SettingsReader, sources: Mapping[str, Source]) -> tuple[Source, str] | None:
    mode = reader.variables.get(ENV_MODE)
    if mode is None:
        return _by_signs(reader, sources)
    if source := sources.get(mode.value.lower()):
        return source, f"{ENV_MODE} from {mode.source}"
    quoted = reader.variables.quote(mode)
    complaint = f"{quoted} is no environment" if mode.value else "is empty"
    reader.complain(ENV_MODE, mode.source, complaint, f"{ENV_MODE}=dev or {ENV_MODE}=prod")
    return None


def _by_signs(reader: SettingsReader, sources: Mapping[str, Source]) -> tuple[Source, str] | None:
    for variable, name in _SIGNS.items():
        if value := reader.variables.get(variable):
            return sources[name], f"{variable} is set in {value.source}"
    variables = ", ".join(_SIGNS)
    complaint = (
        f"which database? None of {ENV_MODE}, {variables} is set,"
        " neither in the environment nor in .env.local or .env"
    )
    reader.complain(ENV_MODE, None, complaint, _EXAMPLE.rstrip())
    return None
