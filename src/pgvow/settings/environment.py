"""Development or production, and why."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, Problem
from pgvow.settings.masking import SECRET_VARIABLES
from pgvow.settings.reading import Reading
from pgvow.settings.variables import DEVELOPMENT, ENV_MODE, KNOWN, OWN, PRODUCTION, Block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.settings.configuration import EnvironmentSection
    from pgvow.settings.sources import Sources

AUTO = "auto"

_BLOCKS = {
    "dev": DEVELOPMENT,
    "development": DEVELOPMENT,
    "prod": PRODUCTION,
    "production": PRODUCTION,
}

# Without --env and ENV_MODE the first of these that is set decides.
_SIGNS = (
    (DEVELOPMENT.dbname[0], DEVELOPMENT),
    (PRODUCTION.dbname[0], PRODUCTION),
    (DEVELOPMENT.url, DEVELOPMENT),
    (PRODUCTION.url, PRODUCTION),
)

_EXAMPLE = """a file .env.local in the current directory:

    DEV_DB_HOST=127.0.0.1
    DEV_DB_NAME=project_dev
    DEV_DB_USER=project
    DEV_DB_PASSWORD='secret'
"""


def choose(
    env: str, reading: Reading, more: Mapping[str, EnvironmentSection]
) -> tuple[Block, str] | None:
    """Decide on the environment, and say why; None where that is a problem.

    ``more`` are the environments that ``pgvow.toml`` adds to the two of the contract.
    """
    blocks = _blocks(more)
    if env.lower() == AUTO:
        return _detect(reading, blocks)
    if block := blocks.get(env.lower()):
        return block, "--env"
    reading.complain("--env", None, f"{env!r} is no environment", _known(more))
    return None


def named_environment(
    env: str, more: Mapping[str, EnvironmentSection] = MappingProxyType({})
) -> str | None:
    """Translate ``--env`` alone: its short name, or None for auto; raises ConfigurationError."""
    if env.lower() == AUTO:
        return None
    if block := _blocks(more).get(env.lower()):
        return block.environment
    raise ConfigurationError.of(
        [Problem("--env", None, f"{env!r} is no environment", _known(more))]
    )


def detected_environment(
    env: str, sources: Sources, more: Mapping[str, EnvironmentSection]
) -> str | None:
    """Say which environment a run is of, where that can be told; complains of nothing."""
    chosen = choose(env, Reading(sources), more)
    return chosen[0].environment if chosen else None


def variables_of(more: Mapping[str, EnvironmentSection]) -> frozenset[str]:
    """Collect the name of every variable that is read, with those of added environments."""
    blocks = [_block(one) for one in more.values()]
    parts = (part for one in blocks for part in (*one.own, *one.port, *one.password, one.url))
    return KNOWN | OWN | frozenset(parts)


def password_variables(more: Mapping[str, EnvironmentSection]) -> frozenset[str]:
    """Collect the names of the variables that hold a password."""
    return SECRET_VARIABLES | {name for one in more.values() for name in _block(one).password}


def _blocks(more: Mapping[str, EnvironmentSection]) -> dict[str, Block]:
    return {**{name: _block(one) for name, one in more.items()}, **_BLOCKS}


def _block(section: EnvironmentSection) -> Block:
    prefix = section.prefix
    return Block(
        environment=section.name,
        host=(f"{prefix}_HOST",),
        port=(f"{prefix}_PORT",),
        dbname=(f"{prefix}_NAME",),
        user=(f"{prefix}_USER",),
        password=(f"{prefix}_PASSWORD",),
        url=section.url_variable,
        user_required=True,
    )


def _known(more: Mapping[str, EnvironmentSection]) -> str:
    names = [DEVELOPMENT.environment, PRODUCTION.environment]
    names += sorted(more.keys() - set(names))
    return f"{', '.join(names)} or {AUTO}"


def _detect(reading: Reading, blocks: Mapping[str, Block]) -> tuple[Block, str] | None:
    mode = reading.sources.get(ENV_MODE)
    if mode is None:
        return _by_signs(reading)
    if block := blocks.get(mode.value.lower()):
        return block, f"{ENV_MODE} from {mode.source}"
    what = f"{reading.sources.quote(mode)} is no environment" if mode.value else "is empty"
    reading.complain(ENV_MODE, mode.source, what, f"{ENV_MODE}=dev or {ENV_MODE}=prod")
    return None


def _by_signs(reading: Reading) -> tuple[Block, str] | None:
    for variable, block in _SIGNS:
        if sourced := reading.sources.get(variable):
            return block, f"{variable} is set in {sourced.source}"
    variables = ", ".join(variable for variable, _ in _SIGNS)
    complaint = (
        f"which database? None of {ENV_MODE}, {variables} is set,"
        " neither in the environment nor in .env.local or .env"
    )
    reading.complain(ENV_MODE, None, complaint, _EXAMPLE.rstrip())
    return None
