"""The settings of one run: from the environment, ``.env.local`` and ``.env``, checked at once."""

from pgvow.settings.configuration import Configuration
from pgvow.settings.connection import Connection, Origin
from pgvow.settings.environment import (
    detected_environment,
    named_environment,
    password_variables,
    variables_of,
)
from pgvow.settings.loading import Settings, load, load_pg_bin
from pgvow.settings.sources import Sourced, Sources
from pgvow.settings.toml_file import Loaded, load_configuration

__all__ = [
    "Configuration",
    "Connection",
    "Loaded",
    "Origin",
    "Settings",
    "Sourced",
    "Sources",
    "detected_environment",
    "load",
    "load_configuration",
    "load_pg_bin",
    "named_environment",
    "password_variables",
    "variables_of",
]
