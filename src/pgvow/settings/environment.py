"""Development or production, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, Problem
from pgvow.settings.variables import DEVELOPMENT, ENV_MODE, PRODUCTION, Block

if TYPE_CHECKING:
    from pgvow.settings.reading import Reading

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


def choose(env: str, reading: Reading) -> tuple[Block, str] | None:
    """Decide on the environment, and say why; None where that is a problem."""
    if env.lower() == AUTO:
        return _detect(reading)
    if block := _BLOCKS.get(env.lower()):
        return block, "--env"
    reading.complain("--env", None, f"{env!r} is no environment", "dev, prod or auto")
    return None


def named_environment(env: str) -> str | None:
    """Translate ``--env`` alone: dev, prod, or None for auto; raises ConfigurationError."""
    if env.lower() == AUTO:
        return None
    if block := _BLOCKS.get(env.lower()):
        return block.environment
    raise ConfigurationError.of(
        [Problem("--env", None, f"{env!r} is no environment", "dev, prod or auto")]
    )


def _detect(reading: Reading) -> tuple[Block, str] | None:
    mode = reading.sources.get(ENV_MODE)
    if mode is None:
        return _by_signs(reading)
    if block := _BLOCKS.get(mode.value.lower()):
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
